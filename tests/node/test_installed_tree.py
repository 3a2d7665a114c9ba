"""What workspaces have installed, taken into the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from buildnet.cli.testing import write_files
from buildnet.mesh.digest import Digest
from buildnet.node.installed_tree import TakenIn
from buildnet.node.store import Store
from buildnet.pool.tree import FileEntry, LinkEntry


def installed(root: Path) -> Path:
    write_files(
        root,
        {
            "node_modules/.package-lock.json": "{}",
            "node_modules/.cache/tool/answer": "scratch",
            "node_modules/lodash/index.js": "lodash",
            "node_modules/lodash/cli.js": "run",
            "packages/a/node_modules/x/.cache/kept": "a file of a package",
        },
    )
    (root / "node_modules/lodash/cli.js").chmod(0o755)
    (root / "node_modules/a").symlink_to("../packages/a")
    return root


def test_all_is_taken_but_what_tools_write_there(tmp_path: Path, store: Store) -> None:
    root = installed(tmp_path / "w")
    with store.hold() as hold:
        tree = TakenIn().tree("key", root, ["", "packages/a", "packages/b"], hold)
        assert hold.missing(tree.files()) == set()
    assert dict(tree.leaves()) == {
        "node_modules/.package-lock.json": FileEntry(Digest.of(b"{}")),
        "node_modules/a": LinkEntry("../packages/a"),
        "node_modules/lodash/cli.js": FileEntry(Digest.of(b"run"), executable=True),
        "node_modules/lodash/index.js": FileEntry(Digest.of(b"lodash")),
        "packages/a/node_modules/x/.cache/kept": FileEntry(Digest.of(b"a file of a package")),
    }


def test_files_are_read_again_only_after_another_install_or_loss(
    tmp_path: Path, store: Store, monkeypatch: Any
) -> None:
    root, taken = installed(tmp_path / "w"), TakenIn()
    read: list[Path] = []
    with store.hold() as hold:
        put_file = hold.put_file

        def noted(path: Path, expected: Digest | None = None) -> Digest:
            read.append(path)
            return put_file(path, expected)

        monkeypatch.setattr(hold, "put_file", noted)
        first = taken.tree("key", root, [""], hold)
        assert len(read) == 3
        assert taken.tree("key", root, [""], hold) is first
        assert len(read) == 3
        taken.tree("another", root, [""], hold)
        assert len(read) == 6
        note = root / "node_modules/.package-lock.json"
        note.unlink()
        note.write_text("{ }")
        assert taken.tree("key", root, [""], hold) != first
        assert len(read) == 9
    store.collect(0)
    with store.hold() as hold:
        again = taken.tree("key", root, [""], hold)
        assert hold.missing(again.files()) == set()
