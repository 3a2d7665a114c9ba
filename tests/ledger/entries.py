"""Chains of entries by cheap keys, for the ledger's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.mesh.member_network import CheapSigner

from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.entry import Actor, Body, Chain, Entry, Posting, as_data
from buildnet.ledger.opening import OPENED, Opening, Why
from buildnet.mesh.testing import MIDNIGHT_MS, CheapSignatures, key_number

CLUSTER = b"c" * 32
START = MIDNIGHT_MS << 16
ANN = CheapSigner(key_number(1).public_key)
BOB = CheapSigner(key_number(2).public_key)
ACTOR = Actor("ann", "Ann", "user")
VERIFY = CheapSignatures(ANN.public_key).verify


def chain_of(who: CheapSigner, number: int = 1) -> Chain:
    return Chain(who.public_key, bytes([number]) * 8)


def entry(
    who: CheapSigner = ANN,
    *,
    after: Tip = BEGINNING,
    chain: Chain | None = None,
    type: str = "build.started",
    data: dict[str, Any] | None = None,
    postings: Sequence[Posting] = (),
    **changes: Any,
) -> Entry:
    """The next entry after ``after``; the first one opens its chain."""
    chain = chain or chain_of(who)
    if after == BEGINNING and data is None:
        type, data = OPENED, Opening(Why.FIRST).as_data()
    body = Body(
        cluster=CLUSTER,
        origin=chain.origin,
        incarnation=chain.incarnation,
        previous=after.hash,
        sequence=after.sequence + 1,
        hlc=max(START, after.hlc + 1),
        type=type,
        actor=ACTOR,
        reason="",
        correlation="",
        entity="",
        request=b"",
        data=as_data(data or {}),
        postings=tuple(postings),
    )
    return Entry.sign(replace(body, **changes), who.sign)


def run(count: int, who: CheapSigner = ANN, chain: Chain | None = None) -> list[Entry]:
    """A chain of ``count`` entries."""
    found: list[Entry] = []
    tip = BEGINNING
    for number in range(count):
        found.append(entry(who, after=tip, chain=chain, data={"number": number} if found else None))
        tip = Tip.of(found[-1])
    return found
