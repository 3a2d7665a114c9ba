"""Tools that other hosts have."""

from __future__ import annotations

from buildnet.pool.far_tools import FarTools, ToolsWanted, best_of


def has(owner: str, digest: str, platform: str = "linux") -> FarTools:
    return FarTools((owner.encode(),), (owner,), {"OSFamily": platform}, {"gcc": digest})


def test_all_tools_have_to_be_there_in_versions_that_do() -> None:
    wanted = ToolsWanted(("gcc", "make"), versions={"gcc": ">=12"})
    assert wanted.is_met_by({"gcc": "13.2", "make": ""}, {})
    assert not wanted.is_met_by({"gcc": "11.4", "make": "4"}, {})
    assert not wanted.is_met_by({"gcc": "13.2"}, {})
    assert not wanted.is_met_by({"gcc": "unknown", "make": "4"}, {})


def test_the_most_hosts_that_have_the_same_are_taken() -> None:
    found = best_of([has("c", "1"), has("a", "2"), has("b", "1"), has("d", "1", "darwin")])
    assert found == FarTools((b"b", b"c"), ("b", "c"), {"OSFamily": "linux"}, {"gcc": "1"})
    assert best_of([]) is None


def test_of_equals_it_is_always_the_same() -> None:
    one, other = has("a", "1"), has("b", "2")
    assert best_of([one, other]) == best_of([other, one])
