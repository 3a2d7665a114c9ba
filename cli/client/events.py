"""Server-sent events as a node tells them, and going on where a connection broke."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from buildnet.cli.client.connection import AnswerError, Client, NodeUnreachableError
from buildnet.cli.client.shapes import Event
from buildnet.mesh.errors import BuildNetError

AGAIN_FIRST_S, AGAIN_LONGEST_S = 0.2, 5.0
_MAY_COME_BACK = (503, 429)


class EventsEndedError(BuildNetError):
    """A node tells no more events, and said why."""

    code = "EVENTS_ENDED"


def parsed(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield type and data of each server-sent event (HTML standard, section 9.2)."""
    kind, data = "message", ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif not line and data:
            yield kind, json.loads(data)
            kind, data = "message", ""


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
    wait_s, heard = AGAIN_FIRST_S, time.monotonic()
    while True:
        headers = {} if cursor is None else {"last-event-id": cursor}
        trouble: BuildNetError
        try:
            with client.lines(
                "/events", headers, channels=list(channels) or None, build=build or None
            ) as lines:
                for kind, data in parsed(lines):
                    if kind == "error":
                        raise _ended(data)
                    if kind == "over":
                        break
                    wait_s, heard = AGAIN_FIRST_S, time.monotonic()
                    cursor = data["cursor"]
                    if kind != "resumed":
                        yield cast(Event, data)
            trouble = NodeUnreachableError("the node hung up")
            heard = time.monotonic()
        except NodeUnreachableError as error:
            trouble = error
        except AnswerError as error:
            if error.http_status not in _MAY_COME_BACK:
                raise
            trouble = error
        if time.monotonic() + wait_s - heard > patience_s:
            raise trouble
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, AGAIN_LONGEST_S)


def told_no_more(event: Mapping[str, Any], build: str) -> EventsEndedError:
    """Return the error of one who did not read a build's events as fast as they came."""
    return EventsEndedError(
        "the node tells no more of the build, which goes on",
        cause=str(event.get("why")),
        hint=f"see it again: buildnet build --attach {build}",
    )


def _ended(problem: dict[str, Any]) -> EventsEndedError:
    error = EventsEndedError(
        str(problem.get("message", "the node ended the events")),
        cause=problem.get("cause"),
        hint=problem.get("hint"),
    )
    error.code = str(problem.get("code", error.code))
    error.exit_code = int(problem.get("exit_code", error.exit_code))
    return error
