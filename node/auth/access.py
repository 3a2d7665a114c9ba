"""All that a node needs to know who asks: keys, and who is connected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.member_list import MemberList
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.desk import KeyDesk
from buildnet.node.auth.key_credentials import KeyCredentials
from buildnet.node.auth.key_facts import KeyFacts
from buildnet.node.auth.keys import Keys
from buildnet.node.auth.member_credentials import MemberCredentials
from buildnet.node.auth.people import People
from buildnet.node.auth.proof_marks import ProofMarks
from buildnet.node.auth.register_file import RegisterFile
from buildnet.node.auth.spreading import KeySpreading
from buildnet.node.auth.uses import RECORD_S, Uses
from buildnet.node.forwarding import Forwarding
from buildnet.node.recording import Record
from buildnet.node.session_board import SessionBoard

LOOK_S = 0.5
"""How soon a connection ends whose credential expires."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What access needs of the node. ``members`` and ``key``: as they are now; ``ledger``: the one
    of the cluster that it is in; ``record``: puts something on record there."""

    directory: Path
    members: Callable[[], MemberList]
    key: Callable[[], NodeKey]
    ledger: Callable[[], Awaitable[ClusterLedger]]
    record: Callable[[Record], None]


class Access:
    """``authenticator`` asks each kind of credential; ``connections`` are all that are open;
    ``people``: those who logged in; ``board``: who uses which node;
    ``desk`` makes and revokes keys; ``spreading`` takes part in the mesh; ``forwarding`` has
    other nodes answer what this one can't."""

    def __init__(
        self, around: Surroundings, connections: Connections, people: People, board: SessionBoard
    ) -> None:
        file = RegisterFile(around.directory)
        self._around = around
        self._facts = KeyFacts(around.ledger)
        self._uses = Uses()
        self.connections = connections
        self.people = people
        self.board = board
        self.forwarding = Forwarding()
        self.keys = Keys(
            around.members,
            lambda: around.key().public_key,
            lambda: file.of(around.members().cluster_id),
        )
        self.spreading = KeySpreading(file, around.key, self._look_again)
        self.desk = KeyDesk(
            around.members,
            around.key,
            file,
            self.spreading,
            self.keys,
            self._uses,
            self._facts,
        )
        by_key = KeyCredentials(
            self.keys,
            self._uses.count,
            rates=people.rates,
            marks=ProofMarks(around.directory / "proofs.txt"),
        )
        self.authenticator = Authenticator((by_key, people, MemberCredentials(around.members)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Cut off whose credential counts no more, and record what keys do, while the context is
        open."""
        async with asyncio.TaskGroup() as group:
            working = [group.create_task(self._look()), group.create_task(self._facts.run())]
            try:
                async with self.people.running():
                    yield
            finally:
                for task in working:
                    task.cancel()

    def record_uses(self) -> None:
        """Put on record how often keys were used since that was done last."""
        sums = self._uses.sums()
        if sums is not None:
            self._around.record(sums)

    def _look_again(self) -> None:
        self.connections.look()

    async def _look(self) -> None:
        recorded = time.monotonic()
        while True:
            self.connections.look()
            if time.monotonic() - recorded >= RECORD_S:
                recorded = time.monotonic()
                self.record_uses()
            await asyncio.sleep(LOOK_S)
