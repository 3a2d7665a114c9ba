"""What another node is told of an error here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Received
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.node.artifacts import Artifacts
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.keeping import NotKeptError
from buildnet.node.durable.shelf import ShelfError
from buildnet.node.durable.stands_in import StandsIn
from buildnet.node.store import Store, StoreFullError
from buildnet.node.store.errors import StateError
from buildnet.node.told_to_others import told_to_others
from buildnet.pool.messages.durable import KeepAnswer, KeepAsk
from buildnet.pool.messages.keeping import ResultKeep, ResultKept
from buildnet.pool.messages.results import SharedResult, WireDigest
from buildnet.pool.warrant import Warrant

OTHER = b"o" * 32
NOTHING = WireDigest(bytes(32), 0)
WARRANT = Warrant(OTHER, bytes(16))
PLACE = "/home/ann/.buildnet"
ERRORS = [
    ShelfError(f"{PLACE}/shelf can't be used", cause=PLACE),
    StateError(f"the index is damaged: {PLACE}"),
    StoreFullError("no room left", cause=f"the store ({PLACE}) is full"),
]


def test_refusals_are_told_whole() -> None:
    refusal = NotKeptError("it can't be kept", cause="it is too large")
    assert told_to_others(refusal, NotKeptError) == "it can't be kept: it is too large"
    assert told_to_others(ERRORS[2]) == "no room left"


@pytest.mark.parametrize("error", ERRORS)
def test_who_asks_for_a_request_to_be_kept_learns_no_place(error: BuildNetError) -> None:
    async def has_ended(build: str) -> bool:
        raise error

    said: list[Any] = []
    circle = cast(
        Circle,
        SimpleNamespace(
            say=lambda to, message: said.append(message), is_granted=lambda *asked: True
        ),
    )
    successor: Any = SimpleNamespace(has_ended=has_ended)
    nothing: Any = None
    stands_in = StandsIn(circle, nothing, successor, nothing, lambda: None, 60.0)
    asyncio.run(stands_in.keep(OTHER, KeepAsk("b", 1, NOTHING, NOTHING, WARRANT)))
    (answer,) = said
    assert isinstance(answer, KeepAnswer)
    assert not answer.kept
    assert PLACE not in answer.why


@pytest.mark.parametrize("error", ERRORS)
def test_who_asks_for_a_result_to_be_kept_learns_no_place(
    tmp_path: Path, error: BuildNetError
) -> None:
    async def take_one(*_: object) -> None:
        raise error

    said: list[Message] = []

    async def run() -> None:
        tasks: list[asyncio.Task[None]] = []
        member = SimpleNamespace(rights=Rights.BUILDER)
        members = SimpleNamespace(members={OTHER: member}, is_member=lambda key: key == OTHER)
        cluster: Any = SimpleNamespace(
            local=SimpleNamespace(members=members),
            say=lambda to, message: said.append(message),
            spawn=lambda work: tasks.append(asyncio.ensure_future(work())),
        )
        result = SharedResult(
            WireDigest.of(Digest.of(b"a")), "strict", OTHER, bytes(64), 0, 0, "a", NOTHING, b""
        )
        with Store.open(tmp_path / "store", 1 << 30) as store:
            artifacts = Artifacts(
                store, cast(Any, SimpleNamespace(take_one=take_one)), lambda: None
            )
            async with artifacts.guest(cluster):
                artifacts.take(Received(OTHER, ResultKeep(bytes(16), result, "", ())))
                await asyncio.gather(*tasks)

    asyncio.run(run())
    (answer,) = said
    assert isinstance(answer, ResultKept)
    assert answer.problem
    assert PLACE not in answer.problem
