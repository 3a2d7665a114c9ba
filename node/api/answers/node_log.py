"""What is answered of a node's own log."""

from __future__ import annotations

from typing import Literal

from buildnet.node.api.answers.answer import Answer, Page


class NodeLogLine(Answer):
    """A line. ``number``: grows from line to line, also over restarts; ``at``: in seconds since
    1970; ``source``: which part of the node says it; ``exception``: the stack that goes with it."""

    number: int
    at: float
    level: Literal["debug", "info", "warning", "error", "critical"]
    source: str
    message: str
    exception: str | None


class NodeLog(Page):
    """Lines, the newest first."""

    lines: list[NodeLogLine]
