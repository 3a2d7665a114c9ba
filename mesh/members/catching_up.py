"""How what is final reaches every member: compare heads, fetch what is missing, check it.

Entries and their proof show by themselves that they are final, so any member may hand them on. A
chain of a greater lineage (a recovery) replaces what is not final. What is final it takes back only
where the cluster key signed the recovery.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from buildnet.mesh.events import Fact
from buildnet.mesh.local import Local
from buildnet.mesh.members.changes import Recover
from buildnet.mesh.members.entry import CommitProof, Entry
from buildnet.mesh.members.member_chain import SHORT_BYTES, Chain, fold
from buildnet.mesh.members.member_list import MemberList, Refused
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import Entries, EntriesAsk, LogHead, Point

MAX_STAGED = 10_000

ASK_AGAIN_S = 2.0
"""Whoever was asked and has not answered for so long may be asked again because of what it says."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became final here: to persist beside the chain's state."""

    entries: tuple[Entry, ...]
    facts: tuple[Fact, ...]
    forget: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Staged:
    """Checked entries that come after ``start`` of this node's chain, without a proof yet."""

    start: int
    entries: tuple[Entry, ...]
    lists: tuple[MemberList, ...]

    @property
    def tip(self) -> MemberList:
        return self.lists[-1]


class CatchingUp:
    """One node that hands on what is final, and takes it."""

    def __init__(self, local: Local, chain: Chain) -> None:
        self._local = local
        self._chain = chain
        self._staged: dict[bytes, _Staged] = {}
        """By sender, so that none is kept from handing on the chain by what another one says."""
        self._asked: dict[bytes, float] = {}
        """Who was asked lately, and when."""

    @property
    def head(self) -> LogHead:
        """How far this node's final list goes."""
        final = self._chain.committed
        return LogHead(*final.lineage, version=final.version, head=final.head)

    def names(
        self, sender: bytes, version: int, now: float, *, head: bytes | None = None
    ) -> Message | None:
        """Take what the coordinator says of its final list (``head``: the beginning of its hash).

        Ask for what is missing here, or compare where the lists differ; not again while the answer
        may be under way.
        """
        chain = self._chain
        missing = version > chain.committed.version
        if not missing and head in (None, chain.head_at(version)[:SHORT_BYTES]):
            return None
        if now - self._asked.get(sender, -math.inf) < ASK_AGAIN_S:
            return None
        if missing:
            return self._ask(sender, now)
        self._note_asked(sender, now)
        return self.head

    def compare(self, sender: bytes, other: LogHead, now: float) -> Message | None:
        """Answer another node's head: ask for entries, send some, or nothing."""
        chain = self._chain
        mine = (chain.lineage, chain.committed.version)
        theirs = ((other.epoch, other.recovery), other.version)
        if theirs == mine:
            if other.head != chain.committed.head:
                raise Refused("contradicts what is final")
            return None
        if theirs > mine:
            return self._ask(sender, now)
        if chain.lineage == theirs[0] and chain.holds(other.version, other.head):
            return self.entries_after(other.version)
        return self.head

    def serve(self, ask: EntriesAsk) -> Entries:
        """Return the entries after the newest point that both know."""
        chain = self._chain
        last = chain.newest.version if ask.accepted else chain.committed.version
        return self.entries_after(chain.newest_known(ask.points, last=last), accepted=ask.accepted)

    def entries_after(self, version: int, *, accepted: bool = False) -> Entries:
        """Return entries after ``version``, as many as fit, with the proof of what is final."""
        chain = self._chain
        last = chain.newest.version if accepted else chain.committed.version
        return Entries(
            accepted,
            version,
            chain.head_at(version),
            chain.batch_after(version, last=last),
            chain.proof,
        )

    def _note_asked(self, sender: bytes, now: float) -> None:
        lately = {key: at for key, at in self._asked.items() if now - at < ASK_AGAIN_S}
        self._asked = {**lately, sender: now}

    def _ask(self, sender: bytes, now: float) -> EntriesAsk:
        """Ask for what comes after that which this sender handed over already."""
        self._note_asked(sender, now)
        staged = self._staged.get(sender)
        if staged is None:
            return EntriesAsk(False, self._chain.points(self._chain.committed.version))
        tip = Point(staged.tip.version, staged.tip.head[:SHORT_BYTES])
        return EntriesAsk(False, (tip, *self._chain.points(staged.start)))

    def receive(self, sender: bytes, said: Entries, now: float) -> Adopted | EntriesAsk | None:
        """Take entries of any origin; ask for more until their proof is reached.

        Raises:
            Refused: they are not what they should be, or contradict what is final here.
        """
        chain, proof = self._chain, said.proof
        staged = self._staged.get(sender)
        start, entries = said.previous, said.entries
        held: tuple[Entry, ...] = ()
        lists: tuple[MemberList, ...] = ()
        if staged is not None and staged.tip.head == said.previous_head:
            start, held, lists = staged.start, staged.entries, staged.lists
        elif chain.holds(said.previous, said.previous_head):
            same = chain.same(start, entries)
            start, entries = start + same, entries[same:]
        else:
            return self._ask(sender, now) if staged is None else None
        if proof.version <= chain.committed.version and (not entries or proof.version <= start):
            return None
        if entries:
            self._staged.pop(sender, None)
            before = lists[-1] if lists else self._before(start, entries)
            if (known := self._known(entries)) is not None:
                entries, after = known
            else:
                after = tuple(fold(before, entries, self._local.signatures))
            held, lists = (*held, *entries), (*lists, *after)
        tip = lists[-1].version if lists else start
        if tip < proof.version:
            if not said.entries:
                return None
            return self._more(sender, start, held, lists, now)
        adopted = self._adopt(proof, start, held, lists)
        if adopted is not None:
            self._asked.pop(sender, None)
        return adopted

    def _before(self, start: int, entries: Sequence[Entry]) -> MemberList:
        """Return the list that ``entries``, which are others than this chain's, come after.

        It takes long to make the list of a version before what is final. Only a recovery takes that
        back, so its author's signature has to be among them.
        """
        if start < self._chain.committed.version and not any(map(self._may_take_back, entries)):
            raise Refused("contradicts what is final")
        return self._chain.at(start)

    def _may_take_back(self, entry: Entry) -> bool:
        what, change, final = entry.change.what, entry.change, self._chain.committed
        signatures = self._local.signatures
        return (
            isinstance(what, Recover)
            and (what.previous, what.sequencer) == (entry.previous, entry.sequencer)
            and (change.author == final.genesis.cluster_key or final.is_admin(change.author))
            and change.is_signed(final.cluster_id, signatures)
            and entry.is_signed(final.cluster_id, signatures)
        )

    def _known(
        self, entries: Sequence[Entry]
    ) -> tuple[tuple[Entry, ...], tuple[MemberList, ...]] | None:
        """Return what was checked already of another sender, if it is the same: a hash names all
        that comes before it."""
        last = entries[-1]
        for staged in self._staged.values():
            end = last.version - staged.start
            begin = end - len(entries)
            if begin >= 0 and end <= len(staged.lists) and staged.lists[end - 1].head == last.hash:
                return staged.entries[begin:end], staged.lists[begin:end]
        return None

    def _more(
        self,
        sender: bytes,
        start: int,
        entries: tuple[Entry, ...],
        lists: tuple[MemberList, ...],
        now: float,
    ) -> EntriesAsk | None:
        if len(lists) > MAX_STAGED:
            return None
        if not lists:  # all of it is here, though not known to be final
            return EntriesAsk(False, self._chain.points(start))
        linked = self._local.links
        self._staged = {key: one for key, one in self._staged.items() if key in linked}
        self._staged[sender] = _Staged(start, entries, lists)
        return self._ask(sender, now)

    def _drop_staged(self) -> None:
        """Keep what goes on from what is final now, and forget the rest."""
        chain, kept = self._chain, {}
        for sender, staged in self._staged.items():
            start, final = staged.start, chain.committed.version
            passed = max(0, final - start)
            if staged.tip.version > final and (
                chain.holds(final, staged.lists[passed - 1].head)
                if passed
                else chain.holds(start, staged.entries[0].previous)
            ):
                kept[sender] = _Staged(
                    start + passed, staged.entries[passed:], staged.lists[passed:]
                )
        self._staged = kept

    def _adopt(
        self,
        proof: CommitProof,
        start: int,
        entries: Sequence[Entry],
        lists: Sequence[MemberList],
    ) -> Adopted | None:
        """Make final what ``proof`` shows: ``entries`` come after ``start`` of the chain."""
        chain = self._chain
        size = max(0, proof.version - start)
        entries, lists = entries[:size], lists[:size]
        final = lists[-1] if lists else chain.at(proof.version)
        # Votes count that were given before a revocation was heard of: final is final everywhere.
        if not final.is_committed(proof, self._local.signatures):
            raise Refused("not proven to be final")
        recovered = final.lineage > chain.lineage
        if not recovered and (
            final.lineage < chain.lineage or final.version <= chain.committed.version
        ):
            return None
        if recovered:
            self._check_recovery(final, start, entries)
        elif start < chain.committed.version:
            raise Refused("contradicts what is final")
        facts: tuple[Fact, ...] = ()
        forget: tuple[str, ...] = ()
        if not chain.holds(final.version, final.head):
            if not recovered and chain.newest.version > start and proof.ballot <= chain.accepted:
                raise Refused("contradicts what was accepted")
            facts, forget = chain.replace_after(start, entries, lists)
            chain.accepted = proof.ballot if recovered else max(chain.accepted, proof.ballot)
        adopted = Adopted(chain.commit(proof), facts, forget)
        self._drop_staged()
        return adopted

    def _check_recovery(self, final: MemberList, start: int, entries: Sequence[Entry]) -> None:
        author = next(
            (entry.change.author for entry in entries if entry.hash == final.recovery), None
        )
        if author == final.genesis.cluster_key:
            return
        if start < self._chain.committed.version:
            raise Refused(
                "recovery takes back",
                "the cluster was recovered without what this node holds as final",
                hint="leave this node's old cluster and join again",
            )
        if author is None or author in self._local.members.revoked:
            raise Refused("recovery by a revoked key")
