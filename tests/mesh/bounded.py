"""Running a test's work, which may hang."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


def run(work: Coroutine[None, None, None]) -> None:
    """Run it to its end, and no longer than 90 seconds."""

    async def bounded() -> None:
        async with asyncio.timeout(90):
            await work

    asyncio.run(bounded())
