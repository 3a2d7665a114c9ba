"""All that a node needs to know who asks: keys, and who is connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from buildnet.mesh.members.member_list import MemberList
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.key_credentials import KeyCredentials
from buildnet.node.auth.keys import Keys
from buildnet.node.auth.revocations import Revocations
from buildnet.node.forwarding import Forwarding

LOOK_S = 0.5
"""How soon a connection ends whose credential expires, or whose issuer is no admin any more."""


@dataclass(slots=True)
class Access:
    """``authenticator`` asks each kind of credential; ``connections`` are all that are open;
    ``forwarding`` has other nodes answer what this one can't."""

    keys: Keys
    revocations: Revocations
    connections: Connections
    authenticator: Authenticator
    forwarding: Forwarding = field(default_factory=Forwarding)

    @classmethod
    def of(cls, members: Callable[[], MemberList], me: Callable[[], bytes]) -> Access:
        """``members``: the list as it is now; ``me``: this node's public key as it is now."""
        revocations = Revocations()
        keys = Keys(members, me, revocations)
        return cls(keys, revocations, Connections(), Authenticator((KeyCredentials(keys),)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Cut off whose credential counts no more, while the context is open."""
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look())
            try:
                yield
            finally:
                looking.cancel()

    async def _look(self) -> None:
        while True:
            self.connections.look()
            await asyncio.sleep(LOOK_S)
