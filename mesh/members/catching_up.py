"""How what is final reaches every member: compare heads, fetch what is missing, check it.

Entries and their proof show by themselves that they are final, so any member may hand them on. A
chain of a greater lineage (a recovery) replaces what is not final. What is final it takes back only
where the cluster key signed the recovery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from buildnet.mesh.events import Fact
from buildnet.mesh.local import Local
from buildnet.mesh.members.entry import CommitProof, Entry
from buildnet.mesh.members.member_chain import SHORT_BYTES, Chain, fold
from buildnet.mesh.members.member_list import MemberList, Refused
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import Entries, EntriesAsk, LogHead, Point

MAX_STAGED = 10_000


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became final here: to persist beside the chain's state."""

    entries: tuple[Entry, ...]
    facts: tuple[Fact, ...]
    forget: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Staged:
    """Checked entries that come after ``start`` of this node's chain, without a proof yet."""

    sender: bytes
    start: int
    entries: tuple[Entry, ...]
    lists: tuple[MemberList, ...]


class CatchingUp:
    """One node that hands on what is final, and takes it."""

    def __init__(self, local: Local, chain: Chain) -> None:
        self._local = local
        self._chain = chain
        self._staged: _Staged | None = None

    @property
    def head(self) -> LogHead:
        """How far this node's final list goes."""
        final = self._chain.committed
        return LogHead(*final.lineage, version=final.version, head=final.head)

    def compare(self, other: LogHead) -> Message | None:
        """Answer another node's head: ask for entries, send some, or nothing."""
        chain = self._chain
        mine = (chain.lineage, chain.committed.version)
        theirs = ((other.epoch, other.recovery), other.version)
        if theirs == mine:
            if other.head != chain.committed.head:
                raise Refused("contradicts what is final")
            return None
        if theirs > mine:
            self._staged = None  # whatever was on its way: begin again
            return self._ask()
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

    def _ask(self) -> EntriesAsk:
        return EntriesAsk(False, self._chain.points(self._chain.committed.version))

    def receive(self, sender: bytes, said: Entries) -> Adopted | EntriesAsk | None:
        """Take entries of any origin; ask for more until their proof is reached.

        Raises:
            Refused: they are not what they should be, or contradict what is final here.
        """
        chain, proof = self._chain, said.proof
        staged = self._staged
        start, entries = said.previous, said.entries
        held: tuple[Entry, ...] = ()
        lists: tuple[MemberList, ...] = ()
        if (
            staged is not None
            and staged.sender == sender
            and staged.lists[-1].head == said.previous_head
        ):
            start, held, lists = staged.start, staged.entries, staged.lists
            tip = lists[-1]
        elif staged is not None and said.previous + len(entries) < proof.version:
            return None  # a part of what is on its way already; if it got lost, heads tell
        elif chain.holds(said.previous, said.previous_head):
            same = chain.same(start, entries)
            start, entries = start + same, entries[same:]
            tip = chain.at(start)
        else:
            return self._ask() if staged is None else None
        self._staged = None
        if not entries and proof.version <= chain.committed.version:
            return None
        lists = (*lists, *fold(tip, entries, self._local.signatures))
        held = (*held, *entries)
        tip = lists[-1] if lists else tip
        if tip.version < proof.version:
            if not said.entries:
                return None
            return self._more(sender, start, held, lists)
        return self._adopt(proof, start, held, lists)

    def _more(
        self,
        sender: bytes,
        start: int,
        entries: tuple[Entry, ...],
        lists: tuple[MemberList, ...],
    ) -> EntriesAsk | None:
        if len(lists) > MAX_STAGED:
            return None
        if not lists:  # all of it is here, though not known to be final
            return EntriesAsk(False, self._chain.points(start))
        self._staged = _Staged(sender, start, entries, lists)
        tip = lists[-1]
        points = self._chain.points(start)
        return EntriesAsk(False, (Point(tip.version, tip.head[:SHORT_BYTES]), *points))

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
        void = self._local.members.revoked
        if not final.is_committed(proof, self._local.signatures, void=void):
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
        return Adopted(chain.commit(proof), facts, forget)

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
