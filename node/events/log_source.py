"""Lines of this node's own log as they come: the channel ``node_logs``."""

from __future__ import annotations

import asyncio

from buildnet.node.events.channel import Channel
from buildnet.node.events.hub import Hub
from buildnet.node.events.service import Ready
from buildnet.node.log_lines import LogLine, LogLines


class LogSource:
    """Hears what is logged."""

    channels = frozenset({Channel.NODE_LOGS})

    def __init__(self, lines: LogLines, hub: Hub) -> None:
        self._lines = lines
        self._hub = hub

    async def run(self, ready: Ready) -> None:
        """Feed until it is cancelled."""
        loop = asyncio.get_running_loop()

        def hear(line: LogLine) -> None:  # in whichever thread
            loop.call_soon_threadsafe(self._tell, line)

        with self._lines.listening(hear):
            ready(Channel.NODE_LOGS)
            await asyncio.Event().wait()

    def _tell(self, line: LogLine) -> None:
        self._hub.tell(Channel.NODE_LOGS, "log_line", line.as_dict(), line.at)
