"""Builds as the ledger has them: how they began, ended, and who went on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.node.recording_ledger import BEGAN, NODE, WARRANT, OneLedger, run, written

from buildnet.ledger.accounts import Books
from buildnet.ledger.entry import ActorKind
from buildnet.ledger.entry_types import TYPES
from buildnet.ledger.merkle import root_of
from buildnet.mesh.digest import Digest
from buildnet.node.build_record import (
    BuildBegan,
    BuildEnded,
    BuildInterrupted,
    BuildTakenOver,
    Results,
    leaf_of,
)
from buildnet.node.cancelled import NODE_STOPPED, Cancelled
from buildnet.node.recording import Recording


def report(name: str, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    return {
        **{"name": name, "task": "build", "status": status, "tier": "full", "duration_ms": 12.4},
        **{"node": NODE, "action": "ab" * 32, "error": None},
        **changes,
    }


def no_result(action: Digest) -> bytes | None:
    return None


def ended(*packages: dict[str, Any], status: str = "succeeded", **changes: Any) -> BuildEnded:
    given: dict[str, Any] = {
        **{"build_id": "b1", "actor": "ann", "status": status, "duration_ms": 1234.5},
        **{"error": None, "packages": packages, "unchanged": 0, "results": Results((), no_result)},
    }
    return BuildEnded(**{**given, **changes})


def test_a_build_is_two_entries_and_one_account(tmp_path: Path) -> None:
    actions = (Digest.of(b"two"), Digest.of(b"one"), Digest.of(b"lost"))
    signed = {actions[0]: b"signed two", actions[1]: b"signed one"}
    of_store = {action: leaf_of(each) for action, each in signed.items()}

    async def work(ledger: OneLedger, recording: Recording) -> None:
        end = ended(report("core"), report("page"), results=Results(actions, of_store.get))
        began, completed = await written(ledger, BEGAN, end)
        assert (began.body.type, completed.body.type) == ("build.started", "build.completed")
        assert began.body.actor.id == "ann"
        for entry in (began, completed):
            assert entry.body.entity == "build:b1"
            assert entry.data.keys() <= TYPES[entry.body.type].fields.keys()
        states = [one.state for one in (*began.body.postings, *completed.body.postings)]
        assert states == ["", "running", "running", "completed"]
        assert {one.account for one in completed.body.postings} == {"build:b1/0"}
        ordered = sorted(actions[:2], key=lambda one: one.hash)
        leaves = [bytes.fromhex(Digest.of(signed[one]).hash) for one in ordered]
        assert completed.data["root"] == root_of(leaves).hex()
        assert completed.data["metrics"] == {
            **{"packages": 2, "results": 2, "status_succeeded": 2, "tier_full": 2}
        }
        (row,) = await ledger.store.table("builds")
        assert (row["status"], row["duration_ms"]) == ("completed", 1234)
        assert len(await ledger.store.table("build_packages")) == 2

    run(tmp_path, work)


def test_a_record_that_is_written_again_is_there_once(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        end = ended(report("core"))
        assert len(await written(ledger, BEGAN, BEGAN, end, end)) == 2

    run(tmp_path, work)


def test_failed_and_cancelled_builds_say_why(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        broken = report("page", "failed", error={"message": "the command failed"})
        records = (
            ended(report("core"), broken, status="failed"),
            ended(build_id="b2", status="cancelled", cancelled=Cancelled("root", "because")),
            ended(build_id="b4", status="cancelled", cancelled=NODE_STOPPED),
            ended(build_id="b3", status="failed", error="x" * 9000),
        )
        failed, cancelled, stopped, long = await written(ledger, *records)
        assert failed.data["error"] == "page: the command failed"
        assert [one["name"] for one in failed.data["packages"]] == ["page", "core"]
        assert (cancelled.body.actor.id, cancelled.data["reason"]) == ("root", "because")
        assert stopped.body.actor.kind == ActorKind.NODE
        assert stopped.data["reason"] == "the node was stopped"
        assert len(long.data["error"]) == 500
        # Their beginnings are not in this ledger: the accounts begin with the end.
        assert [one.state for one in failed.body.postings] == ["", "failed"]

    run(tmp_path, work)


def test_a_build_of_thousands_of_packages_fits_and_tells_the_failures(tmp_path: Path) -> None:
    packages = [report(f"package-{number}-{'x' * 60}") for number in range(5000)]
    packages.append(report("last", "failed", error={"message": "no"}, task="test"))

    async def work(ledger: OneLedger, recording: Recording) -> None:
        names = (*(one["name"] for one in packages), "bad-\udcff")
        began = BuildBegan("b1", WARRANT, "ann\x00\udcff", "shop", "build", names)
        start, end = await written(ledger, began, ended(*packages, status="failed"))
        assert end.data["packages"][0]["name"] == "last#test"
        kept = len(end.data["packages"])
        assert kept > 100
        assert end.data["packages_left_out"] == 5001 - kept
        assert end.data["metrics"]["status_failed"] == 1
        assert start.data["packages_left_out"] > 0
        assert start.body.actor.id == "ann??"

    run(tmp_path, work)


def test_a_build_that_a_crash_interrupted_is_closed_where_it_began(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        why = "the node stopped during this build"
        once = BuildInterrupted("b1", why)
        entries = await written(ledger, BEGAN, once, once, BuildInterrupted("b9", why))
        assert [one.body.type for one in entries] == ["build.started", "build.cancelled"]
        assert entries[1].data["reason"] == why

    run(tmp_path, work)


def test_who_goes_on_with_a_build_has_an_account_of_its_own_and_the_end_stands_there(
    tmp_path: Path,
) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        over, late = BuildTakenOver("b1", 1, WARRANT), ended(report("core"))
        end = ended(report("core"), term=1)
        entries = await written(ledger, BEGAN, over, over, end, late)
        types = [one.body.type for one in entries]
        assert types == ["build.started", "build.taken_over", "build.completed", "build.completed"]
        said = WARRANT.encode().hex()
        assert entries[1].data == {"term": 1, "before": 0, "warrant": said}
        assert entries[2].data["term"] == 1
        books = Books()
        voids = [books.apply(one).is_void for one in entries]
        assert voids == [False, False, False, True]  # who was taken over from counts no more
        assert books.state("build:b1") == "completed"

    run(tmp_path, work)


def test_a_build_whose_beginning_was_lost_with_its_node_can_be_taken_over(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        entries = await written(
            ledger, BuildTakenOver("b1", 3, WARRANT), ended(report("core"), term=3)
        )
        said = WARRANT.encode().hex()
        assert entries[0].data == {"term": 3, "before": None, "warrant": said}
        books = Books()
        assert not any(books.apply(one).is_void for one in entries)
        assert books.state("build:b1") == "completed"

    run(tmp_path, work)
