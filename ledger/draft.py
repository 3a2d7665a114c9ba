"""What somebody wants recorded, and the body of a chain's next entry that is made of it.

One chain has one writer, who takes the tip from what is on its disk and hands out each sequence
once: :func:`next_body`, sign, store, and the tip is :meth:`Tip.of` that entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.chain import BEGINNING, UNKNOWN, Tip
from buildnet.ledger.entry import Actor, ActorKind, Body, Chain, Posting, as_data
from buildnet.ledger.opening import OPENED, Opening
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.wire import WireError


class DraftError(BuildNetError):
    """Something that can't be recorded as it is; nothing was appended."""

    code = "LEDGER_DRAFT"
    http_status = 400


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry without its place. ``request``: 16 to 32 bytes by which a retry is known, or none.
    What each field may hold says :class:`~buildnet.ledger.entry.Body`."""

    type: str
    actor: Actor
    reason: str = ""
    correlation: str = ""
    entity: str = ""
    request: bytes = b""
    data: Mapping[str, Any] = field(default_factory=dict)
    postings: tuple[Posting, ...] = ()


def next_body(cluster: bytes, chain: Chain, tip: Tip, draft: EntryDraft, *, clock: int) -> Body:
    """Return ``draft`` as the body of the entry after ``tip``. ``clock``: a hybrid timestamp; the
    entry's is later than the one before, whatever the clock says.

    Raises:
        DraftError: nobody could read an entry of this draft.
        ValueError: the chain was not opened, or its head is not known.
    """
    if tip.hash == UNKNOWN:
        raise ValueError("nothing is appended after an entry that is not known")
    if (tip == BEGINNING) is not (draft.type == OPENED):
        raise ValueError("a chain is opened first, and once")
    try:
        body = Body(
            cluster,
            chain.origin,
            chain.incarnation,
            tip.hash,
            tip.sequence + 1,
            max(clock, tip.hlc + 1),
            draft.type,
            draft.actor,
            draft.reason,
            draft.correlation,
            draft.entity,
            draft.request,
            as_data(dict(draft.data)),
            draft.postings,
        )
        body.check()
    except (WireError, ValueError, TypeError) as error:
        raise DraftError(
            "this can't be recorded",
            cause=error.message if isinstance(error, WireError) else str(error),
            hint="shorten it, or leave out what is no plain text, number, list or object",
        ) from error
    return body


def opening_body(cluster: bytes, chain: Chain, opening: Opening, *, clock: int) -> Body:
    """Return the body of the first entry of ``chain``.

    Raises:
        ValueError: the chain can't begin so.
    """
    objection = opening.objection(chain)
    if objection is not None:
        raise ValueError(f"a chain can't begin so: it {objection}")
    draft = EntryDraft(
        type=OPENED,
        actor=node_actor(chain.origin),
        reason=opening.why.value,
        data=opening.as_data(),
    )
    return next_body(cluster, chain, BEGINNING, draft, clock=clock)


def node_actor(origin: bytes, name: str = "") -> Actor:
    """Return a node as who did something by itself."""
    return Actor(node_id_of(origin), name, ActorKind.NODE.value)
