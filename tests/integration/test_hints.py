"""What is going to be read on another node is there before a build that is watched begins."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.mesh.digest import Digest
from testbed.nodes import Cluster, Node
from testbed.waiting import until
from testbed.watching import Watching

DEFINITION = """\
workspace: shop
packages:
  - name: core
    path: core
    build_cmd: wc -c large small > out
    output_dir: core/out
    labels: [far]
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes, on the second of which commands run; the first sends 2 MB a second, and waits long
    before it builds what changes."""
    cluster = Cluster(tmp_path_factory.mktemp("hints"), 2)
    for node in cluster.members:
        node.home.directory.mkdir(parents=True)
    said = {"network": {"bulk_limit": "2 MB"}, "watch": {"debounce_ms": 6000}}
    cluster.members[0].home.config.write_text(json.dumps(said))
    cluster.members[1].home.config.write_text(json.dumps({"node_tags": ["far"]}))
    with cluster:
        yield cluster


def workspace(directory: Path) -> Path:
    write_files(directory, {"buildnet.yaml": DEFINITION, "core/small": "small\n"})
    (directory / "core/large").write_bytes(b"first")
    return directory


def has(node: Node, content: bytes) -> bool:
    digest = Digest.of(content)
    hashes = node.home.store.glob(f"blobs/*/{digest.hash}")
    return any(path.stat().st_size == digest.size_bytes for path in hashes)


def comes_in(node: Node) -> bool:
    """Whether a node is taking in a blob."""
    found = False
    for path in node.home.store.glob("tmp/*/*"):
        with suppress(FileNotFoundError):
            found = found or path.stat().st_size > 100_000
    return found


def counted(node: Node, name: str) -> float:
    """Return a metric of a node."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(node.home.socket_path()))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
    (line,) = (line for line in answer.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def test_what_changed_is_there_before_the_build_begins(pair: Cluster, tmp_path: Path) -> None:
    here, there = pair.members
    root = workspace(tmp_path / "shop")
    with Watching(here.command, root, "build", "--watch") as watching:
        watching.until_idle()
        seen, builds = len(watching.events), len(watching.of("building"))
        content = os.urandom(4 << 20)
        (root / "core/large").write_bytes(content)
        until(lambda: has(there, content))
        assert len(watching.of("building")) == builds
        watching.until_idle(seen)
        report = watching.of("build_finished")[-1]["report"]
        assert [each["node"] for each in report["packages"]] == [there.identity]
        assert str(len(content)) in (root / "core/out").read_text()
        assert counted(there, "buildnet_ahead_used_bytes_total") >= len(content)


def test_an_edit_that_is_reverted_leaves_nothing_under_way(pair: Cluster, tmp_path: Path) -> None:
    here, there = pair.members
    root = workspace(tmp_path / "shop")
    with Watching(here.command, root, "build", "--watch") as watching:
        watching.until_idle()
        seen = len(watching.events)
        content = os.urandom(48 << 20)  # which takes more than twenty seconds
        (root / "core/large").write_bytes(content)
        until(lambda: comes_in(there))
        (root / "core/large").write_bytes(b"first")
        until(lambda: not comes_in(there))
        assert not has(there, content)
        watching.until_idle(seen)
        report = watching.of("build_finished")[-1]["report"]
        assert all(each["tier"] != "full" for each in report["packages"])
        assert not comes_in(there)


def test_who_only_looks_on_has_others_prepare_and_what_runs_here_is_told_to_nobody(
    pair: Cluster, tmp_path: Path
) -> None:
    here, there = pair.members
    root = workspace(tmp_path / "shop")
    near = {"buildnet.yaml": DEFINITION.replace("    labels: [far]\n", ""), "core/small": "s\n"}
    beside = write_files(tmp_path / "beside", {**near, "core/large": "large"})
    with (
        Watching(here.command, root, "watch") as watching,
        Watching(here.command, beside, "build", "--watch") as building,
    ):
        watching.until_idle()
        building.until_idle()
        seen = len(building.events)
        told, untold = os.urandom(1 << 20), os.urandom(1 << 20)
        (beside / "core/large").write_bytes(untold)
        (root / "core/large").write_bytes(told)
        until(lambda: has(there, told))
        assert not (root / "core/out").exists()
        building.until_idle(seen)
        assert building.of("build_finished")[-1]["report"]["packages"][0]["node"] == here.identity
        assert not has(there, untold)
