"""What ``buildnet ledger`` and ``audit`` tell of what is not there, was pruned, or is wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from buildnet.cli import ledger_state
from buildnet.cli.client import path_part
from buildnet.cli.commands import invoke
from buildnet.cli.ledger_listing import show_entries
from buildnet.cli.ledger_upkeep import _scrub_text
from buildnet.ledger.store.backup import BackupError
from buildnet.mesh.errors import UsageError


def state_of(pruned: int) -> str:
    stream = io.StringIO()
    data = {"entity": "build:1", "height": 7, "entry": None, "pruned": pruned, "rows": {}}
    ledger_state._print(Console(file=stream, width=100), data)
    return stream.getvalue()


def test_a_state_whose_entries_were_pruned_is_not_told_as_never_sealed() -> None:
    assert "nothing was sealed of it by then" in state_of(0)
    assert "nothing was sealed" not in state_of(2)
    assert "was pruned here" in state_of(2)


def test_a_list_without_entries_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_entries([], {"entries": [], "next": None}, None)
    assert capsys.readouterr().out == "no entry fits\n"
    show_entries([], {"entries": [], "next": "e0.e0"}, "e0.e0")
    assert capsys.readouterr().out == "no entry fits so far\nmore: add --cursor e0.e0\n"


def test_the_last_reading_is_told_with_one_ago() -> None:
    last = {"age_s": 130.0, "entries": 3, "seals": 2, "wrong": 0, "tables": 0}
    told = _scrub_text({"last": last, "running": False, "damaged_seals": []})
    assert told == "2 min ago: 3 entries, 2 seals, nothing damaged"


def test_an_empty_id_is_wrong_use_not_another_path() -> None:
    with pytest.raises(UsageError, match="an id is empty"):
        path_part("")


def test_deep_is_refused_with_a_file() -> None:
    with pytest.raises(UsageError, match="--deep checks a node, not a file"):
        invoke(["audit", "verify", "ledger.export", "--deep"])


def test_a_file_that_is_no_backup_is_not_called_a_damaged_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDNET_HOME", str(tmp_path / "home"))
    wrong = tmp_path / "README.md"
    wrong.write_text("# no backup\n" * 1000)
    with pytest.raises(BackupError, match="is no backup of a ledger, or damaged") as told:
        invoke(["ledger", "restore", str(wrong), "--yes"])
    assert told.value.hint is not None
    assert "buildnet ledger backup" in told.value.hint
    assert not (tmp_path / "home").exists()
