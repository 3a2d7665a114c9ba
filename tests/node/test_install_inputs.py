"""What an install is staged from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.install_inputs import install_inputs
from buildnet.node.source_file import SourceError
from buildnet.pool.tree import DirectoryTree, FileEntry


def tree_of(root: Path, **changed: bytes) -> DirectoryTree:
    return DirectoryTree.from_paths(
        {
            path.relative_to(root).as_posix(): FileEntry(
                Digest.of(changed.get(path.parent.name, path.read_bytes())), False
            )
            for path in root.rglob("*")
            if path.is_file()
        }
    )


def write(root: Path, path: str, manifest: dict[str, object]) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(manifest))


def test_manifests_without_scripts_and_commands_that_are_not_built_yet(tmp_path: Path) -> None:
    write(tmp_path, "package.json", {"name": "root", "scripts": {"build": "x"}})
    write(tmp_path, "a/package.json", {"name": "a", "bin": {"a": "dist/a.js", "b": "../yarn.lock"}})
    (tmp_path / "yarn.lock").write_text("# v1")
    found = install_inputs(tmp_path, tree_of(tmp_path))
    leaves = dict(found.tree.leaves())
    assert sorted(leaves) == ["a/dist/a.js", "a/package.json", "package.json", "yarn.lock"]
    root, stub = leaves["package.json"], leaves["a/dist/a.js"]
    assert isinstance(root, FileEntry)
    assert isinstance(stub, FileEntry)
    assert json.loads(found.made[root.digest]) == {"name": "root"}
    assert found.made[stub.digest].startswith(b"#!/usr/bin/env node")
    assert stub.executable
    assert leaves["yarn.lock"] == FileEntry(Digest.of(b"# v1"), False)


def test_an_edited_script_leaves_the_inputs_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, "package.json", {"name": "root", "scripts": {"build": "x"}})
    before = install_inputs(tmp_path, tree_of(tmp_path)).tree.digest
    write(tmp_path, "package.json", {"name": "root", "scripts": {"build": "y", "test": "z"}})
    assert install_inputs(tmp_path, tree_of(tmp_path)).tree.digest == before
    write(tmp_path, "package.json", {"name": "root", "dependencies": {"x": "1"}})
    assert install_inputs(tmp_path, tree_of(tmp_path)).tree.digest != before


def test_the_same_sources_are_looked_at_once(tmp_path: Path) -> None:
    write(tmp_path, "package.json", {"name": "root"})
    first, second = tree_of(tmp_path), tree_of(tmp_path)
    assert install_inputs(tmp_path, first) is install_inputs(tmp_path, second)


def test_commands_that_would_be_in_the_way_of_other_files(tmp_path: Path) -> None:
    bins = {"x": "a", "y": "package.json/deeper", "z": "lib/z", "w": "lib/z/deeper"}
    write(tmp_path, "package.json", {"name": "root", "bin": bins})
    write(tmp_path, "a/package.json", {"name": "a"})
    leaves = dict(install_inputs(tmp_path, tree_of(tmp_path)).tree.leaves())
    assert sorted(leaves) == ["a/package.json", "lib/z", "package.json"]


def test_a_manifest_that_is_no_object_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("[1]")
    tree = tree_of(tmp_path)
    assert install_inputs(tmp_path, tree).tree.digest == tree.digest


def test_a_manifest_that_changed_meanwhile(tmp_path: Path) -> None:
    write(tmp_path, "a/package.json", {"name": "a"})
    with pytest.raises(SourceError, match=r"a/package\.json was changed while it was read"):
        install_inputs(tmp_path, tree_of(tmp_path, a=b"before"))
