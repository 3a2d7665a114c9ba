"""Opens what knows who asks on a node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from buildnet.ledger.history import History
from buildnet.ledger.service.service import LedgerService
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.service.service import MeshService
from buildnet.node.auth.access import Access, Surroundings
from buildnet.node.auth.account import AccountRights
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.people import People, PeopleSurroundings
from buildnet.node.auth.session_desk import SessionDesk
from buildnet.node.auth.session_store import SessionStore
from buildnet.node.auth.sessions import SessionLimits
from buildnet.node.config import NodeConfig
from buildnet.node.home import Home
from buildnet.node.recording import Recording
from buildnet.node.running import RunningBuild
from buildnet.node.session_board import SessionBoard


@asynccontextmanager
async def access_of(
    home: Home,
    config: Callable[[], NodeConfig],
    mesh: MeshService,
    key: Callable[[], NodeKey],
    ledger: LedgerService,
    recording: Recording,
    history: History,
    builds: Callable[[], Sequence[RunningBuild]],
) -> AsyncIterator[Access]:
    """Open what knows who asks. ``config``: what counts now; ``key``: this node's as it is now;
    ``builds``: those that run here."""

    def limits() -> SessionLimits:
        said = config().sessions
        return SessionLimits(said.idle, said.lifetime, said.per_person)

    def pages() -> tuple[str, ...]:
        advertised = config().network.advertise_address or ""
        return (advertised.rstrip("/"),) if "://" in advertised else ()

    connections = Connections(here=key().node_id)
    of_people = PeopleSurroundings(
        limits=limits,
        own_rights=lambda: None if mesh.member is None else mesh.member.rights,
        account_rights=AccountRights(ledger.current).of,
        record=recording.put,
        hang_up=connections.end,
        pages=pages,
    )
    store = await SessionStore.open(home.access)
    try:
        people = People(store, await store.all(), of_people)
        desk = SessionDesk(people, connections, builds, history, recording.put)
        around = Surroundings(
            directory=home.directory,
            members=lambda: mesh.cluster.local.members,
            key=key,
            ledger=ledger.current,
            record=recording.put,
        )
        yield Access(around, connections, people, SessionBoard(desk))
    finally:
        await store.close()
