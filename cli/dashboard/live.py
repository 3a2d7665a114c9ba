"""Shows the live screen in a terminal, and leaves the terminal as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from buildnet.cli.dashboard.app import INTERRUPTED, Dashboard
from buildnet.cli.dashboard.feed import Feed
from buildnet.cli.dashboard.model import Model
from buildnet.mesh.errors import BuildNetError

if TYPE_CHECKING:
    from buildnet.cli.client.async_pool import AsyncPool

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Terminal(Dashboard):
    """Ends by signals as by keys, so that the terminal is restored."""

    def on_mount(self) -> None:
        """Take the signals."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self.exit, 128 + number)
        super().on_mount()


def run(pool: AsyncPool, *, colored: bool) -> int:
    """Show the screen until somebody has enough; return the exit code.

    Raises:
        AnswerError: the node refuses.
        NodeUnreachableError: none answers when it begins; later it is asked again and again.
        EventsEndedError: the credential does not count any more.
    """
    model = Model(time.time() - time.monotonic())
    feed = Feed(pool, lambda told: model.take(told, time.monotonic()))
    asyncio.run(feed.begin())
    os.environ.pop("NO_COLOR", None)  # the screen goes by it; --color counts more
    if not colored:
        os.environ["NO_COLOR"] = "1"
    result = _Terminal(model, feed).run()
    if isinstance(result, BuildNetError):
        raise result
    return INTERRUPTED if result is None else result
