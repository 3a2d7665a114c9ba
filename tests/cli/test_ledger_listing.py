"""A list of the ledger goes on looking until it has what was asked for, or there is no more."""

from __future__ import annotations

from typing import Any, cast

import pytest

from buildnet.cli.client import Client
from buildnet.cli.commands import invoke
from buildnet.cli.ledger_listing import find_entries, sealed_only
from buildnet.mesh.errors import UsageError


class Node:
    """Answers with pages."""

    def __init__(self, *pages: tuple[list[int], str | None] | type[BaseException]) -> None:
        self._pages = list(pages)
        self.asked: list[tuple[int, str | None]] = []

    def get(self, path: str, *, limit: int, cursor: str | None, **wanted: object) -> dict[str, Any]:
        assert (path, wanted) == ("/api/ledger", {"text": "oak"})
        self.asked.append((limit, cursor))
        page = self._pages.pop(0)
        if isinstance(page, type):
            raise page
        numbers, following = page
        entries = [{"id": number} for number in numbers]
        return {"entries": entries, "next": following, "looked_to": following and "yesterday"}


def found(node: Node, limit: int, cursor: str | None = None) -> tuple[list[int], str | None]:
    data = find_entries(cast(Client, node), {"text": "oak"}, limit, cursor)
    return [one["id"] for one in data["entries"]], data["next"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildnet.cli.ledger_listing._tell", lambda _: None)


def test_pages_with_few_or_no_entries_are_followed_by_more() -> None:
    node = Node(([], "a"), ([1], "b"), ([], "c"), ([2, 3], "d"))
    assert found(node, 3) == ([1, 2, 3], "d")
    assert node.asked == [(3, None), (3, "a"), (2, "b"), (2, "c")]


def test_it_ends_where_there_is_no_more() -> None:
    assert found(Node(([], "a"), ([1], None)), 3) == ([1], None)
    assert found(Node(([], None)), 3, "x") == ([], None)


def test_interrupted_it_shows_what_it_found_and_where_to_go_on() -> None:
    assert found(Node(([1], "a"), KeyboardInterrupt), 3) == ([1], "a")
    with pytest.raises(KeyboardInterrupt):
        found(Node(([], "a"), KeyboardInterrupt), 3)


def test_only_what_is_sealed_and_only_what_is_not_can_not_be_asked_for_at_once() -> None:
    assert [sealed_only(*both) for both in ((True, False), (False, True), (False, False))] == [
        True,
        False,
        None,
    ]
    for command in (["ledger", "list"], ["audit", "export"]):
        with pytest.raises(UsageError, match="both sealed and provisional"):
            invoke([*command, "--sealed", "--provisional"])
