"""The list of what was given up: kept, bounded, found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.node.dead_letters import MOST, DeadLetter, DeadLetters
from buildnet.pool.attempts import Attempt
from buildnet.pool.workspace import TaskId


def letter(number: int, package: str | None = None) -> DeadLetter:
    attempts = (Attempt("n", "node2", 1.0, "HOST_LOST", "it is gone"),)
    return DeadLetter(
        f"{number:012x}",
        float(number),
        "build",
        "shop",
        "/w",
        package or f"p{number}",
        "build",
        None,
        {"code": "UNEXPECTED", "message": "m", "cause": None, "hint": None},
        attempts,
    )


def test_letters_outlive_the_process_and_are_bounded(tmp_path: Path) -> None:
    file = tmp_path / "letters.json"
    DeadLetters(file).put(letter(number) for number in range(MOST + 5))
    found = DeadLetters(file).all()
    assert len(found) == MOST
    assert found[0] == letter(MOST + 4)


def test_what_is_given_up_again_stands_there_once(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "letters.json")
    letters.put([letter(1, "core"), letter(2, "app"), letter(3, "core")])
    assert [each.id for each in letters.all()] == [letter(3).id, letter(2).id]


def test_a_letter_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "letters.json")
    letters.put([letter(0x10), letter(0x11)])
    assert letters.find(f"{0x10:012x}").package == "p16"
    with pytest.raises(UsageError):
        letters.find("0000")
    for unknown in ("", "ff"):
        with pytest.raises(NotFoundError):
            letters.find(unknown)


def test_letters_are_removed(tmp_path: Path) -> None:
    letters = DeadLetters(file := tmp_path / "letters.json")
    letters.put([letter(1), letter(2), letter(3)])
    assert letters.remove([letter(1).id, "unknown"]) == 1
    assert letters.remove() == 2
    assert DeadLetters(file).all() == []


def test_what_has_run_since_is_told_of_no_more(tmp_path: Path) -> None:
    letters = DeadLetters(file := tmp_path / "letters.json")
    letters.put([letter(1), letter(2), letter(3)])
    letters.settle("/w", {TaskId("p1", "build"), TaskId("p2", "test"), TaskId("p9", "build")})
    letters.settle("/x", {TaskId("p2", "build")})
    assert [each.package for each in DeadLetters(file).all()] == ["p3", "p2"]


@pytest.mark.parametrize("content", ["", "[]", '{"letters": [{}]}', '{"letters": 3}', "\x00"])
def test_a_damaged_file_costs_the_list_alone(tmp_path: Path, content: str) -> None:
    (file := tmp_path / "letters.json").write_text(content)
    letters = DeadLetters(file)
    assert letters.all() == []
    letters.put([letter(1)])
    assert DeadLetters(file).all() == [letter(1)]


def test_without_room_it_is_kept_in_memory(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "nowhere" / "letters.json")
    letters.put([letter(1)])
    assert letters.all() == [letter(1)]
