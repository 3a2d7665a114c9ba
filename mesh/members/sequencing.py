"""The coordinator's side of the member log: win a ballot, take changes, make them final.

A register in the manner of Paxos whose value is the whole chain (Lamport, "The Part-Time
Parliament"), with voters that are part of the value and change one at a time (Ongaro, "Consensus:
Bridging Theory and Practice", 4.1, with its correction: nothing new before the own ballot's chain
is final):

1. ask the voters for their votes; a vote tells the chain that the voter holds;
2. once a majority of the voters of this node's chain holds none that is newer, that chain is the
   ballot's base; until then the one is fetched that brings this about. Whoever claims more than
   that majority holds need not be waited for: what is final is held by one of any majority;
3. append it, in this ballot, to a majority: what earlier ballots made final stays;
4. only then put changes after it, each final once a majority of the voters has it on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from buildnet.mesh.events import Fact
from buildnet.mesh.local import Local
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.entry import (
    Ballot,
    CommitProof,
    Entry,
    Lineage,
    Vote,
    accepted_statement,
    ballot_statement,
    sign_entry,
)
from buildnet.mesh.members.member_chain import Chain, fold
from buildnet.mesh.members.member_list import Refused
from buildnet.mesh.messages.member_log import (
    Append,
    AppendAnswer,
    BallotAnswer,
    BallotAsk,
    Entries,
)

MAX_OPEN = 64
"""Entries that may wait to become final."""


@dataclass(slots=True)
class _Voter:
    """What the coordinator knows of one voter that answered."""

    answer: BallotAnswer
    has: int
    """Up to where its chain is known to be this one."""


@dataclass(slots=True)
class Sequencing:
    """One ballot of this node, which coordinates."""

    local: Local
    chain: Chain
    ballot: Ballot
    lineage: Lineage
    base: int | None = None
    """The version at which the ballot's chain began; None: not known yet."""
    opened: bool = False
    """The base is final in this ballot: changes can be taken."""
    _voters: dict[bytes, _Voter] = field(default_factory=dict)
    _accepted: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    _failed: set[bytes] = field(default_factory=set)
    """Voters that named a newer chain and did not hand it over."""

    # --- the ballot --------------------------------------------------------------------------

    @property
    def ask(self) -> BallotAsk:
        """What to ask the voters."""
        return BallotAsk(self.ballot[0], *self.lineage)

    def unasked(self) -> tuple[bytes, ...]:
        """Return the linked voters whose vote is missing."""
        return tuple(
            key
            for key in self.chain.newest.voters
            if key not in self._voters and key in self.local.links
        )

    def vote(self, voter: bytes, answer: BallotAnswer) -> bool:
        """Take a vote; False: it is not for this ballot, forged, or not of a voter.

        This node's own is kept in any case: it may become a voter, and is asked but once.
        """
        said = ballot_statement(self.chain.committed.cluster_id, self.lineage, self.ballot)
        expected = voter == self.local.key or voter in self.chain.newest.voters
        if answer.term != self.ballot[0] or not expected:
            return False
        if not self.local.signatures.verify(voter, said, answer.signature):
            return False
        if voter not in self._voters:
            self._voters[voter] = _Voter(answer, has=0)
            if self.base is not None:
                self._match(self._voters[voter])
        return True

    def newer(self) -> tuple[bytes, BallotAnswer] | None:
        """Return a voter whose chain must be fetched before the base is known: of those that would
        do, the one with the smallest claim that did not fail to hand its chain over."""
        if self.base is not None:
            return None
        votes = sorted((_claim(self._voters[key].answer), key) for key in self._counting())
        if len(votes) < self.chain.newest.majority:
            return None
        enough = votes[self.chain.newest.majority - 1 :]
        if enough[0][0] <= self._mine:
            return None
        known = [key for _, key in enough if key in self.local.links]
        if not known:
            return None
        key = next((one for one in known if one not in self._failed), None)
        if key is None:
            self._failed.clear()
            key = known[0]
        return (key, self._voters[key].answer)

    def give_up(self, voter: bytes) -> None:
        """Fetch from others first: this one did not hand its chain over."""
        self._failed.add(voter)

    @property
    def _mine(self) -> tuple[Ballot, int]:
        return (self.chain.accepted, self.chain.newest.version)

    def _counting(self) -> list[bytes]:
        """Return who voted, is a voter as far as this node's chain goes, and is not revoked."""
        void = self.local.members.revoked
        return [key for key in self.chain.newest.voters if key in self._voters and key not in void]

    def begin(self) -> bool:
        """Make the chain that this node holds the base, if a majority's votes allow it."""
        if self.base is not None:
            return False
        level = [key for key in self._counting() if _claim(self._voters[key].answer) <= self._mine]
        if not self.chain.newest.is_majority(level):
            return False
        self.base = self.chain.newest.version
        self.chain.accepted = self.ballot
        for voter in self._voters.values():
            self._match(voter)
        return True

    def take_base(
        self, sender: bytes, said: Entries
    ) -> tuple[tuple[Fact, ...], tuple[str, ...]] | None:
        """Take the chain that a voter named in its vote; None: it is another one, or goes on.

        Raises:
            Refused: an entry is not as it must be.
        """
        newer = self.newer()
        if newer is None or newer[0] != sender:
            return None
        self.give_up(sender)  # unless it all fits
        if not self.chain.holds(said.previous, said.previous_head):
            return None
        answer = newer[1]
        entries = said.entries[: max(0, answer.version - said.previous)]
        start = said.previous + self.chain.same(said.previous, entries)
        entries = entries[start - said.previous :]
        if start < self.chain.committed.version:
            raise Refused("contradicts what is final")
        lists = fold(self.chain.at(start), entries, self.local.signatures)
        end = lists[-1] if lists else self.chain.at(start)
        if (end.version, end.head) != (answer.version, answer.head):
            # It holds another chain by now: ask it for its vote again.
            del self._voters[sender]
            return None
        self._failed.clear()
        kept = self.chain.replace_after(start, entries, lists)
        self.chain.accepted = (answer.accepted_term, answer.accepted_coordinator)
        return kept

    def _match(self, voter: _Voter) -> None:
        answer = voter.answer
        same = self.chain.holds(answer.version, answer.head)
        # What is final at a voter is part of every later base.
        voter.has = answer.version if same else min(answer.committed, self.chain.newest.version)

    # --- entries -----------------------------------------------------------------------------

    @property
    def is_changing_voters(self) -> bool:
        """Tell whether other voters are on their way: one change of them at a time."""
        return self.chain.newest.voters != self.chain.committed.voters

    def date(self) -> int:
        """Return the clock of the next entry: what a majority of the voters, this node among them,
        has reached by its own clocks, and later than the entry before.

        So the voters take it, whatever this node's clock says, or a minority's.
        """
        newest, local = self.chain.newest, self.local
        clocks = sorted(
            (
                local.clock.now() if key == local.key else local.heard.get(key, 0)
                for key in newest.voters
            ),
            reverse=True,
        )
        return max(newest.hlc + 1, clocks[newest.majority - 1])

    def put(self, change: Change) -> Entry | None:
        """Put a change at the chain's end; None: not now.

        Raises:
            Refused: the list does not take it.
        """
        newest, committed = self.chain.newest, self.chain.committed
        if not self.opened or newest.version - committed.version >= MAX_OPEN:
            return None
        fresh = newest.ballot != self.ballot
        entry = sign_entry(
            change,
            cluster_id=newest.cluster_id,
            version=newest.version + 1,
            previous=newest.head,
            ballot=self.ballot,
            hlc=self.date(),
            votes=self._votes() if fresh else (),
            sign=self.local.signatures.sign,
        )
        after = newest.apply(entry, self.local.signatures)
        if after.voters != newest.voters and self.is_changing_voters:
            return None
        self.chain.replace_after(newest.version, (entry,), (after,))
        return entry

    def _votes(self) -> tuple[Vote, ...]:
        return tuple(
            Vote(key, self._voters[key].answer.signature)
            for key in self.chain.newest.voters
            if key in self._voters
        )

    def appends(self) -> list[tuple[bytes, Append]]:
        """Return what to send to the linked voters that lack something in this ballot."""
        if self.base is None:
            return []
        wanted: list[tuple[bytes, Append]] = []
        for key in self.chain.newest.voters:
            if key in self._voters and key in self.local.links and not self._has_all(key):
                wanted.append((key, self.append_to(key)))
        return wanted

    def _has_all(self, key: bytes) -> bool:
        return key in self._accepted.get(self.chain.newest.version, {})

    def reach(self, voter: bytes) -> int:
        """Return up to where a voter is known to have this chain; -1: it did not vote."""
        state = self._voters.get(voter)
        return -1 if state is None else state.has

    def lacks(self, voter: bytes) -> bool:
        """Tell whether a voter that voted shall be sent more."""
        return self.base is not None and voter in self._voters and not self._has_all(voter)

    def append_to(self, voter: bytes) -> Append:
        """Return the next entries for a voter that voted."""
        assert self.base is not None
        has = self._voters[voter].has
        return Append(
            self.ballot[0],
            *self.lineage,
            base=self.base,
            base_head=self.chain.head_at(self.base),
            previous=has,
            previous_head=self.chain.head_at(has),
            entries=self.chain.batch_after(has, last=self.chain.newest.version),
        )

    def appended(self, voter: bytes, answer: AppendAnswer) -> bool:
        """Take note of what a voter has; False: the answer is none, or forged."""
        state = self._voters.get(voter)
        if state is None or self.base is None or answer.term != self.ballot[0]:
            return False
        if not self.chain.holds(answer.version, answer.head):
            state.has = min(answer.version, state.has, state.answer.committed)
            return answer.signature is None
        if answer.signature is None:
            state.has = answer.version
            return True
        if answer.version < self.base:
            return False
        said = accepted_statement(
            self.chain.committed.cluster_id, self.ballot, answer.version, answer.head
        )
        if not self.local.signatures.verify(voter, said, answer.signature):
            return False
        state.has = max(state.has, answer.version)
        self._accepted.setdefault(answer.version, {})[voter] = answer.signature
        return True

    def decided(self) -> CommitProof | None:
        """Return the proof of the newest version that became final in this ballot, if any did."""
        for version in sorted(self._accepted, reverse=True):
            if version < self.chain.committed.version:
                break
            if version == self.chain.committed.version and self.opened:
                break
            signers = self.chain.at(version).signers(self.ballot)
            votes = tuple(
                Vote(key, signature)
                for key, signature in sorted(self._accepted[version].items())
                if key in signers and key not in self.local.members.revoked
            )
            if len(votes) > len(signers) // 2:
                return CommitProof(*self.ballot, version, self.chain.head_at(version), votes)
        return None

    def settle(self) -> None:
        """Take note that the chain's final part grew to what :meth:`decided` said."""
        self.opened = True
        final = self.chain.committed.version
        for version in [one for one in self._accepted if one < final]:
            del self._accepted[version]


def _claim(answer: BallotAnswer) -> tuple[Ballot, int]:
    return ((answer.accepted_term, answer.accepted_coordinator), answer.version)
