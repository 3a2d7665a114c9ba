"""Commands that use installed packages run on all nodes of the pool."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node

FILES = 200
APPS = 8
BUILD = "sleep 0.5 && mkdir -p dist && make-words > dist/words"
AS_VITE_DOES = """
for each in node_modules/.vite-temp ../../node_modules/.vite-temp; do
  mkdir -p $each && test -z "$(ls -A $each)" && echo x > $each/x || exit 1
done
"""


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")
    with Cluster(tmp_path_factory.mktemp("trio"), 3, bare=False) as cluster:
        yield cluster


def archive(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(data.getvalue(), mtime=0)


def manifest(name: str, **fields: Any) -> str:
    return json.dumps({"name": name, "version": "1.0.0", "private": True, **fields})


def many_apps(root: Path, word: str, build: str = BUILD) -> Path:
    """A workspace of npm whose apps are built by a tool of the workspace and a package of an
    archive, so that no registry is needed."""
    files = {f"package/part{number}.js": f"// {number}\n" for number in range(FILES)}
    files |= {
        "package/package.json": json.dumps({"name": "greeter", "version": "1.0.0"}),
        "package/index.js": f"module.exports = {word!r}\n",
    }
    written = {
        ".gitignore": "node_modules\ndist\n",
        "package.json": manifest(
            "shop", workspaces=["packages/*"], devDependencies={"greeter": "file:greeter.tgz"}
        ),
        "packages/tool/package.json": manifest("tool", bin={"make-words": "cli.js"}),
        "packages/tool/cli.js": "#!/usr/bin/env node\nconsole.log(require('greeter'), "
        "require('fs').readFileSync('in.txt', 'utf8'))\n",
    }
    for number in range(APPS):
        written[f"packages/app{number}/package.json"] = manifest(
            f"app{number}",
            dependencies={"tool": "1.0.0"},
            scripts={"build": build},
            main="dist/words",
        )
        written[f"packages/app{number}/in.txt"] = f"{number}"
    write_files(root, written)
    (root / "greeter.tgz").write_bytes(archive(files))
    npm(root, "install", "--package-lock-only")
    shutil.rmtree(root / "node_modules", ignore_errors=True)
    return root


def npm(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["npm", *arguments, "--ignore-scripts", "--no-audit", "--no-fund", "--offline"],
        cwd=root,
        env={**os.environ, "HOME": str(root.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"npm does not work here: {done.stderr[-300:]}")


def build(node: Node, root: Path, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    report = node.command.build(root, *arguments, code=code)
    entries = {each["name"]: each for each in report["packages"]}
    if any(each["isolation"] not in {None, "strict"} for each in report["packages"]):
        pytest.skip(report["isolation_reason"])
    return entries


def apps(entries: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for name, each in entries.items() if name.startswith("app")]


def words(root: Path) -> list[str]:
    return [(root / f"packages/app{number}/dist/words").read_text() for number in range(APPS)]


def unpacked(node: Node) -> set[str]:
    return {each.parent.parent.name for each in node.home.directory.glob("trees/*/*/greeter")}


def test_they_run_on_all_nodes_and_make_the_same_bytes(trio: Cluster, tmp_path: Path) -> None:
    mine, *others = trio.members
    root = many_apps(tmp_path / "shop", "hi")
    found = build(mine, root)
    assert found["dependencies"]["tier"] == "full"
    assert found["dependencies"]["node"] == mine.identity  # only its own commands use the network
    assert {each["node"] for each in apps(found)} == {node.identity for node in trio.members}
    far = words(root)
    assert far == [f"hi {number}\n" for number in range(APPS)]
    alone = build(mine, root, "--force", "--local-only")
    assert {each["node"] for each in apps(alone)} == {mine.identity}
    assert words(root) == far
    for node in others:
        assert len(unpacked(node)) == 1


def test_the_workspaces_own_node_modules_serve_elsewhere(trio: Cluster, tmp_path: Path) -> None:
    root = many_apps(tmp_path / "shop", "own")
    npm(root, "ci")
    found = build(trio.members[1], root)
    assert found["dependencies"]["tier"] == "instant-skip"
    assert {each["node"] for each in apps(found)} == {node.identity for node in trio.members}
    assert words(root) == [f"own {number}\n" for number in range(APPS)]


def test_what_tools_left_in_node_modules_is_in_nobodys_way(trio: Cluster, tmp_path: Path) -> None:
    root = many_apps(tmp_path / "shop", "vite", AS_VITE_DOES + BUILD)
    npm(root, "ci")
    left = ["node_modules/.vite-temp/old"]
    left += [f"packages/app{number}/node_modules/.vite-temp/old" for number in range(APPS)]
    write_files(root, dict.fromkeys(left, "left by a run beside BuildNet"))
    found = build(trio.members[1], root)
    assert found["dependencies"]["tier"] == "instant-skip"
    assert {each["node"] for each in apps(found)} == {node.identity for node in trio.members}
    assert words(root) == [f"vite {number}\n" for number in range(APPS)]
    assert sorted(root.glob("**/.vite-temp/*")) == sorted(root / each for each in left)


def test_an_install_that_a_member_has_is_not_done_again(trio: Cluster, tmp_path: Path) -> None:
    build(trio.members[0], many_apps(tmp_path / "one", "again"))
    root = many_apps(tmp_path / "two", "again")
    (root / "packages/app0/in.txt").write_text("another")
    found = build(trio.members[2], root)
    assert found["dependencies"]["tier"] == "pool-cache"
    assert found["dependencies"]["node"] == trio.members[0].identity
    assert words(root)[0] == "again another\n"
