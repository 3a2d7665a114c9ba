"""The ledger of real nodes: sealed everywhere, checked anywhere, nothing acknowledged lost."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import CommandLine, write_files
from testbed.commands import ForkedCommandLine
from testbed.ledger_calls import data, height_of, note
from testbed.nodes import Cluster, Node, NodeError
from testbed.waiting import until


def offline(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a machine that never had a node: no home, no configuration."""
    directory.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "buildnet.cli.main", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- three nodes -------------------------------------------------------------------------------


def test_an_entry_made_on_one_node_is_sealed_on_all(trio: Cluster) -> None:
    for node in trio.members:
        entry = note(node, f"from {node.name}")
        assert entry["sealed"] >= 1
        assert entry["node_id"] == node.identity
        for other in trio.members:
            until(lambda other=other, entry=entry: height_of(other, entry["id"]))  # type: ignore[misc]
            assert height_of(other, entry["id"]) == entry["sealed"]
            shown = other.get(f"/api/ledger/entries/{entry['id'][:16]}")
            near = {"previous": entry["prev_hash"], "next": shown["next"]}
            assert shown == {**entry, "index": shown["index"], **near}


def test_a_chain_is_gone_through_from_entry_to_entry(trio: Cluster) -> None:
    node, other = trio.members[:2]
    ids = [note(node, text)["id"] for text in ("one", "two", "three")]
    until(lambda: height_of(other, ids[-1]))
    seen: list[str] = []
    at: str | None = ids[0]
    while at is not None:
        seen.append(at)
        shown = other.get(f"/api/ledger/entries/{at}")
        assert shown["id"] == at
        at = shown["next"]
    assert [one for one in seen if one in ids] == ids
    assert node("ledger", "show", seen[1], "--json").data["previous"] == seen[0]
    first = node.get(f"/api/ledger?origin={shown['origin']}&order=asc&limit=1")["entries"][0]
    assert node.get(f"/api/ledger/entries/{first['id']}")["previous"] is None


def test_every_node_tells_the_same_sealed_history(trio: Cluster) -> None:
    last = note(trio.members[1], "the last")

    def told(node: Node) -> list[tuple[int, str]]:
        until(lambda: height_of(node, last["id"]))
        page = node.get("/api/ledger?order=asc&sealed=true&limit=1000")
        assert page["next"] is None
        seen = [(one["sealed"], one["id"]) for one in page["entries"]]
        return [one for one in seen if one[0] <= last["sealed"]]

    first, *others = [told(node) for node in trio.members]
    assert others == [first, first]
    assert (last["sealed"], last["id"]) == first[-1]


def test_members_come_into_the_ledger(trio: Cluster) -> None:
    def joined() -> list[str]:
        listed = data(trio.members[2], "ledger", "list", "--type", "node.joined", "--sealed")
        return sorted(one["data"]["name"] for one in listed["entries"])

    until(lambda: joined() == ["node1", "node2", "node3"])
    types = {
        one["type"] for one in data(trio.members[0], "ledger", "list", "--limit", "200")["entries"]
    }
    assert {"member.admitted", "node.started", "node.resources", "chain.opened"} <= types
    (state,) = data(
        trio.members[1], "ledger", "state", "--entity", f"node:{trio.members[0].identity}"
    )["rows"]["nodes"]
    assert state["name"] == "node1"


def test_every_node_verifies(trio: Cluster) -> None:
    for node in trio.members:
        report = data(node, "ledger", "verify", "--deep")
        stable = {"verified", "entries_checked", "pruned", "seals_checked", "errors"}
        assert report.keys() == stable
        assert report["pruned"] == 0
        assert report["verified"], report
        assert report["entries_checked"] > 6
        assert report["seals_checked"] > 1


def test_a_proof_is_checked_where_nobody_knows_the_cluster(trio: Cluster, tmp_path: Path) -> None:
    node = trio.members[1]
    entry = note(node, "prove me")
    note(node, "later")
    made = data(node, "ledger", "prove", entry["id"][:12], "--out", str(tmp_path / "one.proof"))
    assert made["sealed"] == entry["sealed"]
    nowhere = tmp_path / "nowhere"
    arguments = ("ledger", "check-proof", str(tmp_path / "one.proof"))
    checked = offline(nowhere, *arguments, "--cluster", made["cluster_id"], "--json")
    assert checked.returncode == 0, checked.stderr
    verdict = json.loads(checked.stdout)
    assert (verdict["holds"], verdict["height"]) == (True, entry["sealed"])
    assert verdict["entry"]["data"] == {"text": "prove me"}
    assert any("part of the later one" in line for line in verdict["words"])
    assert verdict["cautions"] == []
    assert list(nowhere.iterdir()) == []

    other = offline(nowhere, *arguments, "--cluster", "ab" * 32)
    assert other.returncode == 1
    assert "another cluster" in other.stdout
    content = bytearray((tmp_path / "one.proof").read_bytes())
    at = content.index(b"prove me")
    content[at] ^= 1
    (tmp_path / "one.proof").write_bytes(content)
    assert offline(nowhere, *arguments).returncode == 1


def test_a_checkable_export_is_checked_offline(trio: Cluster, tmp_path: Path) -> None:
    entry = note(trio.members[2], "export me")
    file = tmp_path / "all.export"
    done = trio.members[2]("audit", "export", "--format", "checkable", "--out", str(file))
    assert done.code == 0, done.err
    checked = offline(tmp_path / "nowhere", "audit", "verify", str(file), "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    verdict = json.loads(checked.stdout)
    assert verdict["verified"]
    assert len(verdict["cautions"]) == 2  # it may have been cut, and be of any cluster
    assert verdict["seals_checked"] >= entry["sealed"]
    assert verdict["cluster_id"] == data(trio.members[0], "node", "status")["cluster"]["id"]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert offline(tmp_path / "nowhere", "audit", "verify", str(file)).returncode != 0


def test_sync_tells_how_far_the_others_are(trio: Cluster) -> None:
    def is_level() -> bool:
        told = data(trio.members[0], "ledger", "sync")
        peers = told["peers"]
        return len(peers) == 2 and all(
            one["linked"] and one["lacks"] == 0 and one["leads"] == 0 for one in peers
        )

    until(is_level)
    told = data(trio.members[0], "ledger", "sync")
    assert told["unsealed"] == 0
    assert told["problem"] is None
    assert all(one["sealed"] == one["sequence"] for one in told["chains"])
    assert len(told["chains"]) >= 3
    assert "holds the same entries" in trio.members[0]("ledger", "sync").out
    seals = data(trio.members[0], "ledger", "seals", "--limit", "3")
    assert len(seals["seals"]) == 3
    assert len(seals["seals"][-1]["signed_by"]) >= 2


def test_the_tail_tells_what_others_seal(trio: Cluster) -> None:
    listener, speaker = trio.members[0], trio.members[2]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "buildnet.cli.main", "ledger", "tail", "-f", "-n", "1"),
            *("--type", "system.note", "--sealed", "--json"),
        ],
        env=listener.command.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        said = [note(speaker, f"news {number}")["id"] for number in range(3)]
        lines = [json.loads(process.stdout.readline()) for _ in said]
        assert [one["id"] for one in lines] == said
        assert first["cursor"] != lines[0]["cursor"]
    finally:
        process.kill()
        process.communicate()
    again = listener.command.environment
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "buildnet.cli.main", "ledger", "tail", "-f", "--json"),
            *("--type", "system.note", "--sealed", "--cursor", lines[0]["cursor"]),
        ],
        env=again,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        found = [json.loads(process.stdout.readline())["id"] for _ in said[1:]]
        process.kill()
        assert found == said[1:]


def test_what_was_acknowledged_as_sealed_survives_kill_nine(trio: Cluster) -> None:
    """One node writes notes with ``ack=sealed`` and is killed in the middle, several times."""
    victim = trio.members[0]
    acknowledged: list[dict[str, Any]] = []
    for turn in range(3):
        ended = threading.Event()

        def write(turn: int = turn, ended: threading.Event = ended) -> None:
            number = 0
            try:
                while True:
                    acknowledged.append(note(victim, f"{turn}.{number}"))
                    number += 1
            except (OSError, NodeError):
                ended.set()

        before = len(acknowledged)
        writer = threading.Thread(target=write)
        writer.start()
        until(lambda before=before: len(acknowledged) >= before + 10)  # type: ignore[misc]
        victim.process.kill()
        writer.join(20)
        assert ended.is_set()
        victim.kill()
        victim.start()
        trio.settle()
    assert len(acknowledged) >= 30
    for node in trio.members:
        for entry in acknowledged:
            until(lambda node=node, entry=entry: height_of(node, entry["id"]))  # type: ignore[misc]
            assert height_of(node, entry["id"]) == entry["sealed"]
        assert data(node, "ledger", "verify")["verified"]
    chains = {(one["origin"], one["incarnation"], one["sequence"]) for one in acknowledged}
    assert len(chains) == len(acknowledged)


def test_who_restarts_beside_its_peers_goes_on_with_its_chain(trio: Cluster) -> None:
    node = trio.members[2]

    def of_type(type_name: str) -> list[Any]:
        found: list[Any] = data(
            node, "ledger", "list", "--type", type_name, "--origin", node.identity
        )["entries"]
        return found

    until(lambda: height_of(trio.members[0], note(node, "before")["id"]))
    chains = of_type("chain.opened")
    for _ in range(3):
        starts = len(of_type("node.started"))
        node.stop()
        node.start()
        until(lambda starts=starts: len(of_type("node.started")) > starts)  # type: ignore[misc]
    assert of_type("chain.opened") == chains


def test_without_a_majority_a_note_stays_provisional(trio: Cluster) -> None:
    alone, *others = trio.members
    for other in others:
        other.freeze()
    try:
        until(lambda: not (alone.get("/api/node")["coordinator"] or {"quorum": False})["quorum"])
        entry = note(alone, "alone", "local")
        assert entry["sealed"] is None
        shown = alone("ledger", "list", "--provisional").out
        assert "alone" in shown
        assert "provisional" in shown
        told = data(alone, "ledger", "prove", entry["id"], code=3)
        assert told["error"]["code"] == "NOT_SEALED"
        away = f"away: {', '.join(sorted(other.name for other in others))}"
        until(lambda: away in alone.get("/api/ledger/sealing")["text"])
        for words in (
            "\n".join(alone.get("/api/pool/health")["problems"]),
            alone.get("/api/ledger/sync")["sealing"]["text"],
            data(alone, "ledger", "status")["sealing"]["text"],
        ):
            assert "sealing stands still since" in words
            assert away in words
    finally:
        for other in others:
            other.thaw()
    for node in trio.members:
        until(lambda node=node: height_of(node, entry["id"]))  # type: ignore[misc]
        until(lambda node=node: node.get("/api/ledger/sealing")["works"])  # type: ignore[misc]
    trio.settle()


# --- one node ----------------------------------------------------------------------------------


def test_builds_are_recorded(node: CommandLine, tmp_path: Path) -> None:
    workspace = write_files(
        tmp_path / "shop",
        {
            "buildnet.yaml": "workspace: shop\npackages:\n"
            "- {name: core, path: core, build_cmd: 'echo hi > out', outputs: [core/out]}\n"
            "- {name: bad, path: bad, build_cmd: 'exit 3', dependencies: [core]}\n",
            "core/a": "a",
            "bad/b": "b",
        },
    )
    good = node.build(workspace, "core")
    node.build(workspace, "--dry-run")
    bad = node.build(workspace, code=1)

    def types(build: dict[str, Any]) -> list[dict[str, Any]]:
        listed = data(node, "ledger", "list", "--build", build["build_id"], "--oldest-first")
        entries: list[dict[str, Any]] = listed["entries"]
        return entries

    until(lambda: len(types(good)) == 2 and len(types(bad)) == 2)
    began, completed = types(good)
    assert (began["type"], completed["type"]) == ("build.started", "build.completed")
    assert completed["data"]["packages"][0]["name"] == "core"
    assert len(completed["data"]["root"]) == 64
    assert types(bad)[1]["type"] == "build.failed"
    until(lambda: types(bad)[1]["sealed"])
    rows = data(node, "ledger", "state", "--entity", f"build:{bad['build_id']}")["rows"]
    assert rows["builds"][0]["status"] == "failed"
    listed = data(node, "ledger", "list", "--type", "build.*", "--limit", "100")["entries"]
    assert len(listed) == 4


def test_a_node_starts_and_stops_in_the_ledger_and_goes_on_with_its_chain(
    node: CommandLine,
) -> None:
    until(lambda: data(node, "ledger", "list", "--type", "node.resources")["entries"])
    assert node("node", "stop").code == 0
    node.start()
    listed = data(node, "ledger", "list", "--oldest-first")["entries"]
    types = [one["type"] for one in listed]
    assert types[:2] == ["chain.opened", "node.joined"]
    assert types.count("node.started") == 2
    assert types.count("node.stopped") == types.count("node.joined") == 1
    assert types.count("node.resources") == types.count("chain.opened") == 1
    assert len({one["incarnation"] for one in listed}) == 1
    assert data(node, "node", "status")["ledger"]["problem"] is None


def test_a_note_is_recorded_once_however_often_it_is_sent(node: CommandLine) -> None:
    from buildnet.cli.client import Client

    client = Client(socket_path=node.home / "node.sock")
    body = {"text": "once", "request": "ab" * 16, "ack": "sealed"}
    first, second = (client.post("/api/ledger/entries", body) for _ in range(2))
    assert first == second
    answer = node("ledger", "note", "by hand", "--ack", "sealed")
    assert "sealed at height" in answer.out
    notes = data(node, "ledger", "list", "--type", "system.note", "--limit", "1")["entries"]
    shown = node("ledger", "show", notes[0]["id"])
    assert "by hand" in shown.out
    found = data(node, "audit", "query", "--text", "ONCE", "--from", "1h")["entries"]
    assert [one["id"] for one in found] == [first["id"]]


def test_pages_go_on_where_the_last_one_ended(node: CommandLine) -> None:
    for number in range(7):
        assert node("ledger", "note", f"n{number}").code == 0
    whole = [one["id"] for one in data(node, "ledger", "list", "--limit", "100")["entries"]]
    found: list[str] = []
    cursor: list[str] = []
    while True:
        page = data(node, "ledger", "list", "--limit", "3", *cursor)
        found += [one["id"] for one in page["entries"]]
        if page["next"] is None:
            break
        cursor = ["--cursor", page["next"]]
    assert [one for one in found if one in whole] == whole
    assert len(set(found)) == len(found)
    assert node("ledger", "--quiet").out.split() == found[:20]


def test_exports_for_programs(node: CommandLine, tmp_path: Path) -> None:
    assert node("ledger", "note", "=1+1").code == 0
    rows = list(csv.DictReader(io.StringIO(node("audit", "export", "--format", "csv").out)))
    lines = node("audit", "export", "--format=ndjson", "--type", "system.*").out.splitlines()
    assert json.loads(node("audit", "export").out)[0]["type"] == "chain.opened"
    assert "system.note" in {row["type"] for row in rows}
    assert [json.loads(line)["data"]["text"] for line in lines] == ["=1+1"]
    file = tmp_path / "out.json"
    told = data(node, "audit", "export", "--out", str(file))
    size = file.stat().st_size
    assert told == {"file": str(file), "format": "json", "bytes": size, "pruned": None}
    assert json.loads(file.read_text())
    assert node("audit", "export", "--format", "checkable").code == 2
    assert node("audit", "export", "--out", str(tmp_path / "no" / "x")).code == 2
    assert node("audit", "verify").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("ledger", "show", "ffffffff"), 6, "NOT_FOUND"),
        (("ledger", "show", "x"), 6, "NOT_FOUND"),
        (("ledger", "list", "--type", "No Type"), 2, "LEDGER_QUERY"),
        (("ledger", "list", "--from", "yesterday"), 2, "USAGE"),
        (("ledger", "list", "--cursor", "?"), 2, "LEDGER_QUERY"),
        (("ledger", "state", "--entity", "x:y", "--at", "99999"), 6, "NOT_FOUND"),
        (("ledger", "check-proof", "/nowhere"), 2, "FILE"),
        (("ledger", "check-proof", "/etc/passwd"), 1, "LEDGER_PROOF"),
        (("ledger", "check-proof", "/etc/passwd", "--cluster", "abc"), 2, "USAGE"),
        (("audit", "verify", "/etc/passwd"), 2, "LEDGER_EXPORT"),
        (("audit", "verify", "--cluster", "ab" * 32), 2, "USAGE"),
        (("ledger", "note", "x" * 9000), 1, "LEDGER_DRAFT"),
        (("ledger", "note", ""), 1, "LEDGER_DRAFT"),
        (("ledger", "list", "--from", "1h", "--to", "2h"), 2, "LEDGER_QUERY"),
    ],
)
def test_errors_say_what_to_do(
    one_node: CommandLine, arguments: tuple[str, ...], code: int, error: str
) -> None:
    answer = one_node(*arguments, "--json")
    assert answer.code == code, answer.out + answer.err
    assert answer.data["error"]["code"] == error
    assert answer.data["error"]["hint"]


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A node that is only asked."""
    command = ForkedCommandLine(tmp_path_factory.mktemp("asked") / "home", bare=True)
    command.start()
    yield command
    command("node", "stop")


def test_a_node_runs_without_a_ledger_that_can_not_be_opened(
    node: CommandLine, tmp_path: Path
) -> None:
    assert node("node", "stop").code == 0
    (file,) = node.home.glob("ledger-*.db")
    file.write_bytes(b"no ledger at all" * 1000)
    node.start()
    status = data(node, "node", "status")
    assert not status["ledger"]["open"]
    assert "nothing is recorded in the ledger" in status["problem"]
    assert "nothing is recorded" in node("node", "status").out.replace("\n", " ")
    health = data(node, "pool", "health")
    assert not health["healthy"]
    assert data(node, "ledger", "list", code=2)["error"]["code"].startswith("LEDGER")
    workspace = write_files(
        tmp_path / "shop",
        {
            "buildnet.yaml": "workspace: shop\npackages:\n"
            "- {name: core, path: core, build_cmd: 'echo hi > out', outputs: [core/out]}\n",
            "core/a": "a",
        },
    )
    assert node.build(workspace)["status"] == "succeeded"
    began = time.monotonic()
    assert node("node", "stop").code == 0
    assert time.monotonic() - began < 10
    assert file.read_bytes().startswith(b"no ledger at all")


def test_damage_is_found_and_repaired(node: CommandLine) -> None:
    assert node("ledger", "note", "text to be damaged", "--ack", "sealed").code == 0
    assert node("node", "stop").code == 0
    (file,) = node.home.glob("ledger-*.db")
    with sqlite3.connect(file) as connection:
        changed = connection.execute("DELETE FROM digests WHERE name='nodes'").rowcount
    connection.close()
    assert changed == 1
    node.start()
    report = data(node, "ledger", "verify", "--deep", code=1)
    assert not report["verified"]
    assert any("nodes" in one["where"] for one in report["errors"])
    assert data(node, "ledger", "verify", "--deep", "--repair")["verified"]
    assert data(node, "ledger", "verify", "--deep")["verified"]
