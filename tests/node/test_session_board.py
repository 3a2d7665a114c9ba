"""What other nodes tell of those who use them, which need not be true."""

from __future__ import annotations

import json

import pytest

from buildnet.node.api.session_routes import whole_id
from buildnet.node.session_board import read_found


@pytest.mark.parametrize(
    ("named", "expected"),
    [("aaaa1", "aaaa1"), ("aaaa", None), ("bbbb", "bbbb22"), ("bbb", None), ("cccc", None)],
)
def test_a_session_is_named_by_its_id_or_the_beginning_of_it(
    named: str, expected: str | None
) -> None:
    ids = ["aaaa1", "aaaa12", "bbbb22", "bbbb22"]  # a node says that another's is there, too
    assert whole_id(({"id": name} for name in ids), named) == expected


@pytest.mark.parametrize("said", [{}, {"id": 7}, {"id": ""}, {"id": "\x1b[2J"}, [], "aaaa"])
def test_what_has_no_id_is_left_out(said: object) -> None:
    good = [{"id": "aaaa1"}]
    assert read_found(json.dumps([said, {"build_id": "bb"}, *good]), "id") == good
    assert read_found(json.dumps([said, {"build_id": "bb"}]), "build_id") == [{"build_id": "bb"}]


@pytest.mark.parametrize(
    "said",
    ["{", "{}", "[" * 40_000, '[{"id":"aa","x":"\\ud800"}]', '[{"id":"aa","x":1e999}]', "[NaN]"],
)
def test_what_is_no_json_is_not_told_on(said: str) -> None:
    assert read_found(said, "id") is None


def test_what_is_nested_too_deeply_is_not_told_on() -> None:
    """Whoever goes through it would run out of stack."""
    build = {"build_id": "bb", "request": {"packages": ["app"]}}
    assert read_found(json.dumps([{"id": "aa", "builds": [build]}]), "id") is not None
    assert read_found('[{"id":"aa","x":' + "[" * 500 + "]" * 500 + "}]", "id") is None
