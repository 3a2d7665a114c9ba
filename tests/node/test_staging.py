"""Stages: what is put there, and what is shown from elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.node.stored_trees import tree_of

from buildnet.mesh.digest import Digest
from buildnet.node.execute import staging
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.errors import StageError, StageFullError
from buildnet.node.execute.links import lexical_target, stays_inside
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.removal import remove_tree
from buildnet.node.execute.staging import SOURCE_EPOCH_S, Stage, staged
from buildnet.node.store.errors import StoreFullError
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry

ACTION = Digest.of(b"an action")


# What is put there


def test_inputs_are_copies_with_mode_bits_links_and_one_date(store: Store, tmp_path: Path) -> None:
    tool = FileEntry(store.put(b"#!/bin/sh\n"), executable=True)
    tree = tree_of(
        store, {"a/plain.txt": b"plain", "a/tool": tool, "a/b/link": LinkEntry("../plain.txt")}
    ).merged(DirectoryTree({"empty": DirectoryTree({})}))
    with staged(tmp_path / "work", ACTION, tree, store) as stage:
        assert stage.directory == tmp_path / "work" / ACTION.hash[:16]
        plain = stage.root / "a" / "plain.txt"
        assert plain.read_bytes() == b"plain"
        assert stat.S_IMODE(plain.stat().st_mode) == 0o644
        assert plain.stat().st_nlink == 1
        assert stat.S_IMODE((stage.root / "a" / "tool").stat().st_mode) == 0o755
        assert str((stage.root / "a" / "b" / "link").readlink()) == "../plain.txt"
        assert list((stage.root / "empty").iterdir()) == []
        everything = [stage.root, *stage.root.rglob("*")]
        assert {path.lstat().st_mtime for path in everything} == {SOURCE_EPOCH_S}
        assert list(stage.home.iterdir()) == list(stage.temporary.iterdir()) == []
        plain.write_bytes(b"an action may alter its copy")
    assert store.get(Digest.of(b"plain")) == b"plain"
    assert not stage.directory.exists()


def test_parents_of_plain_outputs_and_the_working_directory_are_made(
    store: Store, tmp_path: Path
) -> None:
    outputs = DeclaredOutputs(["a/dist/index.js", "b/lib", "c/out/**", "d/*.js"])
    with staged(
        tmp_path, ACTION, DirectoryTree({}), store, outputs=outputs, working_directory="w/here"
    ) as stage:
        made = {str(path.relative_to(stage.root)) for path in stage.root.rglob("*")}
    assert made == {"a", "a/dist", "b", "w", "w/here"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "deeper/../../../x", "jump/.."])
def test_links_that_lead_out_are_refused(store: Store, tmp_path: Path, target: str) -> None:
    tree = DirectoryTree.from_paths(
        {"link": LinkEntry(target), "jump": LinkEntry("a/b/up"), "a/b/up": LinkEntry("../..")}
    )
    with (
        pytest.raises(StageError, match=r"link.* leads out of the inputs"),
        staged(tmp_path / "work", ACTION, tree, store),
    ):
        pytest.fail("staged")
    assert list((tmp_path / "work").iterdir()) == []


def test_links_are_followed_to_see_where_they_lead() -> None:
    tree = DirectoryTree.from_paths(
        {"a/b/up": LinkEntry("../.."), "loop": LinkEntry("loop"), "a/abs": LinkEntry("/")}
    )
    assert stays_inside(tree, "a/b", "up/a")
    assert stays_inside(tree, "", "loop/..")
    assert stays_inside(tree, "a", "./..//a/not-there")
    assert not stays_inside(tree, "", "a/b/up/..")
    assert not stays_inside(tree, "a", "abs")
    assert lexical_target("a/b", "../c/./d") == "a/c/d"
    assert lexical_target("a", "../../b") is None


def test_hostile_names_are_refused(store: Store, tmp_path: Path) -> None:
    tree = DirectoryTree({"..": DirectoryTree({"x": FileEntry(store.put(b"x"))})})
    with (
        pytest.raises(ValueError, match="plain file name"),
        staged(tmp_path / "work", ACTION, tree, store),
    ):
        pytest.fail("staged")


def test_leftovers_do_not_get_into_a_stage(
    store: Store, tmp_path: Path, ordinary_user: Path
) -> None:
    del tmp_path
    old = ordinary_user / ACTION.hash[:16] / "root" / "locked" / "deeper"
    old.mkdir(parents=True)
    (old / "file").write_text("left over")
    old.chmod(0o500)
    old.parent.chmod(0o500)
    with staged(ordinary_user, ACTION, DirectoryTree({}), store) as stage:
        assert list(stage.root.iterdir()) == []
    assert list(ordinary_user.iterdir()) == []


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A directory of a user whom permissions bind; root is made one for the test."""
    directory = Path(tempfile.mkdtemp(prefix="buildnet-test-"))
    root = os.geteuid() == 0
    if root:
        os.chown(directory, 65534, 65534)
        os.seteuid(65534)
    try:
        yield directory
    finally:
        if root:
            os.seteuid(0)
        remove_tree(directory)


class FullStore:
    """A store whose copies meet a full disk."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def copy_to(self, *_: object, **__: object) -> None:
        raise self._error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoreFullError("full")])
def test_a_full_disk_is_reported_and_leaves_no_stage(
    store: Store, tmp_path: Path, error: Exception
) -> None:
    tree = tree_of(store, {"file": b"content"})
    with (
        pytest.raises(StageFullError, match="disk is full"),
        staged(tmp_path / "work", ACTION, tree, FullStore(error)),  # type: ignore[arg-type]
    ):
        pytest.fail("staged")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_stage_that_cannot_be_made_says_where(store: Store, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    with (
        pytest.raises(StageError, match="can't be made"),
        staged(tmp_path / "work", ACTION, DirectoryTree({}), store),
    ):
        pytest.fail("staged")


# What is shown from elsewhere


def make_workspace(root: Path, files: Mapping[str, str], links: Mapping[str, str]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    for path, target in links.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)


def shown(store: Store, tmp_path: Path, source: Path, *paths: str) -> Iterator[Stage]:
    mounts = [Mount(path, source / path) for path in paths]
    tree = tree_of(store, {"packages/core/index.js": b"the stage's copy"})
    with staged(tmp_path / "work", ACTION, tree, store, mounts=mounts) as stage:
        yield stage


def test_an_npm_tree_is_shown_by_links(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    make_workspace(
        source,
        {
            "packages/core/index.js": "the original",
            "node_modules/lodash/index.js": "lodash",
            "node_modules/@types/node/index.d.ts": "types",
            "node_modules/.package-lock.json": "{}",
            "node_modules/.cache/tool/state": "private",
        },
        {
            "node_modules/core": "../packages/core",
            "node_modules/@shop/core": "../../packages/core",
            "node_modules/.bin/lodash": "../lodash/index.js",
            "node_modules/.bin/core": "../core/index.js",
            "node_modules/absolute": str(source / "packages/core"),
            "node_modules/elsewhere": "/etc",
        },
    )
    for stage in shown(store, tmp_path, source, "node_modules"):
        modules = stage.root / "node_modules"
        assert not modules.is_symlink()
        for own in ("core", "@shop/core", "absolute"):
            assert (modules / own / "index.js").read_text() == "the stage's copy"
        assert (modules / "lodash").resolve() == source / "node_modules/lodash"
        assert (modules / "@types/node").resolve() == source / "node_modules/@types/node"
        assert (modules / ".bin/lodash").read_text() == "lodash"
        assert (modules / ".bin/core").read_text() == "the stage's copy"
        assert (modules / "elsewhere").resolve() == Path("/etc").resolve()
        assert (modules / ".package-lock.json").read_text() == "{}"
        assert list((modules / ".cache").iterdir()) == []
        (modules / ".cache/new").write_text("scratch")
        (modules / ".vite").mkdir()
    assert sorted(path.name for path in (source / "node_modules/.cache").iterdir()) == ["tool"]
    assert (source / "node_modules/lodash/index.js").exists()


def test_commands_without_packages_of_the_workspace_are_one_link(
    store: Store, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    make_workspace(source, {"node_modules/x/cli.js": ""}, {"node_modules/.bin/x": "../x/cli.js"})
    for stage in shown(store, tmp_path, source, "node_modules"):
        assert (stage.root / "node_modules/.bin").is_symlink()
        assert (stage.root / "node_modules/.bin/x").exists()


def test_a_pnpm_tree_is_shown_by_links(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    make_workspace(
        source,
        {
            "packages/core/index.js": "the original",
            "node_modules/.pnpm/lodash@4/node_modules/lodash/index.js": "lodash",
            "packages/app/package.json": "{}",
        },
        {
            "node_modules/lodash": ".pnpm/lodash@4/node_modules/lodash",
            "packages/app/node_modules/lodash": (
                "../../../node_modules/.pnpm/lodash@4/node_modules/lodash"
            ),
            "packages/app/node_modules/core": "../../core",
        },
    )
    paths = ("node_modules", "packages/app/node_modules")
    for stage in shown(store, tmp_path, source, *paths):
        own = stage.root / "packages/app/node_modules"
        assert (own / "lodash/index.js").read_text() == "lodash"
        assert (own / "core/index.js").read_text() == "the stage's copy"
        assert (stage.root / "node_modules/lodash/index.js").read_text() == "lodash"
        assert (stage.root / "node_modules/.pnpm").is_symlink()


def test_a_missing_tree_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="node_modules"):
        next(shown(store, tmp_path, tmp_path / "nowhere", "node_modules"))


@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_a_real_npm_workspace_loads_the_copies_of_its_packages(
    store: Store, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    files = {
        "package.json": json.dumps({"name": "root", "private": True, "workspaces": ["packages/*"]}),
        "packages/a/package.json": json.dumps(
            {"name": "a", "version": "1.0.0", "dependencies": {"b": "1.0.0", "is-number": "7.0.0"}}
        ),
        "packages/a/index.js": "console.log(require('b').where, require('is-number')(5))",
        "packages/b/package.json": json.dumps(
            {"name": "b", "version": "1.0.0", "bin": {"b-tool": "cli.js"}}
        ),
        "packages/b/index.js": "exports.where = 'original ' + __dirname",
        "packages/b/cli.js": "#!/usr/bin/env node\nconsole.log('original')",
    }
    make_workspace(source, files, {})
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--fetch-retries=0"],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"npm install does not work here: {installed.stderr[-300:]}")
    edited = {path: content.replace("original", "copy").encode() for path, content in files.items()}
    tree = tree_of(store, edited)
    mounts = [Mount("node_modules", source / "node_modules")]
    with staged(tmp_path / "work", ACTION, tree, store, mounts=mounts) as stage:
        (stage.root / "packages/b/cli.js").chmod(0o755)
        loaded, command = (
            subprocess.run(argv, cwd=stage.root, capture_output=True, text=True, check=False)
            for argv in (["node", "packages/a/index.js"], ["node_modules/.bin/b-tool"])
        )
        assert loaded.stdout == f"copy {stage.root.resolve()}/packages/b true\n", loaded.stderr
        assert command.stdout == "copy\n", command.stderr


def test_the_date_of_inputs_is_one_that_archives_can_hold() -> None:
    assert time.gmtime(staging.SOURCE_EPOCH_S)[:6] == (1980, 1, 1, 0, 0, 0)
