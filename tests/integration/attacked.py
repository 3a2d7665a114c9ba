"""A cluster of three honest nodes that is attacked, and what it counted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from buildnet.mesh.identity import NodeKey
from testbed.nodes import Node, refused
from testbed.rogue import RogueLink, admit
from testbed.waiting import until

GROWTH_MAX_BYTES = 64 * 1024 * 1024
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Door:
    """A cluster and the node that is attacked."""

    honest: tuple[Node, ...]
    target: Node
    cluster_id: bytes

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.target.address.removeprefix("http://").partition(":")
        return host, int(port)

    async def link(self, address: str | None = None, **options: Any) -> RogueLink:
        """Open a link as a new member; those that misbehaved are shunned for a while."""
        return await self.link_as(await self.rogue(), address, **options)

    async def rogue(self) -> NodeKey:
        """Return the key of a new member."""
        key = await admit(self.honest[0], "rogue")
        until(lambda: lists(self.target, key.public_key))
        return key

    async def link_as(self, key: NodeKey, address: str | None = None, **options: Any) -> RogueLink:
        """Open a link with a member's key."""
        return await RogueLink.open(address or self.target.address, key, self.cluster_id, **options)


def lists(node: Node, key: bytes) -> bool:
    members = node.get("/api/node/members")["members"]
    return any(member["key"] == key.hex() for member in members)


def counted(node: Node, before: dict[str, int]) -> dict[str, int]:
    """Return what was counted since ``before``."""
    now = refused(node)
    return {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name)}


def until_counted(door: Door, before: dict[str, int], *reasons: str, times: int = 1) -> None:
    """Wait until one of ``reasons`` was counted."""

    def is_counted() -> bool:
        seen = counted(door.target, before)
        return sum(seen.get(reason, 0) for reason in reasons) >= times

    try:
        until(is_counted)
    except AssertionError:
        raise AssertionError(f"counted: {counted(door.target, before)}") from None


async def read_for_ever(link: RogueLink, patience_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(patience_s):
        while True:
            await link.receive()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)
