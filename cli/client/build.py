"""A build that was asked for: its events, its report, its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from buildnet.cli.client import calls
from buildnet.cli.client.asking import NodeUnreachableError
from buildnet.cli.client.connection import Client
from buildnet.cli.client.events import told_no_more
from buildnet.cli.client.shapes import BuildEvent, BuildReport


class Build:
    """One build, by its id; on whichever node it runs."""

    def __init__(self, client: Client, build_id: str) -> None:
        self._client = client
        self.id = build_id

    def events(self) -> Iterator[BuildEvent]:
        """Yield its events from its start on, up to ``build_finished`` with its report. Of
        output the latest 128 KiB of each running task come first, as ``so_far``, then what follows.

        Raises:
            AnswerError: there is no such build, or it may not be seen.
            NodeUnreachableError: the node does not answer, or stopped before the build was over.
            EventsEndedError: they were not read as fast as they came, or the credential does not
                count any more.
        """
        with self._client.follow(f"{calls.build_path(self.id)}/events") as events:
            for event in events:
                yield build_event(event, self.id)
                if is_last(event):
                    return
        raise stopped_before_its_end(self.id)

    def wait(self) -> BuildReport:
        """Return its report once it is over, failed or not.

        Raises:
            AnswerError: there is no such build, or it may not be seen.
            NodeUnreachableError: the node does not answer, or stopped before the build was over.
            EventsEndedError: the credential does not count any more.
        """
        last: BuildEvent | None = None
        for event in self.events():  # kept one by one: a long build has many
            last = event
        assert last is not None
        return last["report"]

    def report(self) -> BuildReport:
        """Return what is known of it by now."""
        return self._client.do(calls.build_report(self.id))

    def log(self, package: str, task: str = "build") -> str:
        """Return all that a task's command printed; of the node that drove the build."""
        return self._client.do(calls.build_log(self.id, package, task))

    def cancel(self) -> None:
        """Ask for its end; what is done stays in the cache."""
        self._client.do(calls.change_queue("cancel", self.id, {}))

    def __repr__(self) -> str:
        return f"Build({self.id!r})"


def build_event(event: Mapping[str, Any], build: str) -> BuildEvent:
    """Return an event as it is told of a build.

    Raises:
        EventsEndedError: it says that no more are told.
    """
    if event["type"] in ("told_no_more", "error"):
        raise told_no_more(event, build)
    return cast(BuildEvent, event)


def is_last(event: Mapping[str, Any]) -> bool:
    """Tell whether a build is over with an event."""
    return bool(event["type"] == "build_finished")


def stopped_before_its_end(build: str) -> NodeUnreachableError:
    """Return the error of events that ended before the build did."""
    return NodeUnreachableError(
        "the node stopped before the build was over",
        hint=f"ask another node: buildnet build --attach {build}",
    )
