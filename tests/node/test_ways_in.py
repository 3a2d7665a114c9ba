"""Where a node joins, and whether others get to it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.ledger.service.service import LedgerService
from buildnet.mesh.errors import UsageError
from buildnet.mesh.link.dialing import UnreachableError
from buildnet.mesh.members.invitation import new_token
from buildnet.mesh.service.joining import JoinError
from buildnet.mesh.service.service import Joined
from buildnet.mesh.service.view import LinkView, MeshView
from buildnet.node.config import NodeConfig
from buildnet.node.home import Home
from buildnet.node.in_force import InForce
from buildnet.node.joining import join
from buildnet.node.recording import Recording
from buildnet.node.service import NodeService
from buildnet.node.way_in import WayIn
from buildnet.pool.testing import NOON_S, member_view, mesh_view

ME, OTHER = b"m" * 32, b"o" * 32
JOINED = Joined(bytes(32), "home", 2, already=False)
FIRST, SECOND, OWN = "http://10.0.0.1:80", "http://10.0.0.2:80", "http://me:80"
TOKEN = new_token(bytes(32), secret=bytes(16), expires=9, addresses=(FIRST, OWN, SECOND)).text
BY_IT = LinkView("direct", False, None, None, NOON_S, 1, 1, 1, 1, 0)


@dataclass
class ScriptedMesh:
    """Answers at some addresses; ``link`` is that to the other member."""

    up: dict[str, Joined | JoinError] = field(default_factory=dict)
    link: LinkView | None = None
    tried: list[str] = field(default_factory=list)

    def view(self) -> MeshView:
        other = member_view(OTHER, "other", link=self.link)
        return mesh_view(member_view(ME, "me", link=None), other, me=ME)

    async def join(self, address: str, **_: object) -> Joined:
        self.tried.append(address)
        outcome = self.up.get(address)
        if outcome is None:
            raise UnreachableError(f"nobody at {address}", refused=True, cause="no route")
        if isinstance(outcome, JoinError):
            raise outcome
        return outcome


def service_of(mesh: ScriptedMesh, address: str = "http://127.0.0.1:1") -> NodeService:
    ledger = LedgerService(Path("/nowhere"))
    service = NodeService(
        home=Home(Path("/nowhere")),
        keys=cast(Any, SimpleNamespace(current=SimpleNamespace(node_id="id"))),
        name="me",
        address=address,
        way_in=WayIn("127.0.0.1", 1),
        in_force=InForce(Path("/nowhere/terms.json"), Path("/nowhere/node.yaml"), NodeConfig()),
        store=cast(Any, None),
        history=cast(Any, None),
        builder=cast(Any, SimpleNamespace(books=SimpleNamespace())),
        mesh=cast(Any, mesh),
        exchange=cast(Any, None),
        ledger=ledger,
        recording=Recording(ledger),
        access=cast(Any, None),
    )
    service.advertiser = cast(Any, SimpleNamespace(tell=lambda now: None))
    return service


def tried(mesh: ScriptedMesh, address: str | None, token: str | None = TOKEN) -> list[str]:
    assert asyncio.run(join(service_of(mesh), address, token)) == JOINED
    return mesh.tried


def test_where_nobody_answers_the_token_s_other_addresses_are_tried() -> None:
    gone = "http://10.9.9.9:80"
    assert tried(ScriptedMesh({SECOND: JOINED}), gone) == [gone, FIRST, SECOND]
    assert tried(ScriptedMesh({SECOND: JOINED}), "10.0.0.1") == ["10.0.0.1", SECOND]
    assert tried(ScriptedMesh({SECOND: JOINED}), None) == [FIRST, SECOND]
    assert tried(ScriptedMesh({gone: JOINED}), gone) == [gone]
    assert tried(ScriptedMesh({OWN: JOINED}), OWN) == [OWN]


def test_who_answers_decides() -> None:
    mesh = ScriptedMesh({FIRST: JoinError("no"), SECOND: JOINED})
    with pytest.raises(JoinError):
        asyncio.run(join(service_of(mesh), None, TOKEN))
    assert mesh.tried == [FIRST]


def test_where_nobody_answers_anywhere_the_error_is_that_of_the_address_given() -> None:
    with pytest.raises(UnreachableError, match=r"nobody at http://10\.9\.9\.9") as caught:
        asyncio.run(join(service_of(ScriptedMesh()), "http://10.9.9.9:80", TOKEN))
    assert f"nobody at {SECOND}" in str(caught.value.cause)
    with pytest.raises(UsageError, match="where to join"):
        asyncio.run(join(service_of(ScriptedMesh()), None))


def test_whether_others_get_to_this_node_is_doubted_only_with_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert asyncio.run(service_of(ScriptedMesh(), here).way_in_problem()) is None
    assert asyncio.run(service_of(ScriptedMesh(link=BY_IT), here).way_in_problem()) is None
    for link in (None, replace(BY_IT, outgoing=True), replace(BY_IT, relayed_by="x")):
        problem = asyncio.run(service_of(ScriptedMesh(link=link), here).way_in_problem())
        assert str(problem).startswith(f"nobody answers at {here}")
