"""The mesh of one node as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.connection import Connection
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.member_list import Rights, Role
from buildnet.mesh.view import MeshView, RequestView


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """How a node takes part.

    ``directory`` holds ``mesh.db`` and, at a founder, ``cluster.key``. ``addresses`` are the URLs
    (``http://host:port``) under which others may reach this node; empty: nobody can dial it.
    ``seeds`` are addresses that are tried again for ever. ``proxies``: dial through the proxies
    that the environment names.
    """

    directory: Path
    name: str
    role: Role = Role.WORKER
    addresses: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    discovery: bool = False
    proxies: bool = False


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation that was made: give ``token`` to who shall join. ``expires`` unix seconds."""

    token: str
    id: str
    expires: float
    uses: int
    role: Role
    rights: Rights


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of a join. ``already``: this node was a member before; nothing changed."""

    cluster_id: bytes
    cluster_name: str
    members: int
    already: bool


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record as held here: its owner's version and words; ``received`` unix seconds, of this
    node's clock."""

    owner: bytes
    boot: int
    version: int
    body: bytes
    received: float


class MeshService:
    """One node's mesh. Make it with :meth:`open`; it works within :meth:`running`."""

    @classmethod
    async def open(cls, key: NodeKey, settings: MeshSettings) -> MeshService:
        """Read the node's state; a node without one founds a cluster of its own."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take part until the context ends; every task of the mesh lives within."""

    @property
    def key(self) -> bytes: ...

    # connections (the node's routes)
    async def accept(self, connection: Connection) -> None:
        """Serve one connection of the route /mesh until it ends; raises nothing but cancellation."""

    async def accept_bulk(self, connection: Connection) -> None:
        """The same for /bulk."""

    # looking
    def view(self) -> MeshView: ...
    @property
    def version(self) -> int:
        """Grows with every change that :meth:`view` or :meth:`records` may show."""

    async def changed(self, seen: int) -> int:
        """Return the version once it is another one than ``seen``."""

    def records(self, topic: str) -> Mapping[bytes, HeldRecord]: ...
    def requests(self) -> tuple[RequestView, ...]: ...
    def candidates(self) -> tuple[str, ...]:
        """Addresses of nodes on the LAN (mDNS) that are no members."""

    # telling
    def advertise(self, topic: str, body: bytes) -> None: ...

    # admission
    async def invite(
        self,
        *,
        valid_s: float = 3600,
        uses: int = 1,
        role: Role = Role.WORKER,
        rights: Rights = Rights.BUILDER,
    ) -> InvitationView: ...
    async def join(
        self,
        address: str,
        *,
        token: str | None = None,
        on_pending: Callable[[str], None] | None = None,
    ) -> Joined: ...
    async def approve(self, request: str, *, rights: Rights = Rights.BUILDER) -> RequestView: ...
    async def reject(self, request: str) -> RequestView: ...
    async def leave(self, *, force: bool = False) -> None: ...

    # administration; ``node`` is a name, a node id or the beginning of one
    def find(self, node: str) -> bytes: ...
    async def promote(self, node: str) -> None: ...
    async def revoke(self, node: str, *, reason: str = "") -> None: ...
    async def set_priority(self, node: str, priority: int) -> None: ...
    async def set_rights(self, node: str, rights: Rights) -> None: ...
    async def rotate_key(self, path: Path) -> NodeKey: ...
    async def recover(self, voters: tuple[str, ...]) -> None: ...
