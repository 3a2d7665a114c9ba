"""A small cluster's entries and seals, for the tests of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.ledger.entries import ANN, BOB, CLUSTER, START, VERIFY, chain_of, entry
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.entry import Body, Chain, Entry, Posting, as_data
from buildnet.ledger.events import Damaged, Keep
from buildnet.ledger.frontier import Advance, Frontier, Head
from buildnet.ledger.merkle import CompactRange, root_of
from buildnet.ledger.opening import OPENED, Opening, Why
from buildnet.ledger.seal import (
    Cosignature,
    Seal,
    SealRecord,
    SealValue,
    cosign_statement,
    hash_of_value,
)
from buildnet.ledger.store.fence import Start
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.tables import TABLES
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.verifying import Trust
from buildnet.ledger.store.writer import MakeBody, Place

T = TypeVar("T")
TRUST = Trust(VERIFY)
__all__ = [
    "ANN",
    "BOB",
    "CLUSTER",
    "START",
    "VERIFY",
    "Scene",
    "chain_of",
    "entry",
    "fact",
    "using",
]


def using(
    path: Path,
    work: Callable[[LedgerStore], Awaitable[T]],
    *,
    vault: Vault | None = None,
    on_damaged: Callable[[Damaged], None] = lambda _: None,
) -> T:
    """Open the store at ``path`` (small pages), work, close."""

    async def run() -> T:
        store = await LedgerStore.open(
            path,
            cluster=CLUSTER,
            sign=ANN.sign,
            vault=vault,
            on_damaged=on_damaged,
            page_bytes=1024,
        )
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


class Scene:
    """Chains that grow and seals over them, as a core would have them kept."""

    def __init__(self) -> None:
        self.tips: dict[Chain, Tip] = {}
        self.frontier = Frontier()
        self.history = CompactRange()
        self.open: list[Entry] = []
        self.entries: list[Entry] = []
        self.sealed: list[Entry] = []
        self.seals: list[Seal] = []
        self.token = 0
        self.clock = START

    def add(self, who: CheapSigner = ANN, **changes: Any) -> Entry:
        """Make the next entry of ``who``'s chain; the first one opens it."""
        chain = chain_of(who)
        if chain not in self.tips:
            self.tips[chain] = BEGINNING
            self._add(who, chain, {})
        return self._add(who, chain, changes)

    def _add(self, who: CheapSigner, chain: Chain, changes: dict[str, Any]) -> Entry:
        self.clock += 1 << 16
        changes.setdefault("hlc", self.clock)
        if self.tips[chain] != BEGINNING:
            changes.setdefault("data", {})
        made = entry(who, after=self.tips[chain], chain=chain, **changes)
        self.tips[chain] = Tip.of(made)
        self.open.append(made)
        self.entries.append(made)
        return made

    def seal(self, voters: Sequence[CheapSigner] = (ANN,)) -> Keep:
        """Seal all that is open; what a core would have kept."""
        under = sorted(self.open, key=lambda one: one.order)
        self.open = []
        heads = {one.chain: Head(one.body.sequence, one.hash) for one in under}
        advances = tuple(
            Advance(chain.origin, chain.incarnation, head.sequence, head.hash)
            for chain, head in sorted(heads.items(), key=lambda item: item[0])
        )
        self.frontier = self.frontier.advanced(advances)
        self.clock += 1 << 16
        keys = tuple(sorted(voter.public_key for voter in voters))
        value = SealValue(
            cluster=CLUSTER,
            epoch=0,
            height=len(self.seals) + 1,
            previous=self.seals[-1].hash if self.seals else CLUSTER,
            history=self.history.root,
            frontier=self.frontier.digest(),
            advances=advances,
            count=len(under),
            root=root_of(one.hash for one in under),
            members=0,
            voters=keys,
            hlc=self.clock,
        )
        raw = value.encode()
        said = cosign_statement(CLUSTER, value.height, hash_of_value(raw), 1)
        signed = tuple(Cosignature(one.public_key, one.sign(said)) for one in voters)
        seal = Seal.read(SealRecord(raw, 1, signed))
        self.seals.append(seal)
        self.history = self.history.appended(seal.hash)
        self.sealed += under
        self.token += 1
        return Keep(
            self.token,
            seals=(seal,),
            sealed=(tuple((one.chain, one.body.sequence) for one in under),),
        )

    def keep(self, entries: Sequence[Entry] | None = None) -> Keep:
        """What a core would have kept of new entries; all that are open, if none are named."""
        self.token += 1
        return Keep(self.token, entries=tuple(self.open if entries is None else entries))


def fact(value: dict[str, Any] | None, expects: int = 0) -> dict[str, Any]:
    """What an entry holds that changes a shared fact from version ``expects``."""
    return {"expects": expects, "value": value, "version": expects + 1}


def offered(node: str, cores: int) -> tuple[Posting, ...]:
    """Postings of a node that offers cores."""
    return (
        Posting(f"node:{node}/capacity", "debit", "cores", cores, ""),
        Posting(f"node:{node}/free", "credit", "cores", cores, ""),
    )


def body(type: str = "build.started", request: bytes = b"", **data: Any) -> MakeBody:
    """The body of an own entry, wherever it goes."""

    def make(place: Place) -> Body:
        first = place.sequence == 1
        base = entry().body
        return replace(
            base,
            incarnation=place.chain.incarnation,
            previous=place.previous,
            sequence=place.sequence,
            hlc=place.hlc,
            type=OPENED if first else type,
            data=as_data(Opening(Why.FIRST).as_data() if first else data),
            request=request,
        )

    return make


async def begun(store: LedgerStore) -> LedgerStore:
    await store.use(chain_of(ANN))
    await store.append([body()], hlc=START)
    return store


async def start_of(store: LedgerStore) -> Start:
    return store.start


async def append(store: LedgerStore) -> Start:
    return (await begun(store)).start


def snapshot(reader: Reader) -> dict[str, list[object]]:
    return {
        table.name: reader.connection.execute(
            f"SELECT {table.stored} FROM {table.name} ORDER BY 1, 2"
        ).fetchall()
        for table in TABLES
    }
