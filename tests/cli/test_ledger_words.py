"""What ``buildnet ledger`` and ``audit`` tell of what is not there, was pruned, or is wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from buildnet.cli.client import Client, path_part
from buildnet.cli.commands import invoke
from buildnet.cli.ledger_listing import show_entries
from buildnet.cli.ledger_state import print_state
from buildnet.cli.ledger_upkeep import _scrub_text
from buildnet.ledger.store.backup import BackupError
from buildnet.mesh.errors import UsageError


def state_of(pruned: int) -> str:
    data = {"entity": "build:1", "height": 7, "entry": None, "pruned": pruned, "rows": {}}
    return printed({**data, "seal": None})


def printed(state: dict[str, Any]) -> str:
    stream = io.StringIO()
    print_state(Console(file=stream, width=100), state)
    return stream.getvalue()


def test_a_state_whose_entries_were_pruned_is_not_told_as_never_sealed() -> None:
    assert "nothing was sealed of it by then" in state_of(0)
    assert "nothing was sealed" not in state_of(2)
    assert "was pruned here" in state_of(2)


def test_a_state_is_told_in_words_with_its_seal_and_units() -> None:
    minute_ms = 60_000
    told = printed(
        {
            "entity": "node:ab",
            "height": 7,
            "seal": {"height": 7, "time": "2026-11-21T09:10:25.120+00:00"},
            "entry": None,
            "pruned": 0,
            "rows": {
                "node_resources": [
                    {
                        "resource_type": "cpu",
                        "resource_data": '{"cores": 16, "model": "Zen [red]"}',
                    },
                    {"resource_type": "gpus", "resource_data": "[]"},
                    {"resource_type": "memory", "resource_data": '{"total_bytes": "much"}'},
                    {"resource_type": "storage", "resource_data": None},
                ],
                "builds": [
                    {
                        "id": "b1",
                        "status": "failed",
                        "config_id": None,
                        "triggered_by": "ann",
                        "started_at": 0,
                        "completed_at": minute_ms,
                        "duration_ms": minute_ms,
                        "error": "exit 1",
                        "root": None,
                    }
                ],
                "allocations": [
                    {
                        "id": "a1",
                        "build_id": "b1",
                        "node_id": "ab",
                        "resource_type": "cores",
                        "amount": '{"cores": 1}',
                        "released_at": None,
                        "expires_at": minute_ms,
                    }
                ],
                "accounts": [
                    {"account": f"node:ab/{place}", "state": "", "balances": balances}
                    for place, balances in (
                        ("cores/capacity", '{"cores": -16}'),
                        ("cores/free", '{"cores": 15}'),
                        ("cores/allocated", '{"cores": 1}'),
                        ("memory/capacity", '{"bytes": -2147483648}'),
                    )
                ]
                + [{"account": "build:b1/0", "state": "failed", "balances": "{}"}],
                "rights": [{"id": "r1", "rights": "admin", "created_at": 0}],
            },
        }
    )
    assert "as of   the seal of height 7, 2026-11-21 09:10:25 UTC (" in told
    lines = [" ".join(line.split()) for line in told.splitlines()]
    for line in (
        "cpu 16 cores, Zen [red]",
        "gpus none",
        'memory {"total_bytes": "much"}',
        "build b1: failed",
        "asked by ann",
        "took 1 min 0 s",
        "a1 b1 ab cores: 1 core 1970-01-01 00:01:00 UTC",
        "cores 16 cores 15 cores 1 core",
        "memory 2.0 GiB 0 B 0 B",
        "build:b1/0 failed",
        "created_at 1970-01-01 00:00:00 UTC",
    ):
        assert line in lines, line


def test_a_list_without_entries_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_entries([], {"entries": [], "next": None}, None)
    assert capsys.readouterr().out == "no entry fits\n"
    show_entries([], {"entries": [], "next": "e0.e0"}, "e0.e0")
    assert capsys.readouterr().out == "no entry fits so far\nmore: add --cursor e0.e0\n"


def test_a_list_that_ends_where_it_was_pruned_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pruned = {"height": 7, "until": "2025-11-20T17:02:11.004+00:00"}
    show_entries([], {"entries": [], "next": None, "pruned": pruned}, None)
    told = capsys.readouterr().out
    assert "no entry fits\nwhat was sealed up to 2025-11-20T17:02:11.004+00:00 (height 7)" in told
    show_entries([], {"entries": [], "next": "e0.e0", "pruned": pruned}, "e0.e0")
    assert "pruned" not in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "verify --deep --repair"), (["--repair"], "buildnet ledger sync")]
)
def test_what_is_damaged_is_told_with_what_to_do(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    wrong = {"where": "file", "what": "wrong # of entries in index entries_type"}
    counts = {"entries_checked": 3, "pruned": 0, "seals_checked": 1}
    report = {"type": "report", "verified": False, **counts, "errors": [wrong]}

    @contextmanager
    def stream(self: Client, path: str, body: dict[str, Any]) -> Iterator[Any]:
        yield iter([report])

    monkeypatch.setattr(Client, "stream", stream)
    assert invoke(["ledger", "verify", *arguments]) == 1
    told = capsys.readouterr().out
    assert "not verified: 3 entries, 1 seals, 1 errors" in told
    assert said in told.split("next: ")[1]
