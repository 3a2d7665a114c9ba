"""What watchers of a build are told: order, latecomers, slow readers, and how much may wait."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

import buildnet.node.progress as progress_module
from buildnet.node import output_teller
from buildnet.node.output_teller import OutputTeller
from buildnet.node.progress import BATCH_MAX_BYTES, WAITING_MAX_BYTES, Event, Progress

KIB = 1 << 10


def output(text: str, name: str = "a", task: str = "build", line: int = 1) -> Event:
    return {"type": "task_output", "name": name, "task": task, "text": text, "line": line}


async def batches(progress: Progress) -> list[list[Event]]:
    """Read to the end, as a watcher who comes now."""
    async with progress.follow() as stream:
        return [batch async for batch in stream]


def following(act: Callable[[Progress], None]) -> list[list[Event]]:
    """Have a reader open while ``act`` tells things and the build ends; it reads afterwards."""

    async def run() -> list[list[Event]]:
        progress = Progress()
        async with progress.follow() as stream:
            act(progress)
            progress.close()
            return [batch async for batch in stream]

    return asyncio.run(run())


def flat(found: list[list[Event]]) -> list[Event]:
    return [event for batch in found for event in batch]


def texts(found: list[Event]) -> str:
    return "".join(event["text"] for event in found if event["type"] == "task_output")


def left_out(found: list[Event]) -> int:
    return sum(event["bytes"] for event in found if event["type"] == "output_left_out")


def lines_bytes(batch: list[Event]) -> int:
    return sum(len(json.dumps(event)) + 1 for event in batch)


def test_events_come_in_the_order_in_which_they_were_told() -> None:
    def act(progress: Progress) -> None:
        progress.tell({"type": "phase"})
        progress.tell_output(output("1"))
        progress.tell_output(output("2", "b"))
        progress.tell_output(output("3"))
        progress.tell({"type": "notice"})

    assert flat(following(act)) == [
        {"type": "phase"},
        output("1"),
        output("2", "b"),
        output("3"),
        {"type": "notice"},
    ]


def test_changes_that_follow_each_other_quickly_are_passed_on_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_module, "GATHERED_S", 3600.0)  # quickly, however busy the host is

    async def run() -> list[list[Event]]:
        progress = Progress()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(batches(progress))
            for number in range(1000):
                await asyncio.sleep(0)  # the reader gets its turn after each
                progress.tell({"type": "task_started", "name": number, "task": "build"})
            progress.close()
        return reading.result()

    found = asyncio.run(run())
    assert [event["name"] for event in flat(found)] == list(range(1000))
    assert len(found) < 10


def test_consecutive_output_of_one_task_becomes_one_event() -> None:
    def act(progress: Progress) -> None:
        for number in range(1000):
            progress.tell_output(output(f"{number}\n"))
        progress.tell_output(output("other", task="test"))

    lines = "".join(f"{number}\n" for number in range(1000))
    assert flat(following(act)) == [output(lines), output("other", task="test")]


def test_who_comes_late_sees_all_changes_and_first_what_running_tasks_printed() -> None:
    async def run() -> list[Event]:
        progress = Progress()
        progress.tell({"type": "build_started"})
        progress.tell_output(output("one\ntw"))
        progress.tell_output(output("over\n", task="test"))
        progress.tell({"type": "task_finished", "name": "a", "task": "test"})
        async with progress.follow() as stream:
            progress.tell_output(output("o\n", line=2))
            progress.close()
            return [event async for batch in stream for event in batch]

    assert asyncio.run(run()) == [
        {"type": "build_started"},
        {"type": "task_finished", "name": "a", "task": "test"},
        {**output("one\ntw"), "so_far": True},
        output("o\n", line=2),
    ]


def test_of_a_task_that_begins_again_only_what_it_prints_then_is_passed_on() -> None:
    async def run() -> list[Event]:
        progress = Progress()
        progress.tell_output(output("first try"))
        progress.tell({"type": "task_started", "name": "a", "task": "build"})
        progress.tell_output(output("second try"))
        async with progress.follow() as stream:
            progress.close()
            return [event async for batch in stream for event in batch]

    assert texts(asyncio.run(run())) == "second try"


def test_who_comes_after_the_end_gets_the_last_event() -> None:
    async def run() -> list[list[Event]]:
        progress = Progress()
        progress.tell({"type": "build_started"})
        progress.tell({"type": "build_finished"})
        progress.close()
        return await batches(progress)

    assert asyncio.run(run()) == [[{"type": "build_finished"}]]


def test_a_reader_waits_until_there_is_something_and_ends_with_the_build() -> None:
    async def run() -> list[Event]:
        progress = Progress()
        seen: list[Event] = []
        asked = asyncio.Event()

        async def read() -> None:
            async with progress.follow() as stream:
                asked.set()
                async for batch in stream:
                    seen.extend(batch)
                    asked.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            told: list[Callable[[], None]] = [
                lambda: progress.tell({"type": "one"}),
                lambda: progress.tell_output(output("x")),
                lambda: progress.leave_out(3),
            ]
            for tell in told:
                await asked.wait()
                asked.clear()
                tell()
            await asked.wait()
            progress.close()
        return seen

    assert asyncio.run(run()) == [
        {"type": "one"},
        output("x"),
        {"type": "output_left_out", "bytes": 3},
    ]


@pytest.mark.parametrize(
    "piece", ["x" * 64 * KIB, "x\n", "\0" * 64 * KIB, "\U0001f600" * 64 * KIB, "é" * 300 * KIB]
)
def test_a_slow_reader_is_told_how_much_it_missed(piece: str) -> None:
    count = min(20_000, 4 * WAITING_MAX_BYTES // len(piece))

    def act(progress: Progress) -> None:
        progress.tell({"type": "build_started"})
        for number in range(count):
            progress.tell_output(output(piece, name="ab"[number % 2]))
        progress.tell({"type": "build_finished"})

    found = following(act)
    events = flat(found)
    assert [events[0]["type"], events[-1]["type"]] == ["build_started", "build_finished"]
    assert all(0 < lines_bytes(batch) <= BATCH_MAX_BYTES for batch in found)
    assert WAITING_MAX_BYTES // 3 < sum(map(lines_bytes, found)) <= WAITING_MAX_BYTES + KIB
    told = len(texts(events).encode()) + left_out(events)
    assert told == count * len(piece.encode())


def test_a_gap_is_told_where_it_is() -> None:
    async def run() -> list[Event]:
        progress = Progress()
        async with progress.follow() as stream:
            for _ in range(200):
                progress.tell_output(output("x" * 8 * KIB))
            seen = await anext(stream)
            progress.tell_output(output("y"))
            progress.tell({"type": "end"})
            progress.close()
            return [*seen, *[event async for batch in stream for event in batch]]

    kinds = [event["type"] for event in asyncio.run(run())]
    assert kinds[-3:] == ["output_left_out", "task_output", "end"]
    assert kinds.count("output_left_out") == 1


def test_one_slow_reader_does_not_cost_the_others_anything() -> None:
    async def run() -> tuple[int, int]:
        progress = Progress()
        async with progress.follow() as slow, progress.follow() as quick:
            read = 0
            for _ in range(64):
                progress.tell_output(output("x" * 64 * KIB))
                read += len(texts(await anext(quick)))
            progress.close()
            return read, len(texts(flat([batch async for batch in slow])))

    quick, slow = asyncio.run(run())
    assert quick == 64 * 64 * KIB
    assert slow < WAITING_MAX_BYTES


def test_between_batches_others_get_their_turn() -> None:
    async def run() -> int:
        progress = Progress()
        turns = 0
        async with progress.follow() as stream:
            for _ in range(100):
                progress.tell_output(output("x" * 8 * KIB))
            progress.close()

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.get_running_loop().create_task(other())
            found = [batch async for batch in stream]
            task.cancel()
            assert len(found) > 2
        return turns - len(found)

    assert asyncio.run(run()) >= 0


# From a command's thread


def from_a_thread(work: Callable[[OutputTeller], Any]) -> list[Event]:
    """Have ``work`` give output while the loop is held up; return what a reader sees of it."""

    async def run() -> list[Event]:
        progress = Progress()
        teller = OutputTeller(progress, asyncio.get_running_loop(), "a", "build")
        async with progress.follow() as stream:
            thread = threading.Thread(target=work, args=(teller,))
            thread.start()
            thread.join()  # the loop does nothing meanwhile
            await asyncio.sleep(0)
            progress.close()
            return flat([batch async for batch in stream])

    return asyncio.run(run())


def test_output_of_a_thread_comes_complete_and_in_order() -> None:
    def work(teller: OutputTeller) -> None:
        for number in range(5000):
            teller(f"{number}\n".encode())

    assert from_a_thread(work) == [output("".join(f"{number}\n" for number in range(5000)))]


def test_a_last_line_that_nobody_ended_is_ended() -> None:
    def work(teller: OutputTeller) -> None:
        with teller:
            teller(b"first\nlast\xc3")
        with teller:
            pass  # nothing is open
        with teller:
            teller(b"whole\n")

    assert from_a_thread(work) == [output("first\nlast\ufffd\nwhole\n")]


def test_a_flood_is_bounded_before_the_loop_sees_it() -> None:
    held: list[int] = []

    def work(teller: OutputTeller) -> None:
        for _ in range(200):
            teller(b"x" * 64 * KIB)
        held.append(len(teller._waiting))

    events = from_a_thread(work)
    assert held == [output_teller.WAITING_MAX_BYTES]
    assert [event["type"] for event in events[-2:]] == ["task_output", "output_left_out"]
    assert len(texts(events)) == output_teller.WAITING_MAX_BYTES
    assert left_out(events) == 200 * 64 * KIB - output_teller.WAITING_MAX_BYTES


def test_each_piece_says_in_which_line_it_begins_also_behind_a_gap() -> None:
    class Loop:
        def __init__(self) -> None:
            self.calls: list[Callable[[], None]] = []

        def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
            self.calls.append(call)

    async def run() -> list[Event]:
        progress, loop = Progress(), Loop()
        teller = OutputTeller(progress, loop, "a", "build")  # type: ignore[arg-type]
        async with progress.follow() as stream:
            for chunk in (b"1\n2", b" goes on\n3\n", b"\n" * 600 * KIB, b"far behind\nend"):
                teller(chunk)
                if not chunk.startswith(b"\n"):
                    loop.calls.pop()()
            teller(b"behind it\n")
            loop.calls.pop()()
            progress.close()
            return flat([batch async for batch in stream])

    first, *_, gap, last = asyncio.run(run())
    assert (first["line"], first["text"][:14]) == (1, "1\n2 goes on\n3\n")
    assert gap["type"] == "output_left_out"
    assert (last["line"], last["text"]) == (1 + 3 + 600 * KIB + 1, "behind it\n")


def test_long_pieces_are_cut_and_numbered_each() -> None:
    def act(progress: Progress) -> None:
        progress.tell_output(output("x\n" * 200 * KIB, line=5))

    found = following(act)
    lines = [event["line"] for event in flat(found)]
    assert len(lines) > 1
    expected = 5
    for event in flat(found):
        assert event["line"] == expected
        expected += event["text"].count("\n")


def test_one_call_into_the_loop_is_pending_at_a_time() -> None:
    calls: list[Callable[[], None]] = []

    class Loop:
        def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
            calls.append(call)

    teller = OutputTeller(Progress(), Loop(), "a", "build")  # type: ignore[arg-type]
    for _ in range(10):
        teller(b"x")
    assert len(calls) == 1
    calls.pop()()
    teller(b"x")
    assert len(calls) == 1


def told_one_by_one(chunks: list[bytes]) -> list[str]:
    """Return what comes of each chunk if the loop is quicker than the command."""

    class Told(Progress):
        def __init__(self) -> None:
            super().__init__()
            self.texts: list[str] = []

        def tell_output(self, event: Event) -> None:
            self.texts.append(event["text"])

    class Loop:
        def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
            call()

    progress = Told()
    teller = OutputTeller(progress, Loop(), "a", "build")  # type: ignore[arg-type]
    for chunk in chunks:
        teller(chunk)
    return progress.texts


def test_a_character_split_between_chunks_is_put_together() -> None:
    one, two, *rest = "é😀".encode()
    assert told_one_by_one([bytes([one]), bytes([two]), bytes(rest[:3]), bytes(rest[3:])]) == [
        *("", "é", "", "😀")
    ]
    assert told_one_by_one([b"\xff", b"ok"]) == ["\ufffd", "ok"]


def test_a_character_cut_by_a_gap_does_not_swallow_what_follows() -> None:
    limit = output_teller.WAITING_MAX_BYTES
    cut = b"x" * (limit - 1) + "é".encode()
    first, second = told_one_by_one([cut, b"after"])
    assert first == "x" * (limit - 1) + "\ufffd"
    assert second == "after"
