"""What is told of a workspace that is watched, and how that ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.client.events import ended
from buildnet.cli.client.shapes import WatchEvent


def watch_event(event: Mapping[str, Any]) -> WatchEvent:
    """Return an event as it is told of a watch.

    Raises:
        AnswerError: it says that the workspace can't be watched any more.
        EventsEndedError: it says that the credential does not count any more.
    """
    if event["type"] == "ended":
        raise AnswerError({**event["error"], "detail": event["error"]["message"]})
    if event["type"] == "error" and "error" not in event:
        raise ended(event)
    return cast(WatchEvent, event)


def watch_broke_off() -> NodeUnreachableError:
    """Return the error of a watch that ended without a word."""
    return NodeUnreachableError(
        "the node tells no more of what it watches",
        cause="it stopped, or what it told was not read as fast as it came",
        hint="watch it again",
    )
