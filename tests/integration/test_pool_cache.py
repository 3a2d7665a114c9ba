"""What was built on one node is a hit on the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node

FILE = """
workspace: shop
packages:
  - name: base
    path: base
    build_cmd: mkdir -p dist/deep && cat in.txt > dist/deep/out && date +%N > dist/when
    output_dir: base/dist
  - name: top
    path: top
    build_cmd: cat ../base/dist/deep/out in.txt > out.txt
    dependencies: [base]
    outputs: [top/out.txt]
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("pair"), 2) as cluster:
        yield cluster


def workspace(directory: Path, text: str, isolation: str = "strict") -> Path:
    files = {
        "buildnet.yaml": FILE.replace("    path:", f"    isolation: {isolation}\n    path:"),
        "base/in.txt": text,
        "top/in.txt": "top\n",
    }
    write_files(directory, files)
    return directory


def tiers(report: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["tier"] for each in report["packages"]}


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def build(node: Node, root: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    return node.command.build(root, *arguments, code=code)


def test_a_result_is_taken_from_the_pool_and_then_from_the_own_cache(
    pair: Cluster, tmp_path: Path
) -> None:
    one, other = pair.members
    here, there = workspace(tmp_path / "here", "a\n"), workspace(tmp_path / "there", "a\n")
    assert set(tiers(build(one, here, "--local-only")).values()) == {"full"}
    report = build(other, there)
    assert tiers(report) == {"base": "pool-cache", "top": "pool-cache"}
    assert {each["node"] for each in report["packages"]} == {one.identity}
    assert contents(there) == contents(here)  # with the moment at which it was made
    assert set(tiers(build(other, there)).values()) == {"instant-skip"}
    (there / "base/dist/when").unlink()
    assert tiers(build(other, there))["base"] == "local-cache"
    (there / "base/dist/when").unlink()
    shown = other.command("build", cwd=there)
    assert shown.code == 0, shown.err
    other("cache", "clear", "--yes")
    (there / "base/dist/when").unlink()
    shown = other.command("build", cwd=there)
    assert f"from the pool's cache ({one.name})" in shown.out + shown.err, shown.out + shown.err
    assert contents(there) == contents(here)


def test_it_is_told_which_nodes_have_a_result(pair: Cluster, tmp_path: Path) -> None:
    one, other = pair.members
    here, there = workspace(tmp_path / "here", "w\n"), workspace(tmp_path / "there", "w\n")
    staged = workspace(tmp_path / "staged", "s\n", "staged")
    action = build(one, here, "--local-only")["packages"][0]["action"]

    def has(action: str) -> dict[str, tuple[bool | None, str | None]]:
        found = one("cache", "where", action[:16], "--json").data
        assert found["action"] == action
        return {each["node"]: (each["has"], each["why"]) for each in found["nodes"]}

    assert has(action) == {one.name: (True, None), other.name: (False, None)}
    build(other, there)
    assert has(action) == {one.name: (True, None), other.name: (True, None)}
    assert "yes" in one("cache", "where", action[:16]).out
    alone = build(one, staged, "--local-only")["packages"][0]["action"]
    why = "results that are not strict stay on the node that made them"
    assert has(alone) == {one.name: (True, None), other.name: (None, why)}
    blob = one.get(f"/api/cache/show/{action}")["blobs"][0]["hash"]
    assert one.command("cache", "where", blob).code == 2


def test_who_wants_nothing_of_the_pool_gets_nothing(pair: Cluster, tmp_path: Path) -> None:
    one, other = pair.members
    build(one, workspace(tmp_path / "here", "b\n"), "--local-only")
    there = workspace(tmp_path / "there", "b\n")
    assert set(tiers(build(other, there, "--local-only")).values()) == {"full"}


def test_what_is_less_isolated_is_not_shared(pair: Cluster, tmp_path: Path) -> None:
    one, other = pair.members
    build(one, workspace(tmp_path / "here", "c\n", "staged"), "--local-only")
    there = workspace(tmp_path / "there", "c\n", "staged")
    assert set(tiers(build(other, there)).values()) == {"full"}


def test_what_the_other_one_has_lost_is_built(pair: Cluster, tmp_path: Path) -> None:
    one, other = pair.members
    here, there = workspace(tmp_path / "here", "d\n"), workspace(tmp_path / "there", "d\n")
    build(one, here, "--local-only")
    for blob in (one.home.store / "blobs").rglob("*"):
        if blob.is_file() and blob.read_bytes() == b"d\n":
            blob.chmod(0o600)
            blob.write_bytes(b"x\n")
    report = build(other, there)
    assert tiers(report)["base"] == "full"
    assert (there / "base/dist/deep/out").read_bytes() == b"d\n"
