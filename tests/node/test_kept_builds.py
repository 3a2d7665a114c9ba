"""What other nodes told of builds is kept: within bounds, and never under another's name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from buildnet.node.kept_builds import KeptBuilds

ONE, OTHER = b"1" * 32, b"2" * 32


def test_it_is_told_as_it_was_of_who_told_it_alone(tmp_path: Path) -> None:
    kept = KeptBuilds(tmp_path / "kept", 1 << 20)
    assert kept.get(ONE, "b", "record") is None
    kept.put(ONE, "b", "record", b"{}", 1000.0)
    found = kept.get(ONE, "b", "record")
    assert found is not None
    assert (found.data, found.at) == (b"{}", 1000.0)
    for teller, build, what in ((OTHER, "b", "record"), (ONE, "c", "record"), (ONE, "b", "graph")):
        assert kept.get(teller, build, what) is None
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


def test_the_oldest_goes_where_there_is_too_much(tmp_path: Path) -> None:
    kept = KeptBuilds(tmp_path / "kept", 1 << 20, most_bytes=2500)
    for number in range(4):
        kept.put(ONE, f"b{number}", "record", os.urandom(1000), 1000.0 + number)
    there = [number for number in range(4) if kept.get(ONE, f"b{number}", "record") is not None]
    assert there == [2, 3]


def test_what_is_damaged_or_too_long_counts_as_missing(tmp_path: Path) -> None:
    kept = KeptBuilds(tmp_path / "kept", 100)
    for damage in (lambda data: data[:-3], lambda data: b"x" + data, lambda data: b""):
        kept.put(ONE, "b", "record", b"told", 1000.0)
        (path,) = (tmp_path / "kept").iterdir()
        path.write_bytes(damage(path.read_bytes()))
        assert kept.get(ONE, "b", "record") is None
        assert not path.exists()
    kept.put(ONE, "b", "record", bytes(101), 1000.0)
    assert kept.get(ONE, "b", "record") is None


def test_what_can_not_be_written_is_left(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("no directory")
    kept = KeptBuilds(tmp_path / "kept", 100)
    kept.put(ONE, "b", "record", b"told", 1000.0)
    assert kept.get(ONE, "b", "record") is None


def test_two_that_keep_the_same_at_once_are_not_in_each_other_s_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept, utime = KeptBuilds(tmp_path / "kept", 1 << 20), os.utime

    def other_meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(os, "utime", utime)
        kept.put(ONE, "b", "record", b"{}", 1000.0)
        utime(*arguments)

    monkeypatch.setattr(os, "utime", other_meanwhile)
    kept.put(ONE, "b", "record", b"{}", 1000.0)
    assert caplog.records == []
    assert kept.get(ONE, "b", "record") is not None
    assert len(list((tmp_path / "kept").iterdir())) == 1
