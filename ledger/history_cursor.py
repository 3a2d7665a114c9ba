"""Where a list of builds goes on: behind the build that began at a time and has an id."""

from __future__ import annotations

import re

from buildnet.mesh.errors import UsageError

_CURSOR = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,20})?(?:e[+-][0-9]{1,3})?)_([0-9A-Za-z-]{1,64})", re.ASCII
)


def cursor_of(started_at: float, build_id: str) -> str:
    """Return the cursor of the part of the list that follows a build. ``started_at``: seconds since
    1970 UTC."""
    return f"{started_at!r}_{build_id}"


def read_cursor(cursor: str) -> tuple[float, str]:
    """Return when the build began that a cursor stands behind, and its id.

    Raises:
        UsageError: it is none.
    """
    read = _CURSOR.fullmatch(cursor)
    if read is None:
        raise UsageError(
            f"{cursor!r:.80} is no cursor of this list", hint="begin again without a cursor"
        )
    return float(read[1]), read[2]
