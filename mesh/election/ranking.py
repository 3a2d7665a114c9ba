"""The order in which members are entitled to coordinate.

The member list may have changed before the election heard of it, so every key here may be one that
is no member any more: that is entitled to nothing.
"""

from __future__ import annotations

from buildnet.mesh.local import Local


def outranks(local: Local, one: bytes, other: bytes) -> bool:
    """Tell whether ``one`` may coordinate and is more entitled to than ``other``."""
    members = local.members
    if not members.stands(one):
        return False
    return not members.stands(other) or members.rank(one) > members.rank(other)


def higher_ranks(local: Local) -> tuple[bytes, ...]:
    """Return the linked, living members that are more entitled to coordinate than this node."""
    return tuple(
        peer
        for peer in sorted(local.links)
        if local.alive(peer) and outranks(local, peer, local.key)
    )
