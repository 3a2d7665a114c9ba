"""By whom a build was ended before its time, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cancelled:
    """``by``: the actor who asked for its end, None: the node itself ended it; ``why``: in words
    that follow "cancelled it:"."""

    by: str | None
    why: str


NODE_STOPPED = Cancelled(None, "the node was stopped")
GOES_ON_ELSEWHERE = Cancelled(None, "another node goes on with it")
OUTDATED = Cancelled(None, "what it builds has changed, and is built anew")
WATCH_ENDED = Cancelled(None, "the watch that it was of has ended")


def at_request(by: str, asked_by: str, *, is_theirs: bool) -> Cancelled:
    """Return that somebody asked for the end of a build. ``asked_by``: who asked for the build;
    ``is_theirs``: that is who ends it, or one of several."""
    return Cancelled(by, "it is wanted no more" if is_theirs else f"{asked_by} had asked for it")
