"""Where files come from: stated by the nodes that made them, checked where no node ever was."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import CommandLine, write_files
from buildnet.mesh.identity import NodeKey
from buildnet.pool.dsse import seal
from buildnet.pool.provenance import PAYLOAD_TYPE
from testbed.building import many_commands
from testbed.nodes import Cluster

SHARDED = """
workspace: sharded
packages:
  - name: a
    path: a
    build_cmd: cp in.txt out.txt
    outputs: [a/out.txt]
    tasks:
      test:
        cmd: echo {tests} > ran-{shard}.log
        depends_on: [build]
        tests: [a/test_*]
        shards: 2
        outputs: ["a/ran-{shard}.log"]
"""


@dataclass(frozen=True)
class Built:
    """A build of two nodes; ``files``: what was written of it by package; ``away``: a command line
    where no node runs."""

    pair: Cluster
    root: Path
    report: dict[str, Any]
    files: dict[str, Path]
    cluster_id: str
    away: CommandLine

    def check(self, file: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
        """Check a file away from everything."""
        given = [str(one) for one in arguments]
        found = self.away("audit", "verify", str(file), *given, "--json")
        assert found.code == code, found.err
        answer: dict[str, Any] = json.loads(found.out)
        return answer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    base = tmp_path_factory.mktemp("provenance")
    with Cluster(base / "pair", 2) as pair:
        one, _ = pair.members
        root = many_commands(base, "made", "sleep 0.3; cp in.txt out.txt", 6)
        report = one.command.build(root)
        told = json.loads(
            one.command(
                "audit", "attest", report["build_id"], "--out", str(base / "told"), "--json"
            ).out
        )
        assert told["sealed"]
        files = {each["package"]: Path(each["file"]) for each in told["statements"]}
        away = CommandLine(base / "away")
        yield Built(pair, root, report, files, told["cluster_id"], away)


def test_each_node_states_what_it_made_and_it_holds_elsewhere(built: Built) -> None:
    made_on = {each["name"]: each["node"] for each in built.report["packages"]}
    assert len(set(made_on.values())) == 2
    for package, file in built.files.items():
        artifact = built.root / package / "out.txt"
        found = built.check(file, "--artifact", artifact, "--cluster", built.cluster_id)
        assert found["holds"]
        assert found["build_id"] == built.report["build_id"]
        assert found["artifacts"] == {str(artifact): f"{package}/out.txt"}
        assert found["signer"].startswith(made_on[package])
        assert f"one of the {len(made_on)} that build" in " ".join(found["words"])


def test_another_file_another_cluster_or_a_changed_statement_do_not_hold(
    built: Built, tmp_path: Path
) -> None:
    file = next(iter(built.files.values()))
    other = tmp_path / "other.txt"
    other.write_text("something else")
    assert "no such files" in built.check(file, "--artifact", other, code=1)["problem"]
    assert "another cluster" in built.check(file, "--cluster", "0" * 64, code=1)["problem"]
    text = json.loads(file.read_text())
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps({**text, "payload": text["payload"][:-8]}))
    assert "does not fit what is signed" in built.check(changed, code=1)["problem"]
    # Signed by a stranger, beside the proof of what a member made.
    stranger, payload = NodeKey.generate(), base64.b64decode(text["payload"]).decode()
    stated = payload.replace(text["signatures"][0]["keyid"], stranger.public_key.hex())
    forged = seal(PAYLOAD_TYPE, stated.encode(), stranger).as_dict()
    changed.write_text(json.dumps({**forged, "buildnet": text["buildnet"]}))
    assert "never a member's" in built.check(changed, code=1)["problem"]
    text["buildnet"]["place"]["index"] ^= 1
    changed.write_text(json.dumps(text))
    assert "not among those" in built.check(changed, code=1)["problem"]


def test_tests_in_shards_have_a_statement_each_and_leave_the_others_their_place(
    built: Built, tmp_path: Path
) -> None:
    one, _ = built.pair.members
    root, told = tmp_path / "root", tmp_path / "told"
    write_files(root, {"a/in.txt": "in", "a/test_1": "", "a/test_2": "", "buildnet.yaml": SHARDED})
    report = one.command.build(root, "--task", "test")
    for task in ("build", "test"):
        asked = ("audit", "attest", report["build_id"], "--task", task, "--out", str(told))
        assert one.command(*asked).code == 0
    assert sorted(each.name for each in told.iterdir()) == [
        "sharded.a.build.intoto.json",
        "sharded.a.test.1-2.intoto.json",
        "sharded.a.test.2-2.intoto.json",
    ]
    for file in told.iterdir():
        found = built.check(file, "--cluster", built.cluster_id)
        assert "one of the 3 that build" in " ".join(found["words"])


def test_who_asks_too_late_or_for_what_is_not_there_is_told(built: Built, tmp_path: Path) -> None:
    one, _ = built.pair.members
    build = built.report["build_id"]
    refused = one.command("audit", "attest", build, "nothing", "--out", str(tmp_path))
    assert refused.code == 6
    assert "has no nothing#build" in refused.err
    assert one.command("audit", "attest", "ffff", "--out", str(tmp_path)).code == 6
    no_statement = tmp_path / "no.json"
    no_statement.write_text("{}")
    refused = built.away("audit", "verify", str(no_statement))
    assert refused.code == 1
    assert "no signed envelope" in refused.err
    unread = built.away("audit", "verify", str(no_statement.parent))
    assert unread.code == 2


def test_without_the_node_that_made_it_nobody_states_it(built: Built, tmp_path: Path) -> None:
    one, other = built.pair.members
    others = [each["name"] for each in built.report["packages"] if each["node"] == other.identity]
    other.command("node", "stop")
    build = built.report["build_id"]
    refused = one.command("audit", "attest", build, others[0], "--out", str(tmp_path))
    assert refused.code == 1
    assert "does not answer" in refused.err
    assert "build again" in refused.err
    mine = [each["name"] for each in built.report["packages"] if each["node"] == one.identity]
    assert one.command("audit", "attest", build, mine[0], "--out", str(tmp_path)).code == 0
