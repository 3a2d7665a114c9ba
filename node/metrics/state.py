"""The node's state as Prometheus reads it: one row a metric, and how it is read from a picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from buildnet import __version__
from buildnet.mesh.events import Status
from buildnet.mesh.service.view import CounterView, MemberView, MeshView
from buildnet.node.ledger_upkeep_view import waiting_of
from buildnet.node.store.store import StoreStats
from buildnet.pool.estimation.accuracy import LATEST, summed_up
from buildnet.pool.resources import MemoryResources, Utilization
from buildnet.pool.sealing import Waiting

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

Labels = tuple[str, ...]
Values = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the rows are read from, at one moment."""

    view: MeshView
    store: StoreStats
    refusals: Sequence[CounterView]
    utilization: Utilization | None
    memory: MemoryResources | None
    cores: int | None
    ledger: Waiting | None
    records_waiting: int
    records_lost: int
    builds_running: int
    commands_running: int
    slots: int
    slots_in_use: int
    slots_wanted: int
    builds_waiting: int
    leases: int
    guests_running: int
    ahead_fetched_bytes: int
    ahead_used_bytes: int
    dead_letters: int
    estimate_error: float | None
    isolation: str | None
    uptime_s: float

    @property
    def others(self) -> Iterable[MemberView]:
        """The members but this one."""
        return (member for member in self.view.members if member.key != self.view.me)


async def picture_of(service: NodeService) -> Picture:
    """Take a picture of a node."""
    stats = await asyncio.to_thread(service.store.stats)
    view = service.pool.view()
    ledger, levels, flight = (
        service.ledger.open_now,
        service.builder.levels.known,
        service.in_flight(),
    )
    resources, workers = service.resources, service.builder.workers
    return Picture(
        view=view,
        store=stats,
        refusals=service.refusals.view(),
        utilization=service.utilization,
        memory=None if resources is None else resources.memory,
        cores=None if resources is None else resources.cpu.cores,
        ledger=None if ledger is None else waiting_of(ledger, view.at),
        records_waiting=service.recording.waiting,
        records_lost=service.recording.lost,
        builds_running=flight.builds,
        commands_running=workers.running,
        slots=workers.slots,
        slots_in_use=workers.slots_in_use,
        slots_wanted=workers.lacking[0],
        builds_waiting=sum(
            build.waits_for is not None and not build.request.dry_run
            for build in service.builder.running()
        ),
        leases=flight.leases,
        guests_running=flight.running,
        ahead_fetched_bytes=service.expecting.fetched_bytes,
        ahead_used_bytes=service.expecting.used_bytes,
        dead_letters=len(service.dead_letters.all()),
        estimate_error=summed_up(await service.history.estimated(LATEST))["median_error"],
        isolation=None if levels is None else levels.level,
        uptime_s=time.monotonic() - service.started,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. ``kind``: what Prometheus may do with it; ``read`` gives a value for each set of
    labels, none where nothing is known."""

    name: str
    help: str
    kind: Literal["gauge", "counter"]
    read: Callable[[Picture], Values]
    labels: Labels = ()

    def family(self, picture: Picture) -> Metric:
        """Return it with its values."""
        make = GaugeMetricFamily if self.kind == "gauge" else CounterMetricFamily
        family = make(self.name, self.help, labels=self.labels)
        for labels, value in self.read(picture):
            family.add_metric(labels, value)
        return family


class StateCollector(Collector):
    """All rows of one picture."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return (row.family(self._picture) for row in ROWS)


def _one(value: float | None) -> Values:
    return () if value is None else (((), value),)


def _gauge(name: str, help: str, read: Callable[[Picture], float | None]) -> Row:
    return Row(f"buildnet_{name}", help, "gauge", lambda picture: _one(read(picture)))


def _counter(name: str, help: str, read: Callable[[Picture], float]) -> Row:
    return Row(f"buildnet_{name}", help, "counter", lambda picture: _one(read(picture)))


def _members(picture: Picture) -> Values:
    found = [member.status.name.lower() for member in picture.others]
    return (((name,), found.count(name)) for name in (each.name.lower() for each in Status))


def _percent(read: Callable[[Utilization], float | None]) -> Callable[[Picture], float | None]:
    def ratio(picture: Picture) -> float | None:
        percent = None if picture.utilization is None else read(picture.utilization)
        return None if percent is None else percent / 100

    return ratio


def _disks(picture: Picture) -> Values:
    used = () if picture.utilization is None else picture.utilization.disks
    return (((each.path,), each.available_bytes) for each in used)


def _noted(counters: Sequence[CounterView]) -> Values:
    return (((each.reason,), each.count) for each in counters)


ROWS: Sequence[Row] = (
    Row(
        "buildnet_node_info",
        "Always 1: which node this is, its version and its isolation level",
        "gauge",
        lambda picture: (((picture.view.node_id, __version__, picture.isolation or "unknown"), 1),),
        ("node_id", "version", "isolation"),
    ),
    _gauge("uptime_seconds", "Since the node started", lambda picture: picture.uptime_s),
    # mesh
    Row("buildnet_members", "Other members by their status", "gauge", _members, ("status",)),
    _gauge(
        "links",
        "Members that a link stands to",
        lambda picture: sum(member.linked for member in picture.others),
    ),
    Row(
        "buildnet_round_trip_seconds",
        "To a member, where it was measured",
        "gauge",
        lambda picture: (
            ((member.name, member.node_id), member.round_trip_s)
            for member in picture.others
            if member.round_trip_s is not None and member.round_trip_measured
        ),
        ("member", "node_id"),
    ),
    _counter("mesh_sent_bytes", "To all members", lambda picture: picture.view.bytes_sent),
    _counter(
        "mesh_received_bytes", "From all members", lambda picture: picture.view.bytes_received
    ),
    Row(
        "buildnet_mesh_noted",
        "Odd events of the mesh, by reason",
        "counter",
        lambda picture: _noted(picture.view.counters),
        ("reason",),
    ),
    Row(
        "buildnet_refused",
        "What was refused of strangers and of blobs, by reason",
        "counter",
        lambda picture: _noted(picture.refusals),
        ("reason",),
    ),
    _gauge(
        "event_loop_lag_seconds",
        "99th percentile of the last minute",
        lambda picture: picture.view.lag_p99_s,
    ),
    _gauge(
        "clock_off_seconds",
        "How far most other clocks are ahead of this one, where they agree on it",
        lambda picture: picture.view.clock_off_s,
    ),
    # election
    _gauge(
        "term",
        "Of the coordinator that this node follows; 0: none",
        lambda picture: 0 if picture.view.office is None else picture.view.office.term,
    ),
    _gauge(
        "coordinates",
        "1: this node is the coordinator",
        lambda picture: (
            picture.view.office is not None and picture.view.office.coordinator == picture.view.me
        ),
    ),
    _gauge(
        "quorum",
        "1: a majority of the voters grants the coordinator its office",
        lambda picture: picture.view.office is not None and picture.view.office.quorum,
    ),
    _gauge("voters", "Members that elect and seal", lambda picture: picture.view.voters),
    _gauge("voters_reachable", "Voters that this node reaches", lambda p: p.view.voters_reachable),
    # ledger
    _gauge(
        "ledger_height",
        "Of the last seal here",
        lambda picture: None if picture.ledger is None else picture.ledger.height,
    ),
    _gauge(
        "ledger_unsealed_entries",
        "Entries here that no seal covers",
        lambda picture: None if picture.ledger is None else picture.ledger.unsealed,
    ),
    _gauge(
        "ledger_unsealed_seconds",
        "For how long something waits that can be sealed; 0: nothing does",
        lambda picture: (
            None
            if picture.ledger is None
            else 0
            if picture.ledger.since is None
            else max(0.0, picture.view.at - picture.ledger.since)
        ),
    ),
    _gauge(
        "records_waiting",
        "What happened here and is not written to the ledger yet",
        lambda picture: picture.records_waiting,
    ),
    _counter("records_lost", "What never will be written", lambda picture: picture.records_lost),
    # builds, queue and commands
    _gauge("builds_running", "Builds that this node drives", lambda p: p.builds_running),
    _gauge(
        "builds_waiting",
        "Of these, those that wait for another build of their workspace, or for what they reserve",
        lambda picture: picture.builds_waiting,
    ),
    _gauge("commands_running", "Commands that run here", lambda p: p.commands_running),
    _gauge("slots", "Commands that may run here at once", lambda picture: picture.slots),
    _gauge("slots_in_use", "Slots that commands here take", lambda p: p.slots_in_use),
    _gauge(
        "slots_wanted", "Slots that commands here wait for", lambda picture: picture.slots_wanted
    ),
    _gauge("leases", "What this node lends now", lambda picture: picture.leases),
    _gauge("guests_running", "Commands of others that run here", lambda p: p.guests_running),
    _counter(
        "ahead_fetched_bytes",
        "Fetched because other nodes expected to need it here soon",
        lambda p: p.ahead_fetched_bytes,
    ),
    _counter(
        "ahead_used_bytes",
        "Of these, those that were there when a command came that reads them",
        lambda p: p.ahead_used_bytes,
    ),
    _gauge("dead_letters", "Commands that were given up", lambda p: p.dead_letters),
    _gauge(
        "estimate_error_ratio",
        "Median error of the latest 20 estimates, as a part of what the builds took",
        lambda p: p.estimate_error,
    ),
    # cache
    _gauge("cache_blobs", "Blobs in the store", lambda picture: picture.store.blobs),
    _gauge("cache_bytes", "Sum of their sizes", lambda picture: picture.store.bytes),
    _gauge("cache_capacity_bytes", "Bound of that", lambda picture: picture.store.capacity_bytes),
    _gauge("cache_results", "Stored results of actions", lambda p: p.store.actions),
    _gauge(
        "cache_volume_free_bytes",
        "Left for this user on the store's volume",
        lambda picture: picture.store.free_bytes,
    ),
    _gauge(
        "cache_damaged_blobs",
        "Found damaged when all blobs were last read again",
        lambda picture: picture.store.damaged,
    ),
    _counter(
        "cache_hits",
        "Look-ups of results that found one, since the store was made or cleared",
        lambda picture: picture.store.hits,
    ),
    _counter("cache_misses", "Look-ups that found none", lambda picture: picture.store.misses),
    # host
    _gauge("host_cores", "Of the host", lambda picture: picture.cores),
    _gauge(
        "host_cpu_ratio",
        "How busy all cores are together, of the last 5 seconds",
        _percent(lambda measured: measured.cpu_percent),
    ),
    _gauge(
        "host_memory_used_ratio",
        "Of the host's memory",
        _percent(lambda measured: measured.memory_percent),
    ),
    _gauge(
        "host_memory_bytes",
        "Of the host",
        lambda picture: None if picture.memory is None else picture.memory.total_bytes,
    ),
    Row(
        "buildnet_host_volume_free_bytes",
        "Of local volumes",
        "gauge",
        _disks,
        ("volume",),
    ),
)
