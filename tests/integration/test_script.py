"""The scripts of the how-to, as they stand there: with nothing but a builder's key."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.client import Pool
from buildnet.cli.client.events import EventsEndedError
from buildnet.cli.testing import TIMEOUT_S, write_files
from testbed.nodes import Cluster, Node

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to/script-the-pool.md"
SCRIPTS = re.findall(r"^```python\n(.*?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
WORKSPACE = """workspace: shop
packages: [{name: p, path: p, build_cmd: "sleep 0.3; echo made it | tee out", outputs: [p/out]}]
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Cluster(tmp_path_factory.mktemp("scripted"), 1) as cluster:
        yield cluster.members[0]


@pytest.fixture(scope="module")
def shop(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that the owner of the node opened."""
    root = write_files(tmp_path_factory.mktemp("shop"), {"buildnet.yaml": WORKSPACE, "p/in": "1"})
    assert node("build", "--dry-run", "-C", str(root)).code == 0
    return root


def key(node: Node, path: Path, *options: str) -> Path:
    made = node("key", "create", path.stem, "--rights", "builder", "--out", str(path), *options)
    assert made.code == 0, made.err
    return path


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("--bind", "new")], ids=["plain", "bound"])
def test_a_script_with_a_builders_key_builds_and_changes_no_configuration(
    node: Node, shop: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (shop / "p/in").write_text(json.dumps(options))  # another result for each
    path = key(node, tmp_path / f"ci{len(options)}.key", *options)
    environment = {"POOL_URL": node.address, "POOL_KEY": str(path), "POOL_WORKSPACE": str(shop)}
    ended = run(SCRIPTS[0], **environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    printed, over, package, refused = ended.stdout.splitlines()
    assert printed == "p made it"
    assert " succeeded " in over
    assert package.startswith("p succeeded ")
    assert refused == "NOT_ALLOWED"
    assert node("config", "show", "mine").code == 6


def test_a_script_with_asyncio_builds(node: Node, shop: Path, tmp_path: Path) -> None:
    path = key(node, tmp_path / "asyncio.key")
    environment = {"POOL_URL": node.address, "POOL_KEY": str(path), "POOL_WORKSPACE": str(shop)}
    ended = run(SCRIPTS[1], **environment)
    assert ended.stdout == "succeeded True\n", ended.stderr


def test_a_script_watches_and_tells_what_it_builds(node: Node, shop: Path, tmp_path: Path) -> None:
    path = key(node, tmp_path / "watcher.key")
    environment = {"POOL_URL": node.address, "POOL_KEY": str(path), "POOL_WORKSPACE": str(shop)}
    ended = run(SCRIPTS[3], **environment, ONCE="1")
    assert (ended.returncode, ended.stdout) == (0, "succeeded\n"), ended.stderr
    watching = subprocess.Popen(
        [sys.executable, "-c", SCRIPTS[3]],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "succeeded\n"
        (shop / "p/in").write_text("changed")
        said = [watching.stdout.readline() for _ in range(2)]
        assert said == ["changed: p/in\n", "succeeded\n"]
        assert node("key", "revoke", "watcher", "--yes").code == 0
        _, error = watching.communicate(timeout=TIMEOUT_S)
    finally:
        watching.kill()
        watching.wait()
    assert "EventsEndedError" in error


def test_a_script_on_the_nodes_own_host_needs_no_key(node: Node) -> None:
    ended = run(SCRIPTS[2], BUILDNET_HOME=str(node.home.directory))
    assert ended.stdout.endswith(" builds run\n"), ended.stderr


def test_events_end_when_the_key_is_revoked(node: Node, tmp_path: Path) -> None:
    pool = Pool(node.address, key=key(node, tmp_path / "left.key"))
    events = pool.events("nodes", "builds")
    assert next(events)["type"] == "snapshot"
    assert node("key", "revoke", "left", "--yes").code == 0
    with pytest.raises(EventsEndedError) as error:
        list(events)
    assert error.value.exit_code == 4
