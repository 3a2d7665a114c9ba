"""What a member that misbehaves says; it signs with its own key only."""

from __future__ import annotations

import random
from dataclasses import replace

from buildnet.ledger.entry import Actor, ActorKind, Body, Entry
from buildnet.ledger.frontier import Advance
from buildnet.ledger.messages import (
    AcceptedValue,
    Entries,
    EntriesAsk,
    Equivocation,
    Heads,
    SealPromise,
    SealPropose,
    Seals,
    SealsAsk,
)
from buildnet.ledger.seal import Cosignature, SealRecord, SealValue
from buildnet.ledger.simulation.program import LedgerMachine
from buildnet.mesh.messages.kinds import Message

KINDS_OF_LIES = 5
_FAR = 2**62


def lies(program: LedgerMachine, draw: random.Random, kind: int) -> list[Message]:
    """Return messages that are well formed and false."""
    match kind:
        case 0:
            return [_frontier(program, draw)]
        case 1:
            chains = sorted(program.ledger.heads)
            return [
                EntriesAsk(chain.origin, chain.incarnation, 1, _FAR)
                for chain in draw.choices(chains, k=10)
            ] + [SealsAsk(_FAR), SealsAsk(1)]
        case 2:
            return [Entries((_stray(program, draw, at).signed,)) for at in (1, 2, 7, _FAR)]
        case 3:
            return _votes(program, draw)
        case _:
            one, other = _stray(program, draw, 3), _stray(program, draw, 4)
            return [Equivocation(one.signed, other.signed), Equivocation(one.signed, one.signed)]


def false_history(said: Message, draw: random.Random) -> Message:
    """Return a proposal after other seals than its own ones; anything else as it is."""
    if not isinstance(said, SealPropose):
        return said
    value = SealValue.decode(said.value)
    false = replace(value, previous=draw.randbytes(32), history=draw.randbytes(32))
    return SealPropose(said.term, false.encode())


def _frontier(program: LedgerMachine, draw: random.Random) -> Heads:
    members = sorted(program.local.members.members)
    rows = {
        (draw.choice(members), draw.randbytes(8)): Advance(
            draw.choice(members), draw.randbytes(8), draw.randint(1, _FAR), draw.randbytes(32)
        )
        for _ in range(100)
    }
    real = [
        Advance(chain.origin, chain.incarnation, head.sequence + 1000, draw.randbytes(32))
        for chain, head in sorted(program.ledger.heads.items())
    ]
    return Heads(draw.choice((3, 10**6)), draw.randbytes(32), (*rows.values(), *real[:100]))


def _stray(program: LedgerMachine, draw: random.Random, sequence: int) -> Entry:
    local = program.local
    body = Body(
        cluster=local.members.cluster_id,
        origin=local.key,
        incarnation=draw.randbytes(8),
        previous=draw.randbytes(32),
        sequence=sequence,
        hlc=local.clock.now(),
        type="test.stray",
        actor=Actor("nobody", "", ActorKind.NODE.value),
        reason="",
        correlation="",
        entity="",
        request=b"",
        data="{}",
        postings=(),
    )
    return Entry.sign(body, local.signatures.sign)


def _votes(program: LedgerMachine, draw: random.Random) -> list[Message]:
    local, ledger = program.local, program.ledger
    last = ledger.last
    office = local.office
    term = 0 if office is None else office.counter
    value = SealValue(
        cluster=local.members.cluster_id,
        epoch=local.members.epoch,
        height=1 if last is None else last.height + draw.choice((1, 1, 2, 50)),
        previous=draw.randbytes(32),
        history=draw.randbytes(32),
        frontier=draw.randbytes(32),
        advances=(),
        count=0,
        root=draw.randbytes(32),
        members=local.members.version,
        voters=local.members.voters,
        hlc=local.clock.now(),
    ).encode()
    forged = Cosignature(local.key, local.signatures.sign(b"no such thing"))
    return [
        SealPropose(term, value),
        SealPropose(term + 1, value),
        SealPromise(term, term, draw.choice((0, 10**9)), AcceptedValue(term, value)),
        Seals((SealRecord(value, term, (forged,)),)),
    ]
