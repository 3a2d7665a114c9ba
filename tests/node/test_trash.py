"""Removals that are held back."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.node.execute import trash as module
from buildnet.node.execute.trash import Trash


def filled(path: Path) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "deep/file").write_text("x")
    return path


def test_what_is_thrown_away_is_out_of_the_way_at_once_and_goes_later(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    for _ in range(3):  # the same place again and again
        trash.throw(filled(tmp_path / "stage"))
        assert not (tmp_path / "stage").exists()
    assert len(list((tmp_path / "trash").iterdir())) == 3
    trash.empty()
    assert list((tmp_path / "trash").iterdir()) == []


def test_nothing_there_is_fine(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    trash.throw(tmp_path / "never")
    trash.empty()


@pytest.mark.parametrize(("name", "value"), [("HELD_MAX", 1), ("FREE_MIN_BYTES", 1 << 62)])
def test_beyond_its_bounds_things_are_removed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(module, name, value)
    trash = Trash(tmp_path / "trash")
    for number in range(3):
        trash.throw(filled(tmp_path / str(number)))
        assert not (tmp_path / str(number)).exists()
    assert len(list((tmp_path / "trash").iterdir())) <= 1
