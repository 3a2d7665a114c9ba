"""Outputs of a stored result, written to a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.extraction import ExtractionError, extract
from buildnet.node.store import ActionRecord, Store
from buildnet.pool.result import encode_result
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry

ACTION = Digest.of(b"action")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", 1 << 30) as store:
        outputs = DirectoryTree.from_paths(
            {
                "p/dist/a.txt": FileEntry(store.put(b"a\n")),
                "p/dist/deep/run": FileEntry(store.put(b"#!/bin/sh\n"), executable=True),
                "p/dist/link": LinkEntry("a.txt"),
            }
        )
        result = encode_result(outputs, "p", ("p/dist",), store.put(b"log"))
        for tree in result.trees:
            store.put(tree)
        store.put_action(
            ActionRecord(
                ACTION,
                result.encoded,
                "strict",
                bytes(32),
                bytes(64),
                1.0,
                1.0,
                "p",
                result.references,
            )
        )
        yield store


def test_outputs_are_written_as_they_were_made(store: Store, tmp_path: Path) -> None:
    told = extract(store, ACTION.hash[:12], tmp_path / "out/new")
    assert (told.label, told.files) == ("p", 3)
    out = tmp_path / "out/new/dist"
    assert (out / "a.txt").read_text() == "a\n"
    assert (out / "deep/run").stat().st_mode & 0o111
    assert (out / "link").readlink() == Path("a.txt")


def test_nothing_is_written_over(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExtractionError, match="not empty"):
        extract(store, ACTION.hash, tmp_path)
    with pytest.raises(ExtractionError, match="can't be written"):
        extract(store, ACTION.hash, tmp_path / "mine.txt")


def test_what_is_no_result_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        extract(store, "ff" * 32, tmp_path / "out")
    with pytest.raises(ExtractionError, match="is a blob"):
        extract(store, Digest.of(b"a\n").hash, tmp_path / "out")
