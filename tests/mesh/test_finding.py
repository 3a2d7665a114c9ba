"""Who is meant by what a person types: an id wins, whatever others call themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from buildnet.mesh.errors import UsageError
from buildnet.mesh.service.finding import find_one
from buildnet.mesh.service.opening import MeshSettings


@dataclass(frozen=True)
class One:
    id: str
    name: str
    other: str = ""


ANNA = One("aaaa000000000001", "anna")
BERTA = One("bbbb000000000002", "berta")
CARA = One("bbbb000000000003", "cara")


def find(text: str, *among: One) -> One | None:
    return find_one(
        text,
        among or (ANNA, BERTA, CARA),
        ids=lambda one: (one.id,),
        names=lambda one: (one.name, one.other),
        what="members",
        listed_by="buildnet node list",
    )


@pytest.mark.parametrize("text", ["anna", "aaaa", "AAAA0", ANNA.id, ANNA.id.upper()])
def test_by_name_and_by_id(text: str) -> None:
    assert find(text) is ANNA


@pytest.mark.parametrize("text", ["aaa", "nobody", "aaaa000000000009", "ann"])
def test_nobody(text: str) -> None:
    assert find(text) is None


@pytest.mark.parametrize("text", ["aaaa", "aaaa00000", ANNA.id, ANNA.id.upper()])
def test_an_id_wins_over_who_calls_itself_so(text: str) -> None:
    assert find(text, One("cccc000000000004", text), ANNA) is ANNA


def test_nobody_is_found_by_a_name_that_looks_like_an_id() -> None:
    assert find("dddd000000000005", One("cccc000000000004", "dddd000000000005")) is None


def test_several_of_one_name_or_beginning() -> None:
    second = One("cccc000000000004", "x", other="anna")
    with pytest.raises(UsageError, match="several members are called 'anna'") as called:
        find("anna", ANNA, second)
    assert "node id" in str(called.value.hint)
    with pytest.raises(UsageError, match="ids of several members begin with 'bbbb'"):
        find("bbbb")


def test_a_name_that_looks_like_an_id_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be a node's name") as refused:
        MeshSettings(tmp_path, "0123456789abcDEF")
    assert "--name" in str(refused.value.hint)
    MeshSettings(tmp_path, "0123456789abcdef0")
