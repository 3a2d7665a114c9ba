"""When a command that runs on another host is begun a second time. Pure.

Both rules only count where slots have nothing else to do. What has not begun there is taken home:
nothing is lost by that. What takes much longer than ever is run beside, and the first result wins:
only if it is long overdue, and would be over sooner elsewhere than it has taken already.
"""

from __future__ import annotations

NOT_BEGUN_S = 1.0
"""So long it may wait at another host for its inputs."""
AT_ONCE = 2
"""So many commands of one build run twice."""
_TIMES = 2.0
_MORE_MS = 2000.0
"""A command is overdue after so many times what it takes, and so much more."""


def is_straggler(elapsed_ms: float, usual_ms: float, again_ms: float) -> bool:
    """Tell whether it is worth while to run a command a second time. ``usual_ms``: what it takes
    where it runs, ``again_ms``: what it would take elsewhere."""
    return elapsed_ms >= _TIMES * usual_ms + _MORE_MS and again_ms <= elapsed_ms / _TIMES
