"""The ledger's file on real nodes: backup and restore, pruning, damage that is repaired, keys."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.ledger_calls import data, note
from testbed.nodes import Cluster, Node, NodeError, invite, join
from testbed.ports import free_ports
from testbed.waiting import until

PATIENCE_S = 60.0


def file_of(node: Node) -> Path:
    """Return the ledger of the cluster; the one that a node founded before it joined is older."""
    files = node.home.directory.glob("ledger-????????????????.db")
    return max(files, key=lambda file: file.stat().st_size)


def holds(node: Node, entry: dict[str, Any]) -> bool:
    try:
        return bool(node.get(f"/api/ledger/entries/{entry['id']}")["sealed"])
    except NodeError:
        return False


def openings(node: Node, of: str) -> list[str]:
    """Return why the chains of a node began, in sealed order, as another one tells it."""
    page = node.get("/api/ledger?type=chain.opened&order=asc&limit=1000")
    return [one["data"]["why"] for one in page["entries"] if one["node_id"] == of]


def votes(node: Node) -> bool:
    return not node.get("/api/ledger/store")["voting"]["abstains"]


def all_is_well_again(trio: Cluster, back: Node, began: int) -> None:
    """A node's ledger went back after it had begun so many chains: it begins another one, votes
    only later, and nobody is hurt."""
    one, other = (node for node in trio.members if node is not back)
    until(lambda: openings(one, back.identity)[began:] == ["restore"])
    assert back.get("/api/ledger/store")["voting"]["voter"]
    until(lambda: note(one, "the others go on") and votes(back))
    last = note(back, "and so do I")
    until(lambda: all(holds(node, last) for node in trio.members))
    for node in trio.members:
        report = data(node, "ledger", "verify", "--deep")
        assert report["verified"], report
        chains = data(node, "ledger", "sync")["chains"]
        assert all(one["quarantined_from"] is None for one in chains)
    told = [data(node, "ledger", "seals", "--from", "1", "--limit", "500") for node in trio.members]
    heights = min(seals["height"] for seals in told)
    hashes = [[seal["hash"] for seal in seals["seals"][:heights]] for seals in told]
    assert hashes[0] == hashes[1] == hashes[2]
    other.stop()  # a majority needs the vote of the one that was away
    assert note(one, "by two")["sealed"]
    other.start()
    until(lambda: len([peer for peer in other.get("/api/ledger/sync")["peers"] if peer["linked"]]))


def test_a_backup_is_restored(trio: Cluster, tmp_path: Path) -> None:
    node = trio.members[2]
    note(node, "before")
    began = len(openings(trio.members[0], node.identity))
    file = tmp_path / "ledger.backup"
    made = data(node, "ledger", "backup", str(file))
    assert made["bytes"] == file.stat().st_size
    assert made["entries"] > 6
    assert data(node, "ledger", "backup", str(file), code=2)["error"]["code"] == "LEDGER_BACKUP"
    after = note(node, "after the backup")
    runs = data(node, "ledger", "restore", str(file), "--yes", code=1)
    assert runs["error"]["code"] == "NODE_RUNS"
    node.stop()
    damaged = tmp_path / "damaged.backup"
    content = bytearray(file.read_bytes())
    content[content.index(b"before")] ^= 1
    damaged.write_bytes(content)
    refused = data(node, "ledger", "restore", str(damaged), "--yes", code=2)
    assert refused["error"]["code"] == "LEDGER_BACKUP"
    restored = data(node, "ledger", "restore", str(file), "--yes")
    assert restored["entries"] == made["entries"]
    assert Path(restored["aside"]).exists()
    node.start()
    all_is_well_again(trio, node, began)
    assert holds(node, after)


def test_an_old_file_is_copied_back_by_hand(trio: Cluster, tmp_path: Path) -> None:
    node = trio.members[1]
    node.stop()
    shutil.copy(file_of(node), tmp_path / "old.db")
    node.start()
    since = [note(node, f"since the copy {number}") for number in range(3)]
    began = len(openings(trio.members[0], node.identity))
    node.kill()
    for end in ("-wal", "-shm"):
        file_of(node).with_name(file_of(node).name + end).unlink(missing_ok=True)
    shutil.copy(tmp_path / "old.db", file_of(node))
    node.start()
    all_is_well_again(trio, node, began)
    assert all(holds(node, entry) for entry in since)


def test_a_file_that_was_moved_away_comes_from_the_peers(trio: Cluster) -> None:
    node = trio.members[2]
    kept = note(node, "kept by the others")
    began = len(openings(trio.members[0], node.identity))
    node.stop()
    file = file_of(node)
    file.rename(file.with_name("moved-away"))
    node.start()
    all_is_well_again(trio, node, began)
    assert holds(node, kept)


def test_damage_is_found_and_repaired_without_being_asked(trio: Cluster) -> None:
    node = trio.members[0]
    entry = note(node, "this is damaged")
    node.stop()
    file = file_of(node)
    with sqlite3.connect(file) as connection:
        (signed,) = connection.execute(
            "SELECT signed FROM entries WHERE short=?",
            (int.from_bytes(bytes.fromhex(entry["id"][:16]), "big", signed=True),),
        ).fetchone()
        wrong = signed.replace(b"this is damaged", b"this is DAMAGED")
        connection.execute("UPDATE entries SET signed=? WHERE signed=?", (wrong, signed))
        connection.execute("UPDATE seals SET record=zeroblob(40) WHERE height=2")
        connection.execute("DELETE FROM settings WHERE name='scrubbed'")
    connection.close()
    node.start()

    def found() -> Any:
        return node.get("/api/ledger/store")["scrub"]

    until(lambda: found()["last"] is not None)
    assert found()["last"]["wrong"] == 2
    assert "2 damaged" in node("ledger", "status").out
    until(lambda: holds(node, entry))
    until(lambda: not found()["damaged_seals"])
    until(lambda: node.get("/api/ledger/store")["damage"]["mended"])
    assert "2 places, found by scrub" in node("ledger", "status").out
    assert "scrub found 2 damaged places" in node.home.log.read_text()
    until(lambda: data(node, "ledger", "verify")["verified"])


def test_old_entries_are_forgotten_and_the_rest_verifies(trio: Cluster) -> None:
    node = trio.members[1]
    old, *_ = [note(node, f"old {number}") for number in range(3)]
    assert data(node, "ledger", "prune", "--yes", code=2)["error"]["code"] == "USAGE"
    ahead = data(node, "ledger", "prune", "--keep", "1s", "--dry-run")
    assert ahead["dry_run"]

    def forgotten() -> bool:
        note(node, "newer")
        data(node, "ledger", "prune", "--keep", "1s", "--yes")
        return node("ledger", "show", old["id"]).code == 2

    until(forgotten)
    told = data(node, "ledger", "show", old["id"], code=2)
    assert told["error"]["code"] == "LEDGER_PRUNED"
    pruned = node.get("/api/ledger/store")["pruned"]
    assert pruned["height"] >= old["sealed"]
    assert node.get("/api/ledger?limit=1")["pruned"] == pruned
    listed = node("ledger", "list", "--text", "old 0")
    assert "was pruned on this node" in listed.out
    assert "was pruned on this node" in node("audit", "export").err
    assert "pruned" not in trio.members[0]("ledger", "list", "--text", "old 0").out
    report = data(node, "ledger", "verify", "--deep")
    assert report["verified"], report
    assert data(node, "ledger", "prove", old["id"], code=2)["error"]["code"] == "LEDGER_PRUNED"
    assert holds(trio.members[0], old)  # each node keeps what its owner wants


def test_the_file_is_encrypted_by_a_setting(trio: Cluster) -> None:
    node = trio.members[2]
    entry = note(node, "a secret of this node")
    key = node.home.directory / "ledger.key"
    assert data(node, "ledger", "make-key", str(key))["file"] == str(key)
    assert data(node, "ledger", "make-key", str(key), code=2)["error"]["code"] == "FILE"

    def configure(**encryption: str) -> None:
        settings = {"ledger": {"encryption": encryption}}
        node.stop()
        node.home.config.write_text(json.dumps(settings))
        node.start()

    assert b"a secret of this node" in _stopped(node)
    configure(key_file=str(key))
    assert data(node, "ledger", "status")["encrypted"]
    assert votes(node)
    assert node.get(f"/api/ledger/entries/{entry['id']}")["data"] == entry["data"]
    assert b"a secret of this node" not in _stopped(node)
    configure(key_file=str(key.with_name("nowhere")))
    problem = data(node, "node", "status")["ledger"]["problem"]
    assert "can't be read" in problem
    configure(former_key_file=str(key))
    assert not data(node, "ledger", "status")["encrypted"]
    assert data(node, "ledger", "verify")["verified"]


def _stopped(node: Node) -> bytes:
    """Return what is in a node's file while it does not run."""
    node.stop()
    content = file_of(node).read_bytes()
    node.start()
    return content


@pytest.mark.thorough
def test_a_new_node_catches_up_where_all_have_pruned(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        old = [note(node, f"old of {node.name} {n}") for node in cluster.members for n in range(4)]
        deadline = time.monotonic() + PATIENCE_S
        for node in cluster.members:
            until(lambda node=node: all(holds(node, entry) for entry in old))  # type: ignore[misc]
        time_of_old = max(entry["time"] for entry in old)
        until(lambda: note(cluster.members[0], "newer")["time"] > time_of_old)
        for node in cluster.members:
            while data(node, "ledger", "prune", "--keep", "1s", "--yes")["height"] < max(
                entry["sealed"] for entry in old
            ):
                assert time.monotonic() < deadline
                note(node, "newer")
            with pytest.raises(NodeError, match="LEDGER_PRUNED"):
                node.get(f"/api/ledger/entries/{old[-1]['id']}")
        fresh = Node(tmp_path / "fresh", "fresh", listen=f"127.0.0.1:{free_ports(1)[0]}", bare=True)
        try:
            fresh.start()
            join(fresh, cluster.members[0], invite(cluster.members[0]))
            last = note(cluster.members[1], "after the newcomer came")
            until(lambda: holds(fresh, last))
            mine = note(fresh, "and mine")
            until(lambda: all(holds(node, mine) for node in cluster.members))
            report = data(fresh, "ledger", "verify", "--deep")
            assert report["verified"], report
            assert report["pruned"] >= len(old)
            assert "only the hash is here" in fresh("ledger", "verify").out
            with pytest.raises(NodeError, match="LEDGER_PRUNED"):
                fresh.get(f"/api/ledger/entries/{old[0]['id']}")
            tables = [
                data(node, "ledger", "state", "--entity", f"node:{cluster.members[0].identity}")
                for node in (fresh, cluster.members[1])
            ]
            assert tables[0]["rows"] == tables[1]["rows"]
            fresh.stop()  # what it holds of others is enough to begin with
            fresh.start()
            again = note(cluster.members[2], "after it started again")
            until(lambda: holds(fresh, again))
            proof = data(fresh, "ledger", "prove", again["id"], "--out", str(tmp_path / "proof"))
            assert proof["sealed"] == again["sealed"]
        finally:
            fresh.kill()
