"""The first entry of a chain: why it begins, and after which head.

A sequence is never used twice. Where a node can't be sure that it knows the last entry it made, it
begins another chain, under a new random incarnation, and names the last head that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Head

OPENED = "chain.opened"
"""The type of every chain's first entry, and of no other."""


class Why(StrEnum):
    """Why a chain begins."""

    FIRST = "first"
    RESTORE = "restore"
    """The node was restored from a backup."""
    UNCONFIRMED_HEAD = "unconfirmed head"
    """Peers are known, and none confirms that the newest entry on disk is the newest one made."""
    CLOCK_AHEAD = "clock ahead"
    """The node's clock ran ahead and was set right. What is after an entry of the wrong time is
    sealed only once it is that late."""
    KEY_ROTATION = "key rotation"
    """The node goes on under another key, which is another origin."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a chain's first entry says. ``after``: the last known entry of the chain that it
    succeeds; None: there is none, or none is known."""

    why: Why
    after: tuple[Chain, Head] | None = None

    def __post_init__(self) -> None:
        if self.why is Why.FIRST and self.after is not None:
            raise ValueError("the first chain succeeds none")
        if self.why in (Why.UNCONFIRMED_HEAD, Why.CLOCK_AHEAD) and self.after is None:
            raise ValueError("the head that it goes on after has to be named")

    def as_data(self) -> dict[str, Any]:
        """Return it as the entry's JSON object."""
        if self.after is None:
            return {"after": None, "why": self.why.value}
        chain, head = self.after
        after = {
            "origin": chain.origin.hex(),
            "incarnation": chain.incarnation.hex(),
            "sequence": head.sequence,
            "hash": head.hash.hex(),
        }
        return {"after": after, "why": self.why.value}

    @classmethod
    def read(cls, data: dict[str, Any]) -> Opening:
        """Read it from an entry's JSON object of any origin.

        Raises:
            ValueError: it does not say what a first entry says.
        """
        if data.keys() != {"after", "why"} or not isinstance(data["why"], str):
            raise ValueError("a first entry tells after what and why, and no more")
        return cls(Why(data["why"]), _head(data["after"]))

    def objection(self, chain: Chain) -> str | None:
        """Tell why ``chain`` can't begin so; None: it can."""
        if self.after is None:
            return None
        before, _ = self.after
        if before == chain:
            return "succeeds itself"
        rotates = self.why is Why.KEY_ROTATION
        if (before.origin != chain.origin) is not rotates:
            return "succeeds another origin" if not rotates else "rotates to its own key"
        return None


def due_opening(
    origin: bytes, newest: tuple[Chain, Head] | None, *, restored: bool, confirmed: bool
) -> Opening | None:
    """Return how a node has to open another chain before it appends; None: it goes on with the
    newest one.

    ``newest``: the chain of this node that was opened last, under any of its keys, and the last
    entry there that it knows. ``restored``: from a backup. ``confirmed``: a peer holds that very
    entry as the chain's newest, or no peers are known.
    """
    if newest is None:
        return Opening(Why.RESTORE if restored else Why.FIRST)
    if newest[0].origin != origin:
        return Opening(Why.KEY_ROTATION, newest)
    if restored:
        return Opening(Why.RESTORE, newest)
    return None if confirmed else Opening(Why.UNCONFIRMED_HEAD, newest)


def _head(value: object) -> tuple[Chain, Head] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"origin", "incarnation", "sequence", "hash"}:
        raise ValueError("a head has an origin, an incarnation, a sequence and a hash")
    sequence = value["sequence"]
    if type(sequence) is not int or not 1 <= sequence < 2**63:
        raise ValueError("a sequence is a number from 1")
    chain = Chain(_bytes(value["origin"], 32), _bytes(value["incarnation"], 8))
    return chain, Head(sequence, _bytes(value["hash"], 32))


def _bytes(value: object, size: int) -> bytes:
    if not isinstance(value, str):
        raise ValueError("keys and hashes are hexadecimal text")
    found = bytes.fromhex(value)
    if len(found) != size or found.hex() != value:
        raise ValueError(f"not the {size} bytes of a key or hash")
    return found
