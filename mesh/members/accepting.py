"""A voter's side of the member log: vote for a ballot, take what its coordinator appends.

Every answer leaves once what it says is on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from buildnet.mesh.events import Fact
from buildnet.mesh.local import Local
from buildnet.mesh.members.entry import Ballot, Entry, accepted_statement, ballot_statement
from buildnet.mesh.members.member_chain import Chain, fold
from buildnet.mesh.members.member_list import MAX_AHEAD_S, MemberList, Refused
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import Append, AppendAnswer, BallotAnswer, BallotAsk

_AHEAD = MAX_AHEAD_S * 1000 << 16  # of the hybrid clock


@dataclass(frozen=True, slots=True)
class Kept:
    """What to persist, and what to say then. ``facts`` come beside the chain's state."""

    answer: Message
    facts: tuple[Fact, ...] = ()
    forget: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Staged:
    """Entries of a ballot that do not reach its base yet; they were checked."""

    ballot: Ballot
    start: int
    entries: tuple[Entry, ...]
    head: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.entries)


class Accepting:
    """One node as a voter."""

    def __init__(self, local: Local, chain: Chain) -> None:
        self._local = local
        self._chain = chain
        self._staged: _Staged | None = None

    def vote(self, sender: bytes, ask: BallotAsk) -> Kept:
        """Follow the sender's ballot from now on, and no lower one.

        Raises:
            Refused: it is not in office as this node knows, or its ballot is too low.
        """
        chain, office = self._chain, self._local.office
        ballot = (ask.term, sender)
        holder = (0, b"") if office is None else (office.counter, office.coordinator)
        if holder != ballot or office is None or not office.granted:
            raise Refused("ballot without office")
        if ballot < chain.promised:
            raise Refused("old ballot")
        chain.promised = ballot
        said = ballot_statement(chain.committed.cluster_id, chain.lineage, ballot)
        return Kept(
            BallotAnswer(
                ask.term,
                *chain.accepted,
                version=chain.newest.version,
                head=chain.newest.head,
                committed=chain.committed.version,
                signature=self._local.signatures.sign(said),
            )
        )

    def append(self, sender: bytes, said: Append) -> Kept | AppendAnswer | None:
        """Take entries of the ballot that this node follows; an answer alone asks for others; None:
        the voters change twice beyond what is final here, so that has to be known first.

        Raises:
            Refused: it follows a higher one, or an entry is not as it must be.
        """
        chain = self._chain
        ballot = (said.term, sender)
        if ballot != chain.promised:
            raise Refused("old ballot")
        follows = chain.accepted == ballot
        staged = self._staged if not follows else None
        start, entries = said.previous, said.entries
        if staged is not None and staged.ballot == ballot:
            if (staged.end, staged.head) != (said.previous, said.previous_head):
                # Said twice, or late: go on from what is here, whatever it repeats.
                return AppendAnswer(said.term, staged.end, staged.head, None)
            start, entries = staged.start, staged.entries + said.entries
        elif not chain.holds(said.previous, said.previous_head):
            last = chain.newest if follows else chain.committed
            return AppendAnswer(said.term, last.version, last.head, None)
        return self._take(ballot, said, start, entries)

    def _take(
        self, ballot: Ballot, said: Append, start: int, entries: Sequence[Entry]
    ) -> Kept | AppendAnswer | None:
        chain = self._chain
        self._staged = None
        end = start + len(entries)
        same = chain.same(start, entries)
        start, entries = start + same, tuple(entries[same:])
        if min(start, end) < chain.committed.version and (entries or chain.accepted != ballot):
            raise Refused("contradicts what is final")
        if chain.accepted == ballot and entries and start < chain.newest.version:
            raise Refused("two chains in one ballot")
        self._check_clocks(ballot, chain.at(start).hlc, entries)
        lists = fold(chain.at(start), entries, self._local.signatures)
        if self._voter_changes(start, lists) > 1:
            return None
        head = lists[-1].head if lists else chain.head_at(end)
        if chain.accepted != ballot:
            if end < said.base:
                self._staged = _Staged(ballot, start, entries, head)
                return AppendAnswer(said.term, end, head, None)
            heads = {one.version: one.head for one in lists}
            at_base = heads.get(said.base) or chain.head_at(said.base)
            if at_base != said.base_head:
                raise Refused("another base")
        facts: tuple[Fact, ...] = ()
        forget: tuple[str, ...] = ()
        if entries or chain.accepted != ballot:
            facts, forget = chain.replace_after(start, entries, lists)
        chain.accepted = ballot
        return Kept(self.accepted(), facts, forget)

    def _check_clocks(self, ballot: Ballot, before: int, entries: Sequence[Entry]) -> None:
        """Let no coordinator set the chain's clock forward; one that is ahead already goes on.

        What this node's own clock once told counts as reached even if it was set back since: the
        coordinator went by it, and cannot take the entry back.
        """
        clock = self._local.clock
        latest = max(clock.now() + _AHEAD, clock.told)
        for entry in entries:
            if entry.ballot == ballot and entry.hlc > max(latest, before + 1):
                raise Refused("entry from the future")
            before = entry.hlc

    def _voter_changes(self, start: int, lists: Sequence[MemberList]) -> int:
        """Count them beyond what is final, if ``lists`` come after ``start``: two majorities are
        sure to meet across one change only."""
        chain = self._chain
        final = chain.committed.version
        held = [chain.at(version) for version in range(final, start + 1)]
        return sum(one.voters != after.voters for one, after in pairwise([*held, *lists]))

    def accepted(self) -> AppendAnswer:
        """Return what this node has in its ballot, signed; to be sent once it is on disk."""
        chain = self._chain
        newest = chain.newest
        said = accepted_statement(newest.cluster_id, chain.accepted, newest.version, newest.head)
        return AppendAnswer(
            chain.accepted[0], newest.version, newest.head, self._local.signatures.sign(said)
        )
