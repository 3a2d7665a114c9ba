"""The ledger: entries, seals, checks, and its file."""

from __future__ import annotations

from typing import Any

from buildnet.node.api.answers.answer import Answer, Cluster, Page
from buildnet.node.api.answers.sealing import Sealing


class EntryActor(Answer):
    """Who did it."""

    id: str
    name: str
    kind: str


class EntryPosting(Answer):
    """What was booked on one account."""

    account: str
    side: str
    unit: str
    amount: int
    state: str


class LedgerEntry(Answer):
    """One entry; ``sealed``: the height of its seal, null: it is provisional; ``data`` null: it
    was pruned, or has none."""

    id: str
    sealed: int | None
    index: int | None
    time: str
    hlc: int
    origin: str
    node_id: str
    incarnation: str
    sequence: int
    type: str
    actor: EntryActor
    reason: str
    correlation: str
    entity: str
    data: Any
    postings: list[EntryPosting]
    prev_hash: str
    hash: str
    signature: str
    text: str


class LedgerEntryInChain(LedgerEntry):
    """One entry and its neighbours in its chain, by their ids; null: there is none, or for ``next``
    none that can be read here."""

    previous: str | None
    next: str | None


class Pruned(Answer):
    """Up to where entries were forgotten on this node."""

    height: int
    until: str


class LedgerEntries(Page):
    """Entries that fit; ``looked_to``: the time that the search came to."""

    entries: list[LedgerEntry]
    looked_to: str | None
    pruned: Pruned | None


class Proof(Answer):
    """The proof that an entry is sealed, in base64."""

    id: str
    sealed: int
    cluster_id: str
    proof: str


class LedgerSeal(Answer):
    """One final seal."""

    height: int
    hash: str
    previous: str
    time: str
    entries: int
    chains: int
    root: str
    term: int
    epoch: int
    members_version: int
    voters: list[str]
    signed_by: list[str]


class LedgerSeals(Page):
    """Seals by ascending height; ``height``: that of the last one there is."""

    seals: list[LedgerSeal]
    height: int


class SealInShort(Answer):
    """The seal of a height."""

    height: int
    hash: str
    time: str


class EntityState(Answer):
    """What an entity was at a height; ``pruned``: how many entries of it say nothing any more;
    ``rows``: of the derived tables, by table."""

    entity: str
    height: int
    seal: SealInShort | None
    entry: LedgerEntry | None
    data: Any
    pruned: int
    rows: dict[str, list[dict[str, Any]]]


class LedgerChain(Answer):
    """How far a chain reaches here, and is sealed."""

    origin: str
    node_id: str
    name: str | None
    incarnation: str
    sequence: int
    hash: str
    sealed: int
    quarantined_from: int | None


class LedgerPeer(Answer):
    """What a peer told of its ledger; null: nothing yet."""

    node_id: str
    name: str | None
    linked: bool
    height: int | None
    lacks: int | None
    leads: int | None
    age_s: float | None


class LedgerSync(Answer):
    """How far the ledger is here and at the peers."""

    node_id: str
    cluster: Cluster
    height: int
    sealed_at: str | None
    entries: int
    unsealed: int
    problem: str | None
    sealing: Sealing
    chains: list[LedgerChain]
    peers: list[LedgerPeer]


class LedgerFault(Answer):
    """What is wrong, and where."""

    where: str
    what: str


class LedgerCheck(Answer):
    """What a check of the ledger found."""

    verified: bool
    entries_checked: int
    pruned: int
    seals_checked: int
    errors: list[LedgerFault]


class LastScrub(Answer):
    """The last whole reading of the file."""

    finished_at: str
    age_s: float
    entries: int
    seals: int
    wrong: int
    tables: int


class Scrub(Answer):
    """How the file is read again and again."""

    interval_s: float | None
    running: bool
    checked: int | None
    last: LastScrub | None
    damaged_seals: list[int]


class LedgerDamage(Answer):
    """The last damage that was found; ``by``: which check."""

    found_at: str
    age_s: float
    by: str
    problems: int
    mended: bool


class Voting(Answer):
    """Whether this node takes part as a voter."""

    voter: bool
    abstains: bool
    until: int | None
    unheard: list[str]


class LedgerFile(Answer):
    """How the ledger's file is."""

    file: str
    bytes: int
    encrypted: bool
    retention_s: float | None
    pruned: Pruned | None
    scrub: Scrub
    damage: LedgerDamage | None
    voting: Voting
    sealing: Sealing


class Backup(Answer):
    """A copy that was written."""

    file: str
    bytes: int
    cluster_id: str
    entries: int
    seals: int
    encrypted: bool


class Pruning(Answer):
    """What was forgotten, or would be."""

    before: str
    height: int
    forgotten: int
    dry_run: bool
