"""What a node makes of --join: it is patient, and never ends for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.dialing import UnreachableError
from buildnet.mesh.members.invitation import TokenError
from buildnet.mesh.service.joining import REJECTED, STOPPING, refused
from buildnet.node import joining_at_start as module
from buildnet.node.attempts import Attempts
from buildnet.node.service import NodeService

UNREACHABLE = UnreachableError("nobody answers", refused=True, cause="no route")


class Joining:
    """A node whose joins end as listed: in an error, or None: well."""

    def __init__(self, *outcomes: BuildNetError | None, members: int = 1) -> None:
        self.outcomes = list(outcomes)
        self.attempts = Attempts()
        self.told: list[dict[str, Any] | None] = []
        self.cluster = {"name": "studio"}
        self.mesh = SimpleNamespace(view=lambda: SimpleNamespace(members=[None] * members))

    async def join(self, address: str, token: str | None, told: Callable[[str], None]) -> None:
        assert (address, token) == ("a", "t")
        self.told.append(self.attempts.view())
        if (outcome := self.outcomes.pop(0)) is not None:
            raise outcome


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    return waited


@pytest.fixture(autouse=True)
def joins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes join as :class:`Joining` says."""
    monkeypatch.setattr(module, "join", Joining.join)


def join(node: Joining) -> None:
    asyncio.run(module.join_at_start(cast(NodeService, cast(Any, node)), "a", "t"))
    assert node.outcomes == []


def test_it_is_tried_again_while_nobody_answers(waits: list[float]) -> None:
    join(Joining(*[UNREACHABLE] * 7, refused(STOPPING, ""), None))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_meanwhile_it_is_told_what_is_waited_for(waits: list[float]) -> None:
    node = Joining(UNREACHABLE, None)
    join(node)
    first, second = node.told
    assert first is not None
    assert (first["address"], first["waits_for"], first["problem"]) == ("a", "node", None)
    assert second == {**first, "problem": "nobody answers"}
    assert node.attempts.view() is None


@pytest.mark.parametrize(
    "error", [TokenError("the token has expired", hint="ask again"), refused(REJECTED, "")]
)
def test_what_else_goes_wrong_is_told_and_the_node_goes_on(
    waits: list[float], caplog: pytest.LogCaptureFixture, error: BuildNetError
) -> None:
    join(Joining(error))
    assert waits == []
    assert error.message in caplog.text
    assert str(error.hint) in caplog.text


def test_a_member_does_nothing() -> None:
    join(Joining(members=2))
