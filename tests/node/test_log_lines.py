"""What is kept of a node's log, what of it is found, and who hears it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Iterator

import pytest

from buildnet.node.events.channel import Channel, Wanted
from buildnet.node.events.log_source import LogSource
from buildnet.node.events.service import Events
from buildnet.node.log_lines import (
    LINE_CHARACTERS,
    MOST_CHARACTERS,
    MOST_LINES,
    Level,
    LogLine,
    LogLines,
    kept_log,
    level_of,
)


@pytest.fixture
def said() -> Iterator[logging.Logger]:
    """A logger that tells nobody but who is added."""
    logger = logging.Logger("buildnet.test", logging.DEBUG)
    yield logger
    for handler in logger.handlers:
        handler.close()


@pytest.fixture
def lines(said: logging.Logger) -> LogLines:
    lines = LogLines(started=100.0)
    said.addHandler(lines)
    return lines


def messages(found: tuple[list[LogLine], int | None]) -> list[str]:
    return [line.message for line in found[0]]


def test_a_line_says_when_who_what_and_how_bad(said: logging.Logger, lines: LogLines) -> None:
    try:
        raise OSError("no room")
    except OSError:
        said.exception("%d builds are lost", 3)
    [line], following = lines.latest(Level.DEBUG, "", 9, None)
    assert (line.level, line.source, line.message) == (
        "error",
        "buildnet.test",
        "3 builds are lost",
    )
    assert line.exception is not None
    assert line.exception.endswith("OSError: no room")
    assert following is None
    assert json.loads(json.dumps(line.as_dict()))["level"] == "error"


def test_the_newest_come_first_and_part_by_part(said: logging.Logger, lines: LogLines) -> None:
    for number in range(5):
        said.info("line %d", number)
    first, following = lines.latest(Level.DEBUG, "", 2, None)
    assert [line.message for line in first] == ["line 4", "line 3"]
    said.info("line 5")  # what comes meanwhile moves no part
    second, following = lines.latest(Level.DEBUG, "", 2, following)
    assert [line.message for line in second] == ["line 2", "line 1"]
    assert messages(lines.latest(Level.DEBUG, "", 2, following)) == ["line 0"]
    assert lines.latest(Level.DEBUG, "", 6, None)[1] is None


def test_lines_are_found_by_level_and_by_what_stands_in_them(
    said: logging.Logger, lines: LogLines
) -> None:
    said.debug("looked")
    said.info("Node answers")
    said.warning("a LINK broke")
    said.critical("over")
    assert messages(lines.latest(Level.INFO, "", 9, None)) == [
        "over",
        "a LINK broke",
        "Node answers",
    ]
    assert messages(lines.latest(Level.WARNING, "", 9, None)) == ["over", "a LINK broke"]
    assert messages(lines.latest(Level.DEBUG, "link", 9, None)) == ["a LINK broke"]
    assert messages(lines.latest(Level.DEBUG, "BuildNet.TEST", 1, None)) == ["over"]
    assert messages(lines.latest(Level.WARNING, "answers", 9, None)) == []


def test_levels_between_two_count_as_the_lesser() -> None:
    assert [level_of(number) for number in (1, 10, 25, 30, 60)] == [
        *("debug", "debug", "info", "warning", "critical")
    ]


def test_memory_is_bounded_in_lines_and_characters(said: logging.Logger, lines: LogLines) -> None:
    for number in range(MOST_LINES + 10):
        said.info("%d", number)
    kept = messages(lines.latest(Level.DEBUG, "", 2 * MOST_LINES, None))
    assert (len(kept), kept[-1]) == (MOST_LINES, "10")
    for _ in range(MOST_LINES):
        said.info("x" * 2 * LINE_CHARACTERS)
    found, _ = lines.latest(Level.DEBUG, "", MOST_LINES, None)
    assert MOST_CHARACTERS // 2 < sum(line.size for line in found) <= MOST_CHARACTERS
    assert {len(line.message) for line in found} == {LINE_CHARACTERS}


def test_a_later_run_goes_on_counting_above(said: logging.Logger, lines: LogLines) -> None:
    said.info("one")
    [one], _ = lines.latest(Level.DEBUG, "", 1, None)
    said.removeHandler(lines)
    later = LogLines(started=101.0)
    said.addHandler(later)
    said.info("two")
    [two], _ = later.latest(Level.DEBUG, "", 1, None)
    assert two.number > one.number + 900


def test_who_listens_hears_each_line_until_they_go(said: logging.Logger, lines: LogLines) -> None:
    heard: list[LogLine] = []
    with lines.listening(heard.append):
        said.info("one")
    said.info("two")
    assert [line.message for line in heard] == ["one"]


def test_a_record_that_can_t_be_formatted_ends_nothing(
    said: logging.Logger, lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    said.info("%d", "no number")
    said.info("two")
    assert messages(lines.latest(Level.DEBUG, "", 9, None)) == ["two"]


def test_a_node_keeps_what_its_process_logs() -> None:
    with kept_log() as lines:
        logging.getLogger("buildnet.node").warning("odd")
    logging.getLogger("buildnet.node").warning("later")
    assert messages(lines.latest(Level.DEBUG, "", 9, None)) == ["odd"]


def test_lines_of_any_thread_are_told_as_events(said: logging.Logger, lines: LogLines) -> None:
    async def work() -> None:
        events = Events()
        wanted = Wanted(frozenset({Channel.NODE_LOGS}))
        async with (
            events.running([LogSource(lines, events.hub)]),
            events.open(wanted, None) as subscription,
        ):
            assert json.loads(subscription.opening.text)["missing"] == []
            elsewhere = threading.Thread(target=said.warning, args=("from a thread",))
            elsewhere.start()
            [event] = await subscription.next(30)
            elsewhere.join()
            told = json.loads(event.text)
            assert (told["channel"], told["type"]) == ("node_logs", "log_line")
            [line], _ = lines.latest(Level.DEBUG, "", 1, None)
            assert told["data"] == line.as_dict()

    asyncio.run(asyncio.wait_for(work(), 60))


def test_a_name_that_is_no_text_is_kept_as_one(said: logging.Logger, lines: LogLines) -> None:
    name = os.fsdecode(b"\xff.txt")
    try:
        raise OSError(name)
    except OSError:
        said.exception("%s can't be read", name)
    (line,) = lines.latest(Level.DEBUG, "", 1, None)[0]
    assert line.message == "\\udcff.txt can't be read"
    assert line.exception
    json.dumps(line.as_dict(), ensure_ascii=False).encode()
