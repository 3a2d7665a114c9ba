"""Values of settings as the command line takes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.cli import node_config
from buildnet.cli.commands import invoke
from buildnet.mesh.errors import UsageError


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the node is told."""
    told: list[dict[str, Any]] = []

    def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
        told.append(body)
        return {**body, "counts": "now", "warnings": ["it has 0 to 1"]}

    client = SimpleNamespace(of=lambda settings: SimpleNamespace(put=answer))
    monkeypatch.setattr(node_config, "Client", client)
    return told


@pytest.mark.parametrize(("said", "value"), [("-1", -1), ("-x", "-x"), ("[0, 64]", [0, 64])])
def test_a_value_may_begin_with_a_dash(
    put: list[dict[str, Any]], said: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["node", "config", "set", "workers.max", said]) == 0
    assert put == [{"key": "workers.max", "value": value}]
    assert "warning: it has 0 to 1" in capsys.readouterr().err


def test_an_option_that_is_none_is_told_as_too_much() -> None:
    with pytest.raises(UsageError, match="too many arguments: --jsn"):
        invoke(["node", "config", "set", "workers.max", "4", "--jsn"])


@pytest.mark.parametrize("said", ["1e400", "-.inf", ".nan", "[1, {a: 1e999}]"])
def test_what_is_no_number_of_json_is_refused_here(put: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(UsageError, match="no number that can be kept"):
        invoke(["node", "config", "set", "cache.max_gb", said])
    assert put == []
