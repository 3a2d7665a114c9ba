"""What the ledger tells of other nodes' builds: whose word counts, what is found, what is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.entries import CLUSTER
from tests.ledger.store_making import ANN, BOB, Scene
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.history_cursor import cursor_of
from buildnet.ledger.history_filter import ALL, Wanted
from buildnet.ledger.told_builds import ToldBuild, ToldBuilds
from buildnet.mesh.errors import UsageError
from buildnet.mesh.testing import key_number

EVE = CheapSigner(key_number(3).public_key)


class Ledger:
    """Entries of builds, taken in as they are made."""

    def __init__(self, path: Path) -> None:
        self.told = ToldBuilds(path / "told.db")
        self.told.open()
        self.told.begin(CLUSTER)
        self.scene = Scene()
        self.own = EVE.public_key
        self.recorded: set[str] = set()

    def say(self, what: str, build: str, who: CheapSigner = ANN, **data: Any) -> None:
        one = self.scene.add(who, type=f"build.{what}", entity=f"build:{build}", data=data)
        self.told.take(
            [one],
            "1.-",
            is_own=lambda key: key == self.own,
            is_proven=lambda entry: bool(entry.data.get("proof")),
            recorded=self.recorded,
        )

    def begin(self, build: str, who: CheapSigner = ANN, **data: Any) -> None:
        asked = {"workspace": "shop", "task": "build", "packages": ["app"], "config_id": None}
        self.say("started", build, who, **(asked | data))

    def listed(self, wanted: Wanted = ALL, **more: Any) -> list[ToldBuild]:
        asked = {"limit": 100, "before": None, "drivers": None} | more
        return self.told.page(wanted=wanted, **asked)

    def ids(self, **wanted: Any) -> list[str]:
        return [one.id for one in self.listed(Wanted(**wanted))]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path)
    yield made
    made.told.close()


def test_a_build_is_told_from_its_beginning_to_its_end(ledger: Ledger) -> None:
    ledger.begin("b1", packages=["app", "web"], packages_left_out=3, config_id="fast")
    (one,) = ledger.listed()
    assert (one.id, one.driver, one.workspace, one.task) == ("b1", ANN.public_key, "shop", "build")
    assert (one.packages, one.left_out, one.configuration) == (("app", "web"), 3, "fast")
    assert (one.status, one.triggered_by, one.completed_at) == ("running", "ann", None)
    ledger.say("failed", "b1", error="app: no", duration_ms=1500)
    (after,) = ledger.listed()
    assert (after.status, after.error, after.duration_ms) == ("failed", "app: no", 1500.0)
    assert (after.completed_at or 0) > after.started_at
    assert ledger.told.counts(ALL, None) == {"failed": 1}


@pytest.mark.parametrize(
    ("what", "status"),
    [("completed", "succeeded"), ("failed", "failed"), ("cancelled", "cancelled")],
)
def test_each_end_is_called_as_in_the_record(ledger: Ledger, what: str, status: str) -> None:
    ledger.begin("b1")
    ledger.say(what, "b1", reason="enough", error="no", duration_ms=True)
    (one,) = ledger.listed()
    assert (one.status, one.duration_ms) == (status, None)
    assert one.error == {"cancelled": "enough", "failed": "no"}.get(status, "no")


def test_nobody_else_ends_a_build_begins_it_again_or_gives_it_away(ledger: Ledger) -> None:
    ledger.begin("b1")
    ledger.say("failed", "b1", BOB, error="not so")
    ledger.say("failed", "b1", BOB, error="not so", term=7)
    ledger.begin("b1", BOB, workspace="elsewhere")
    ledger.say("handed_over", "b1", BOB, to="account:bob")
    (one,) = ledger.listed()
    assert (one.status, one.workspace, one.triggered_by) == ("running", "shop", "ann")
    ledger.say("handed_over", "b1", to="account:carl")
    assert ledger.ids(actor="account:carl") == ["b1"]
    assert ledger.ids(text="CARL") == ["b1"]
    assert ledger.ids(actor="ann") == []


def test_who_took_a_build_over_is_its_driver_and_tells_its_end(ledger: Ledger) -> None:
    ledger.begin("b1")
    ledger.say("taken_over", "b1", BOB, term=2)
    ledger.say("failed", "b1", error="this node stopped")  # its first node knows no better yet
    assert [(one.driver, one.status) for one in ledger.listed()] == [(BOB.public_key, "failed")]
    ledger.say("completed", "b1", BOB, term=2, duration_ms=9)
    ledger.say("failed", "b1", error="this node stopped")
    assert [one.status for one in ledger.listed()] == ["succeeded"]


def drivers(ledger: Ledger) -> list[tuple[bytes, str, str]]:
    return [(one.driver, one.workspace, one.status) for one in ledger.listed()]


def test_who_proves_it_counts_before_who_says_so(ledger: Ledger) -> None:
    """Eve is another member here, who drives nothing."""
    ledger.own = b""
    honest = (ANN.public_key, "shop", "running")
    ledger.begin("b1", proof=True)
    ledger.say("taken_over", "b1", EVE, term=9)
    ledger.begin("b1", EVE, workspace="forged", proof=True)
    ledger.say("failed", "b1", EVE, term=9)
    assert drivers(ledger) == [honest]
    ledger.say("taken_over", "b1", BOB, term=1, proof=True)
    ledger.say("taken_over", "b1", EVE, term=9)
    ledger.say("completed", "b1", BOB, term=1)
    assert drivers(ledger) == [(BOB.public_key, "shop", "succeeded")]


def test_what_was_believed_without_proof_is_taken_back(ledger: Ledger) -> None:
    ledger.own = b""
    ledger.begin("b1", EVE, workspace="forged")
    ledger.say("taken_over", "b1", EVE, term=9)
    ledger.say("failed", "b1", EVE, term=9, error="forged")
    assert drivers(ledger) == [(EVE.public_key, "forged", "failed")]
    ledger.begin("b1", proof=True)
    assert drivers(ledger) == [(ANN.public_key, "shop", "running")]
    ledger.say("failed", "b1", EVE, term=9, error="forged")
    assert [one.error for one in ledger.listed()] == [None]
    ledger.say("taken_over", "b2", EVE, term=9)
    ledger.say("failed", "b2", EVE, term=9, error="forged")
    ledger.say("taken_over", "b2", BOB, term=1, proof=True)
    ledger.begin("b2", proof=True)
    (second, _) = ledger.listed()
    assert (second.driver, second.status, second.error) == (BOB.public_key, "running", None)


def test_a_build_whose_beginning_comes_late_is_listed_then(ledger: Ledger) -> None:
    ledger.say("taken_over", "b1", BOB, term=1)
    ledger.say("completed", "b1", BOB, term=1, duration_ms=9)
    assert ledger.listed() == []
    assert ledger.told.counts(ALL, None) == {}
    ledger.begin("b1")
    (one,) = ledger.listed()
    assert (one.status, one.driver, one.workspace) == ("succeeded", BOB.public_key, "shop")


def test_what_this_node_has_on_record_is_not_listed_again(ledger: Ledger) -> None:
    ledger.begin("b1", EVE)
    ledger.recorded.add("b2")
    ledger.begin("b2")
    assert ledger.listed() == []
    ledger.begin("b3")
    ledger.say("taken_over", "b3", EVE, term=1)
    assert ledger.listed() == []
    ledger.begin("b4")
    ledger.recorded.add("b4")  # it took the build over: that is on record before the ledger says so
    ledger.say("taken_over", "b4", EVE, term=1)
    assert ledger.listed() == []
    assert ledger.told.counts(ALL, None) == {}


@pytest.mark.parametrize("build", ["", "b/1", "b" * 65, "a b"])
def test_what_is_no_id_is_passed_over(ledger: Ledger, build: str) -> None:
    ledger.begin(build)
    assert ledger.listed() == []


def test_data_of_another_form_does_no_harm(ledger: Ledger) -> None:
    ledger.begin("b1", workspace=7, task=None, packages=["a", 3, None], packages_left_out=-1)
    ledger.say("taken_over", "b1", BOB, term="x")
    ledger.say("completed", "b1", duration_ms=-5, term=1e99)
    (one,) = ledger.listed()
    assert (one.workspace, one.task, one.packages, one.left_out) == ("", "", ("a",), 0)
    assert (one.status, one.duration_ms) == ("succeeded", None)


def test_filters_find_what_they_say(ledger: Ledger) -> None:
    ledger.begin("aa11", packages=["app"])
    ledger.begin("bb22", BOB, workspace="Bakery", task="test", packages=["oven"])
    ledger.say("completed", "bb22", BOB)
    assert ledger.ids() == ["bb22", "aa11"]
    assert ledger.ids(status="running") == ["aa11"]
    assert ledger.ids(workspace="Bakery") == ["bb22"]
    assert ledger.ids(workspaces=frozenset({"shop", "none"})) == ["aa11"]
    assert ledger.ids(workspaces=frozenset()) == []
    for text in ("b22", "bAKE", "OVEN", "test"):
        assert ledger.ids(text=text) == ["bb22"], text
    numbers = ledger.told.drivers()
    (bob,) = ledger.listed(drivers=[numbers[BOB.public_key]])
    assert bob.id == "bb22"
    wanted = Wanted(status="failed", text="oven")  # counts are of each status
    assert ledger.told.counts(wanted, None) == {"succeeded": 1}
    assert ledger.told.counts(ALL, [numbers[ANN.public_key]]) == {"running": 1}


def test_who_drove_a_build_is_found_by_the_beginning_of_its_id(ledger: Ledger) -> None:
    ledger.begin("aa11")
    ledger.say("taken_over", "aa11", BOB, term=1)
    ledger.begin("aa22", BOB)
    assert ledger.told.drove("aa1") == ("aa11", (ANN.public_key, BOB.public_key))
    assert ledger.told.drove("aa22") == ("aa22", (BOB.public_key,))
    for none in ("aa", "", "b", "a%", "aa111"):
        assert ledger.told.drove(none) is None, none


def test_pages_follow_each_other(ledger: Ledger) -> None:
    for number in range(5):
        ledger.begin(f"b{number}")
    first = ledger.listed(limit=2)
    cursor = cursor_of(first[-1].started_at, first[-1].id)
    rest = ledger.listed(before=cursor)
    assert [one.id for one in (*first, *rest)] == ["b4", "b3", "b2", "b1", "b0"]
    with pytest.raises(UsageError):
        ledger.listed(before="nonsense")


def test_another_cluster_begins_anew_and_the_same_one_goes_on(ledger: Ledger) -> None:
    assert ledger.told.begin(CLUSTER) is None
    ledger.begin("b1")
    before = ledger.told.version
    assert ledger.told.begin(CLUSTER) == "1.-"
    assert ledger.told.version == before
    assert ledger.told.begin(b"d" * 32) is None
    assert (ledger.listed(), ledger.told.drivers()) == ([], {})
    assert ledger.told.version > before


def _damage(path: Path) -> None:
    path.write_bytes(b"no database at all, and longer than a header is" * 100)


def _newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


@pytest.mark.parametrize("change", [_damage, _newer, lambda path: None])
def test_a_file_that_is_of_no_use_is_made_anew(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin("b1")
    ledger.told.close()
    change(tmp_path / "told.db")
    ledger.told.open()
    is_kept = change not in (_damage, _newer)
    assert ledger.told.begin(CLUSTER) == ("1.-" if is_kept else None)
    assert ledger.ids() == (["b1"] if is_kept else [])
    ledger.told.close()
    assert (ledger.listed(), ledger.told.drivers()) == ([], {})
