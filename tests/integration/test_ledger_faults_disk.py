"""The ledger of real nodes on disks that fail, fill up or can't be written."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.faulty_disk import FaultyDisk, FaultyNode, why_not
from testbed.ledger_calls import note
from testbed.ledger_kills import agreed, all_entries, until_level
from testbed.nodes import Cluster, Node, NodeError, health
from testbed.waiting import until

PATIENCE_S = 40.0


@dataclass(frozen=True, slots=True)
class Sick:
    """A cluster of three; the third one's disk can fail."""

    cluster: Cluster
    disk: FaultyDisk

    @property
    def well(self) -> list[Node]:
        return self.cluster.members[:2]

    @property
    def sick(self) -> Node:
        return self.cluster.members[2]


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sick]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("disk")
    disk = FaultyDisk(directory)

    def make(home: Path, name: str, **options: Any) -> Node:
        if name == "node3":
            return FaultyNode(disk, home, name, **options)
        return Node(home, name, **options)

    with Cluster(directory, 3, make=make) as cluster:
        yield Sick(cluster, disk)


def problems(node: Node) -> str:
    return " ".join(health(node)["problems"])


FAULTS = {
    "disk full": (errno.ENOSPC, ("write",), ("LEDGER_FULL", "LEDGER")),
    "input or output error": (errno.EIO, ("write",), ("LEDGER",)),
    "what is written can't be synced": (errno.EIO, ("sync",), ("LEDGER",)),
    "read-only file system": (errno.EROFS, ("write", "sync", "truncate"), ("LEDGER",)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_disk_that_takes_nothing_is_told_and_nothing_is_acknowledged(
    trio: Sick, name: str
) -> None:
    error, calls, codes = FAULTS[name]
    sick, well = trio.sick, trio.well[0]
    note(sick, f"before: {name}")
    trio.disk.fail(error, *calls)
    try:
        answer = sick("ledger", "note", f"{name} 0", "--json")
        assert answer.code != 0
        told = answer.data["error"]
        assert told["code"] in codes, told
        assert told["hint"]
        for number in range(1, 4):
            with pytest.raises(NodeError):
                note(sick, f"{name} {number}", "local")
        assert "nothing is recorded in the ledger" in problems(sick)
        assert sick.get("/api/ledger/sync")["problem"]
        assert not health(sick)["healthy"]
        # The others are a majority without it, and it acknowledges nothing of theirs.
        height = sick.get("/api/ledger/sync")["height"]
        entry = note(well, f"others: {name}")
        seal = well.get(f"/api/ledger/seals?from={entry['sealed']}&limit=1")["seals"][0]
        assert sick.identity not in seal["signed_by"]
        assert sick.get("/api/ledger/sync")["height"] <= height + 1
    finally:
        trio.disk.heal()
    until(lambda: health(sick)["healthy"])
    assert note(sick, f"after: {name}")["sealed"]
    held = agreed(trio.cluster.members, PATIENCE_S)
    assert not [text for text in held.texts if text.startswith(f"{name} ")]
    report = sick.post("/api/ledger/verify", {"deep": True})
    assert report["verified"], report


def test_a_voter_whose_disk_takes_nothing_makes_no_majority(trio: Sick) -> None:
    """Two of three are needed; with one asleep it is up to the one that can't write."""
    speaker, asleep = trio.well
    trio.cluster.settle()
    trio.disk.fail(errno.EIO, "write", "sync")
    asleep.freeze()
    try:
        entry = note(speaker, "not on two disks", "local")
        assert speaker("ledger", "show", entry["id"]).code == 0
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert speaker.get(f"/api/ledger/entries/{entry['id']}")["sealed"] is None
            time.sleep(0.1)
    finally:
        trio.disk.heal()
    try:
        until(lambda: speaker.get(f"/api/ledger/entries/{entry['id']}")["sealed"])
    finally:
        asleep.thaw()
    until_level(trio.cluster.members, PATIENCE_S)


def test_what_can_not_be_read_is_an_error_and_no_other_history(trio: Sick) -> None:
    sick = trio.sick
    note(sick, "read me")
    until_level(trio.cluster.members, PATIENCE_S)
    before = [one["id"] for one in all_entries(sick)]
    trio.disk.fail(errno.EIO, "read")
    try:
        sick.kill()
        sick.start()
        assert "nothing is recorded in the ledger" in problems(sick)
        told = sick("ledger", "list", "--json")
        assert told.code == 2
        assert told.data["error"]["hint"]
    finally:
        trio.disk.heal()
    sick.kill()
    sick.start()
    trio.cluster.settle()
    until(lambda: not problems(sick))
    assert [one["id"] for one in all_entries(sick)][: len(before)] == before
