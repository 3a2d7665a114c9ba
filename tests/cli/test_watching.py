"""What ``buildnet watch`` says after each change."""

from __future__ import annotations

from typing import Any

import pytest

from buildnet.cli.settings import Settings
from buildnet.cli.watching import _print_prepared


def entry(name: str, plan: str, *, node: str | None = None) -> dict[str, Any]:
    place = {"node": "id", "node_name": node} if plan == "run" else None
    return {"name": name, "status": "skipped", "plan": plan, "place": place}


def said(capsys: pytest.CaptureFixture[str], *packages: dict[str, Any]) -> str:
    report = {"packages": packages, "duration_ms": 12, "estimated_ms": 2000, "error": None}
    _print_prepared(report, Settings())
    return capsys.readouterr().out


def test_it_says_which_nodes_would_do_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(
        capsys,
        entry("a", "run"),
        entry("b", "run", node="berta"),
        entry("c", "run", node="berta"),
        entry("d", "restore"),
    )
    assert "a, b, c would run; d would come from the cache (1 here, 2 on berta)" in shown
    assert "takes about 2" in shown


def test_what_all_runs_here_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    assert "here" not in said(capsys, entry("a", "run"))
    assert "nothing to do" in said(capsys)
