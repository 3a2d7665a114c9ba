"""The dashboard's model: takes in what is told, gives what the screen shows. Pure: times are passed
in, monotonic seconds of this host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from buildnet.cli.client.shapes import Event
from buildnet.cli.dashboard.channels import Channels
from buildnet.cli.dashboard.happenings import Happenings
from buildnet.cli.dashboard.last_hour import LastHour
from buildnet.cli.dashboard.nodes import node_rows, resources_of
from buildnet.cli.dashboard.screen import BuildCounts, Cluster, Freshness, Resources, Screen
from buildnet.cli.dashboard.sessions import session_rows
from buildnet.cli.dashboard.told import Answered, Failed, Happened, Source, Told
from buildnet.cli.dashboard.under_way import (
    WHOLE_QUEUE,
    paused_builds,
    queue_problem,
    running_builds,
    waiting_builds,
)
from buildnet.cli.output import age_text
from buildnet.mesh.errors import BuildNetError

SILENT_S = 10.0
"""A node that is asked every other second and has not answered for so long counts as lost."""


@dataclass(slots=True)
class _Word:
    """The latest word of a source. ``since``: from when on there is trouble with it."""

    data: Any = None
    at: float | None = None
    error: BuildNetError | None = None
    since: float | None = None


class Model:
    """See the module's text. ``ahead_s``: how much unix time is ahead of the monotonic clock;
    ``changes``: counts what was told."""

    def __init__(self, ahead_s: float) -> None:
        self._channels = Channels(ahead_s)
        self._hour = LastHour()
        self._happenings = Happenings(self._hour, self._channels.node_name)
        self.changes = 0
        self._words: dict[Source, _Word] = {source: _Word() for source in get_args(Source)}

    # --- what is told --------------------------------------------------------------------------

    def take(self, told: Told, now: float) -> None:
        """Take in something."""
        self.changes += 1
        match told:
            case Happened(event):
                self._heard("events", None, now)
                self._happened(event, now)
            case Answered("ledger", data):
                self._heard("ledger", data, now)
                self._hour.at_least = data["at_least"]
                for entry in reversed(data["entries"]):
                    self._entry(entry)
            case Answered(source, data):
                self._heard(source, data, now)
            case Failed(source, error):
                word = self._words[source]
                word.error = error
                word.since = now if word.since is None else word.since

    def _heard(self, source: Source, data: Any, now: float) -> None:
        self._words[source] = _Word(data, now)

    def _happened(self, event: Event, now: float) -> None:
        before = self._channels.take(event, now)
        channel = event.get("channel")
        if channel == "ledger":
            self._heard("ledger", self._words["ledger"].data, now)
            self._entry(event.get("data", {}))
        elif channel == "nodes":
            self._happenings.take_status(event, before)
        for told in ("builds", "queue"):
            for key, item in self._channels.rows(told, WHOLE_QUEUE):
                self._hour.name(key, str(item["workspace"]))

    def _entry(self, entry: Mapping[str, Any]) -> None:
        self._hour.take(entry)
        self._happenings.take_entry(entry)

    # --- what is shown -------------------------------------------------------------------------

    def screen(self, now: float) -> Screen:
        """Return what is to be seen now."""
        unix = self._channels.unix(now)
        nodes = node_rows(self._channels, now)
        is_read = self._words["ledger"].data is not None
        ended = self._hour.rows(unix) if is_read else None
        running, queue = running_builds(self._channels, now), waiting_builds(self._channels, now)
        counts = BuildCounts() if ended is None else self._hour.counts(ended)
        paused = paused_builds(self._channels)
        sessions = self._words["sessions"].data
        lost = self._lost(now)
        cluster = self._cluster(now)
        return Screen(
            cluster=cluster,
            resources=self._with_cache(resources_of(nodes)),
            builds=replace(
                counts,
                queued=None if queue is None else len(queue) - paused,
                in_progress=None if running is None else len(running),
                paused=None if queue is None else paused,
            ),
            alerts=self._alerts(cluster),
            running=running,
            queue=queue,
            ended=ended,
            nodes=nodes,
            sessions=None if sessions is None else session_rows(sessions["sessions"], unix),
            silent=() if sessions is None else _silent(sessions),
            events=self._happenings.rows() if is_read or self._words["events"].at else None,
            lost=lost,
            sources={source: _freshness(word, now) for source, word in self._words.items()},
        )

    def _cluster(self, now: float) -> Cluster:
        node, health = self._words["node"], self._words["health"]
        told: Mapping[str, Any] = node.data or {}
        well: Mapping[str, Any] = health.data or {}
        leads = told.get("coordinator") or {}
        cluster = told.get("cluster") or {}
        uptime, is_lost = told.get("uptime_s"), self._is_lost(now)
        if uptime is not None and node.at is not None and not is_lost:
            uptime += now - node.at
        status: Literal["healthy", "not healthy", "unknown"] = "unknown"
        if well and not is_lost:
            status = "healthy" if well["healthy"] else "not healthy"
        return Cluster(
            name=cluster.get("name"),
            status=status,
            problems=tuple(well.get("problems", ())),
            members=cluster.get("members"),
            reachable=cluster.get("reachable"),
            coordinator=leads.get("name"),
            term=leads.get("term"),
            quorum=leads.get("quorum"),
            node=told.get("name"),
            version=told.get("version"),
            uptime_s=uptime,
        )

    def _with_cache(self, resources: Resources) -> Resources:
        cache = self._words["cache"].data
        if cache is None:
            return resources
        asked = cache["hits"] + cache["misses"]
        return replace(
            resources,
            cache_bytes=cache["bytes"],
            cache_limit_bytes=cache["capacity_bytes"],
            cache_hit_rate=cache["hits"] / asked if asked else None,
        )

    def _alerts(self, cluster: Cluster) -> tuple[str, ...]:
        """Return what people should look at, each once, the worst first."""
        node = self._words["node"].data or {}
        cache = self._words["cache"].data or {}
        found = [
            node.get("problem"),
            *cluster.problems,
            queue_problem(self._channels),
            f"{cache['damaged']} blobs of the cache were damaged" if cache.get("damaged") else None,
            node.get("warning"),
            *(self._trouble(source) for source in self._words if source not in ("events", "node")),
        ]
        return tuple(dict.fromkeys(each for each in found if each))

    def _trouble(self, source: Source) -> str | None:
        error = self._words[source].error
        if error is None or self._words["node"].error is not None:
            return None  # that nothing is told is said once
        return f"{source}: {error.message}"

    def _is_lost(self, now: float) -> bool:
        node = self._words["node"]
        is_silent = node.at is not None and now - node.at > SILENT_S
        return self._words["events"].error is not None or is_silent

    def _lost(self, now: float) -> str | None:
        if not self._is_lost(now):
            return None
        events, node = self._words["events"], self._words["node"]
        error = events.error or node.error
        since = events.since if events.since is not None else node.at
        why = "the node does not answer" if error is None else error.message
        age_s = None if since is None else now - since
        return f"{why}; lost {age_text(age_s)}, trying again"


def _silent(sessions: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(f"{each['node']}: {each['why']}" for each in sessions["silent"]))


def _freshness(word: _Word, now: float) -> Freshness:
    return Freshness(
        None if word.at is None else now - word.at,
        None if word.error is None else word.error.message,
    )
