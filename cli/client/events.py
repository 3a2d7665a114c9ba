"""Server-sent events as a node tells them, and going on where a connection broke."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.client.connection import Client
from buildnet.cli.client.shapes import Event
from buildnet.mesh.errors import BuildNetError

PATH = "/events"
AGAIN_FIRST_S, AGAIN_LONGEST_S = 0.2, 5.0


class EventsEndedError(BuildNetError):
    """A node tells no more events, and said why."""

    code = "EVENTS_ENDED"


class EventLines:
    """Puts lines together to server-sent events (HTML standard, section 9.2)."""

    def __init__(self) -> None:
        self._kind, self._data = "message", ""

    def take(self, line: str) -> tuple[str, Any] | None:
        """Return type and data of the event that a line ends; None: it ends none."""
        name, _, value = line.partition(": ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data += value
        elif not line and self._data:
            ended = self._kind, json.loads(self._data)
            self._kind, self._data = "message", ""
            return ended
        return None


def parsed(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield type and data of each server-sent event."""
    taking = EventLines()
    for line in lines:
        event = taking.take(line)
        if event is not None:
            yield event


class Following:
    """Where a reader of events is, and how long to wait where the connection broke. Times are
    monotonic seconds. ``is_over``: this connection tells no more."""

    def __init__(self, cursor: str | None, patience_s: float, now: float) -> None:
        self._cursor = cursor
        self._patience_s = patience_s
        self._wait_s, self._heard = AGAIN_FIRST_S, now
        self.is_over = False

    def headers(self) -> dict[str, str]:
        """Return what to send with the next request: where to go on."""
        self.is_over = False
        return {} if self._cursor is None else {"last-event-id": self._cursor}

    def take(self, kind: str, data: Any, now: float) -> Event | None:
        """Take in an event; return it if it is one for whoever reads.

        Raises:
            EventsEndedError: it says that the credential does not count any more.
        """
        if kind == "error":
            raise ended(data)
        if kind == "over":
            self.is_over = True
            return None
        self._wait_s, self._heard = AGAIN_FIRST_S, now
        self._cursor = data["cursor"]
        return None if kind == "resumed" else cast(Event, data)

    def rest_s(self, trouble: NodeUnreachableError | AnswerError | None, now: float) -> float:
        """Return how long to wait before asking again. ``trouble``: why there are no more events;
        None: the node hung up.

        Raises:
            BuildNetError: the trouble, if it stays, or patience is at its end.
        """
        if isinstance(trouble, AnswerError) and not trouble.has_no_time:
            raise trouble
        if trouble is None:
            trouble, self._heard = NodeUnreachableError("the node hung up"), now
        wait_s = self._wait_s
        if now + wait_s - self._heard > self._patience_s:
            raise trouble
        self._wait_s = min(2 * wait_s, AGAIN_LONGEST_S)
        return wait_s


def query_of(channels: Sequence[str], build: str) -> dict[str, object]:
    """Return what is asked for as a query."""
    return {"channels": list(channels) or None, "build": build or None}


def follow(
    client: Client,
    channels: Sequence[str],
    build: str,
    cursor: str | None,
    patience_s: float,
) -> Iterator[Event]:
    """Yield events for ever; where the connection breaks, go on after the last one.

    Raises:
        AnswerError: the node refuses.
        NodeUnreachableError: it does not answer for ``patience_s``.
        EventsEndedError: the credential does not count any more.
    """
    following = Following(cursor, patience_s, time.monotonic())
    while True:
        trouble: NodeUnreachableError | AnswerError | None = None
        try:
            headers = following.headers()
            with client.lines(PATH, headers, **query_of(channels, build)) as lines:
                for kind, data in parsed(lines):
                    event = following.take(kind, data, time.monotonic())
                    if event is not None:
                        yield event
                    if following.is_over:
                        break
        except (NodeUnreachableError, AnswerError) as error:
            trouble = error
        time.sleep(following.rest_s(trouble, time.monotonic()))


def pieces_of(event: Mapping[str, Any], *, so_far: bool) -> list[dict[str, Any]]:
    """Return the output that an event of ``logs`` tells: of a snapshot what running tasks printed
    ``so_far``, unless one of before tells of that already."""
    if event["type"] == "build_output":
        return [event["data"]]
    if event["type"] != "snapshot" or not so_far:
        return []
    items = event.get("state", {}).get("logs", {}).values()
    return [{**{key: item[key] for key in item if key != "id"}, "so_far": True} for item in items]


def told_no_more(event: Mapping[str, Any], build: str) -> EventsEndedError:
    """Return the error that the last of a build's events stands for, where that is not its end:
    they were not read as fast as they came (``told_no_more``), or may not be any more (``error``).
    """
    if event["type"] == "error":
        return ended(event)
    return EventsEndedError(
        "the node tells no more of the build, which goes on",
        cause=str(event.get("why")),
        hint=f"see it again: buildnet build --attach {build}",
    )


def ended(problem: Mapping[str, Any]) -> EventsEndedError:
    """Return the error of events that a node ended, by what it said last."""
    error = EventsEndedError(
        str(problem.get("message", "the node ended the events")),
        cause=problem.get("cause"),
        hint=problem.get("hint"),
    )
    error.code = str(problem.get("code", error.code))
    error.exit_code = int(problem.get("exit_code", error.exit_code))
    return error
