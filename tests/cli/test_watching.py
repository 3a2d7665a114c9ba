"""What ``buildnet watch`` says after each change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.api_answers import WATCH_ENDS, WATCHED, answering, watch_answer

from buildnet.cli.building import BuildOptions
from buildnet.cli.client import Client
from buildnet.cli.settings import Settings
from buildnet.cli.watching import _print_prepared, run
from buildnet.mesh.errors import BuildNetError


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


@pytest.mark.parametrize("format", ["table", "json"])
@pytest.mark.parametrize(("end", "told"), WATCH_ENDS)
def test_it_says_why_it_ends(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    format: str,
    end: dict[str, Any] | None,
    told: tuple[str, str, int],
) -> None:
    options, settings = BuildOptions(directory=tmp_path), Settings(format=format)
    with answering(tmp_path / "home", watch_answer(end)) as node:
        client = Client(socket_path=node.home / "node.sock")
        with pytest.raises(BuildNetError) as error:
            run(options, settings, client, builds=False)
    assert (error.value.code, error.value.message, error.value.exit_code) == told
    lines = capsys.readouterr().out.splitlines()
    events = [*WATCHED, end] if end else [*WATCHED]
    assert [json.loads(line) for line in lines] == (events if format == "json" else [])
