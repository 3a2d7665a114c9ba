"""Ends a build that takes longer than its configuration allows, on whichever node it runs."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from buildnet.mesh.errors import BuildNetError
from buildnet.node.cancelled import Cancelled
from buildnet.node.running import RunningBuild


class BuildTimeoutError(BuildNetError):
    """A build took longer than its configuration allows."""

    code = "TIMED_OUT"

    @classmethod
    def after(cls, seconds: float) -> BuildTimeoutError:
        """Of so many seconds."""
        return cls(
            f"the build was ended after {seconds:g} s, which its configuration allows",
            hint="raise execution.timeout, or build less at once",
        )


class TimeLimit:
    """See the module's text. The time counts from the context's beginning, or from that on the
    node that had the build before; ``error``: what to say of the build once it is ended."""

    def __init__(self, build: RunningBuild) -> None:
        self._build = build
        self._timer: asyncio.TimerHandle | None = None
        self.error: BuildNetError | None = None

    def __enter__(self) -> TimeLimit:
        build, now = self._build, time.monotonic()
        if build.limited_since is None:
            build.limited_since = now
        seconds = build.request.choice.timeout_s
        if seconds:
            left_s = max(0.0, build.limited_since + seconds - now)
            self._timer = asyncio.get_running_loop().call_later(left_s, self._end, seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, seconds: float) -> None:
        self.error = BuildTimeoutError.after(seconds)
        self._build.cancel(Cancelled(None, self.error.message))
