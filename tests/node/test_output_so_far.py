"""What running tasks printed so far: bounds, restarts, gaps, and what of it is new."""

from __future__ import annotations

import random

import pytest

from buildnet.node.output_so_far import MOST_TASKS, OutputSoFar, Printed


def kept(so_far: OutputSoFar[str]) -> dict[str, Printed]:
    return dict(so_far)


def printed(count: int) -> str:
    return "".join(f"line {number}\n" for number in range(1, count + 1))


def test_pieces_are_put_together_and_go_when_the_task_is_over() -> None:
    so_far: OutputSoFar[str] = OutputSoFar()
    so_far.add("a", 1, "one\ntw")
    so_far.add("a", 2, "o\n")
    so_far.add("b", 1, "other")
    assert kept(so_far) == {"a": Printed(1, "one\ntwo\n"), "b": Printed(1, "other")}
    so_far.forget("a")
    so_far.forget("unknown")
    assert kept(so_far) == {"b": Printed(1, "other")}


@pytest.mark.parametrize("seed", range(20))
def test_the_latest_whole_lines_are_kept_with_their_number(seed: int) -> None:
    dice = random.Random(seed)
    text, so_far = printed(3000), OutputSoFar[str](most_of_one=9000)
    at = 0
    while at < len(text):
        size = dice.choice((1, 7, 100, 5000, 20_000))
        so_far.add("a", 1 + text.count("\n", 0, at), text[at : at + size])
        at += size
    ((line, latest),) = kept(so_far).values()
    assert text.endswith(latest)
    assert 4000 < len(latest) <= 9000
    assert latest.startswith(f"line {line}\n")


def test_all_together_are_bounded_and_the_longest_give_way() -> None:
    so_far: OutputSoFar[str] = OutputSoFar(most_of_one=20_000, most_of_all=40_000)
    so_far.add("short", 1, "kept\n")
    for name in "abcd":
        so_far.add(name, 1, printed(1500))
    found = kept(so_far)
    assert found["short"] == Printed(1, "kept\n")
    assert sum(len(each.text) for each in found.values()) <= 40_000
    for name in "abcd":
        so_far.forget(name)
    so_far.add("e", 1, printed(1500))
    assert len(kept(so_far)["e"].text) > 13_800, "what is forgotten does not count"


def test_another_run_and_what_comes_after_a_gap_take_the_place_of_what_was() -> None:
    so_far: OutputSoFar[str] = OutputSoFar()
    so_far.add("a", 1, "first\n")
    so_far.add("a", 1, "again\n")
    assert kept(so_far) == {"a": Printed(1, "again\n")}
    so_far.add("a", 9, "later\n")
    assert kept(so_far) == {"a": Printed(9, "later\n")}


@pytest.mark.parametrize(
    ("line", "text", "new"),
    [
        (1, "one\ntwo\nthree", Printed(2, "o\nthree")),
        (2, "two\n", Printed(2, "o\n")),
        (1, "one\ntw", Printed(2, "")),
        (5, "far\n", Printed(5, "far\n")),
        (1, "on", Printed(1, "on")),
        (1, "one\nt", Printed(1, "one\nt")),
    ],
)
def test_what_is_new_in_a_text_begins_where_the_known_one_ends(
    line: int, text: str, new: Printed
) -> None:
    so_far: OutputSoFar[str] = OutputSoFar()
    assert so_far.unknown("a", line, text) == Printed(line, text)
    so_far.add("a", 1, "one\ntw")
    assert so_far.unknown("a", line, text) == new


@pytest.mark.parametrize("text", ["", "x"])
def test_of_any_number_of_tasks_the_latest_are_known(text: str) -> None:
    so_far: OutputSoFar[str] = OutputSoFar()
    names = [f"task {number}" for number in range(MOST_TASKS + 10)]
    for name in names:
        so_far.add(name, 0, text)
    assert so_far.tasks() == names[10:]
