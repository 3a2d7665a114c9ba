"""Somebody at a node's door who speaks the mesh's language, but does not play by the rules.

A stranger has a key of its own; a rogue member has one that the cluster trusts, and says what it
likes with it: nothing here is bound to what a node would do.
"""

from __future__ import annotations

import itertools
import time
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from buildnet.mesh.gossip.records import Record
from buildnet.mesh.identity import NodeKey, load_or_create
from buildnet.mesh.link.connection import ConnectionClosed as LinkClosed
from buildnet.mesh.link.dialing import WebSocketConnection
from buildnet.mesh.link.envelope import Envelope, open_envelope, seal
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.link.handshake import Initiator, Purpose
from buildnet.mesh.link.handshaking import initiate
from buildnet.mesh.link.links import LinkOffer
from buildnet.mesh.members.invitation import Token
from buildnet.mesh.members.member_list import Role
from buildnet.mesh.members.statement import statement
from buildnet.mesh.messages.kinds import Message, kind_of
from buildnet.mesh.service.joining import Applicant
from testbed.nodes import Node


def key_of(node: Node) -> NodeKey:
    """Return a node's key: what a thief of its data directory has."""
    return load_or_create(node.home.key)


def cluster_of(node: Node) -> bytes:
    """Return the id of a node's cluster."""
    return bytes.fromhex(node.get("/api/node")["cluster"]["id"])


_boots = itertools.count(int(time.time()) + 3600)


def later_boot() -> int:
    """Return a boot number that no honest process, and no other link, has used yet."""
    return next(_boots)


async def admit(node: Node, name: str) -> NodeKey:
    """Let somebody join at ``node`` with an invitation; return its key. It votes never: it is an
    observer."""
    invited = node.post("/api/node/invite", {"role": "observer"})
    return await apply(node.address, Token.parse(invited["token"]), name, Role.OBSERVER)


async def apply(
    address: str, token: Token, name: str = "applicant", role: Role = Role.WORKER
) -> NodeKey:
    """Ask the node at ``address`` to let in a new key, whatever may be wrong with the token; return
    the key.

    Raises:
        BuildNetError: it is refused.
    """
    key = NodeKey.generate()
    websocket = await knock(address)
    try:
        applicant = Applicant(
            key, later_boot(), name, role, lambda: int(time.time() * 1000) << 16, token
        )
        await applicant.join(WebSocketConnection(websocket, address))
    finally:
        await websocket.close()
    return key


async def knock(address: str, route: str = "/mesh", **options: Any) -> ClientConnection:
    """Open a WebSocket to a node and say nothing yet. ``address``: ``http://HOST:PORT``."""
    url = address.replace("http://", "ws://") + route
    options = {"compression": None, "ping_interval": None, "max_size": None} | options
    return await connect(url, proxy=None, close_timeout=1, **options)


class RogueLink:
    """A link to a node by the holder of a member's key."""

    def __init__(self, connection: ClientConnection, key: NodeKey, cluster_id: bytes) -> None:
        self.websocket = connection
        self.key = key
        self.boot = 0
        self.peer = b""
        self.sequence = 0
        self._cluster_id = cluster_id
        self._cipher: FrameCipher | None = None

    @classmethod
    async def open(
        cls,
        address: str,
        key: NodeKey,
        cluster_id: bytes,
        *,
        boot: int | None = None,
        **options: Any,
    ) -> Self:
        """Connect and do the handshake as it should be.

        Raises:
            HandshakeError: it was refused.
        """
        link = cls(await knock(address, **options), key, cluster_id)
        link.boot = later_boot() if boot is None else boot
        extra = LinkOffer(None).encode()
        initiator = Initiator(key, link.boot, Purpose.MEMBER, cluster_id=cluster_id, extra=extra)
        try:
            accepted = await initiate(WebSocketConnection(link.websocket, address), initiator)
        except BaseException:
            await link.close()
            raise
        link.peer = accepted.key
        link._cipher = initiator.session.cipher()
        return link

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self.websocket.close()

    def frame(self, plain: bytes) -> bytes:
        """Seal any bytes as the next frame."""
        assert self._cipher is not None
        return self._cipher.seal(plain)

    def envelope(
        self,
        message: Message,
        *,
        term: int = 0,
        recipient: bytes | None = None,
        signer: NodeKey | None = None,
        hlc: int | None = None,
        sequence: int | None = None,
    ) -> bytes:
        """Return a message in its envelope, by default to the peer and as a node would send it."""
        self.sequence += 1
        return self.pack(
            kind_of(message).number,
            message.encode(),
            term=term,
            recipient=self.peer if recipient is None else recipient,
            signer=signer,
            hlc=hlc,
            sequence=sequence,
        )

    def pack(
        self,
        kind: int,
        payload: bytes,
        *,
        term: int = 0,
        recipient: bytes | None = None,
        signer: NodeKey | None = None,
        hlc: int | None = None,
        sequence: int | None = None,
    ) -> bytes:
        """Return any payload in an envelope of any kind."""
        return seal(
            signer or self.key,
            recipient or None,
            kind,
            payload,
            boot=self.boot,
            sequence=self.sequence if sequence is None else sequence,
            hlc=int(time.time() * 1000) << 16 if hlc is None else hlc,
            term=term,
            cluster_id=self._cluster_id,
        )

    def record(self, topic: str, body: bytes, version: int = 1) -> Record:
        """Return a record of the thief's own, signed as it should be."""
        said = (self.key.public_key, topic, self.boot, version, body)
        signature = self.key.sign(statement("record", self._cluster_id, *said))
        return Record(*said, signature)

    async def send(self, plain: bytes) -> None:
        """Send any bytes as the next frame."""
        await self.websocket.send(self.frame(plain))

    async def receive(self) -> Envelope:
        """Return the next envelope that the node sends.

        Raises:
            LinkClosed: the node ended the link; the reason says why.
        """
        assert self._cipher is not None
        try:
            data = await self.websocket.recv()
        except ConnectionClosed as error:
            received = error.rcvd
            raise LinkClosed(
                received.code if received else 1006, received.reason if received else ""
            ) from error
        assert isinstance(data, bytes)
        plain = self._cipher.open(data)
        return open_envelope(plain, cluster_id=self._cluster_id, me=self.key.public_key)

    async def until_closed(self) -> LinkClosed:
        """Read until the node ends the link; return how."""
        while True:
            try:
                await self.receive()
            except LinkClosed as closed:
                return closed
