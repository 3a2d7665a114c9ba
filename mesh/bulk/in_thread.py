"""Work in a thread that is never left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")


async def in_thread(
    workers: Executor, work: Callable[[*Arguments], Value], *arguments: *Arguments
) -> Value:
    """Run ``work`` in a thread and return its result.

    Where the caller is cancelled meanwhile, that takes effect once ``work`` is done, so that the
    caller may close what ``work`` uses (a descriptor's number is soon another file's).
    """
    future = asyncio.get_running_loop().run_in_executor(workers, work, *arguments)
    try:
        return await asyncio.shield(future)
    finally:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
