"""Stopping is bounded: the log says what is waited for, and at last the process ends."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from buildnet.node.ending import Ending


def test_what_hangs_is_told_and_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    may_end = threading.Event()
    codes: list[int] = []

    def cut_off(code: int) -> None:
        codes.append(code)
        may_end.set()

    async def hang() -> None:
        hanging = asyncio.create_task(asyncio.to_thread(may_end.wait), name="what hangs")
        await asyncio.sleep(0)
        Ending(told_after_s=0.01, cut_off_after_s=0.02, cut_off=cut_off).begin(
            asyncio.get_running_loop()
        )
        await hanging

    asyncio.run(hang())
    assert codes == [1]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert "task what hangs:\n  to_thread, line" in caplog.text


def test_what_ends_in_time_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int] = []

    async def end() -> None:
        ending = Ending(told_after_s=30, cut_off_after_s=60, cut_off=codes.append)
        ending.begin(asyncio.get_running_loop())
        ending.over()

    asyncio.run(end())
    for thread in threading.enumerate():
        if thread.name == "ending":
            thread.join(30)
            assert not thread.is_alive()
    assert not codes
    assert not caplog.records
