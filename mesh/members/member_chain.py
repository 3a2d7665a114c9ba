"""The entries of the member list that one node holds: the final ones, and what may follow them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildnet.mesh.events import Fact
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.entry import Ballot, CommitProof, Entry, Lineage
from buildnet.mesh.members.facts import EntryFact, GenesisFact, LogFact, entry_name
from buildnet.mesh.members.member_list import NO_BALLOT, MemberList, Refused
from buildnet.mesh.messages.member_log import (
    MAX_ENTRIES,
    MAX_ENTRIES_BYTES,
    MAX_LOCATOR,
    Point,
)

SHORT_BYTES = 8


class Chain:
    """One node's entries.

    ``committed`` is the list of what is final, ``newest`` of all that is held; ``accepted`` the
    ballot in which the whole was taken, ``promised`` the highest that was voted for.
    """

    def __init__(self, members: MemberList, facts: Iterable[Fact], signatures: Signatures) -> None:
        """Read what was persisted; without facts, ``members`` is a cluster as it began.

        Raises:
            Refused: what was persisted does not fit together.
        """
        genesis = members.genesis
        state: LogFact | None = None
        entries: dict[int, Entry] = {}
        for fact in facts:
            match fact:
                case GenesisFact(kept):
                    genesis = kept
                case EntryFact(entry):
                    entries[entry.version] = entry
                case LogFact():
                    state = fact
                case _:
                    pass
        self.fresh = state is None
        """Nothing of this cluster was kept yet."""
        self._founded = MemberList.of(genesis, signatures)
        self.entries: list[Entry] = []
        self._heads = [self._founded.head]
        self._tail = [self._founded]
        self._base = 0  # the version of the tail's first list
        self.accepted: Ballot = NO_BALLOT
        self.promised: Ballot = NO_BALLOT
        self.proof = CommitProof(*NO_BALLOT, 0, self._founded.head, ())
        if state is not None:
            self._load(state, entries)

    def _load(self, state: LogFact, entries: dict[int, Entry]) -> None:
        final = state.proof.version
        at = self._founded
        for version in range(1, state.version + 1):
            entry = entries.get(version)
            if entry is None:
                raise _damaged(f"entry {version} is missing")
            at = at.apply(entry, None)
            self.entries.append(entry)
            self._heads.append(at.head)
            if version <= final:
                self._tail, self._base = [at], version
            else:
                self._tail.append(at)
        if at.head != state.head or not self.holds(final, state.proof.head):
            raise _damaged("the last entry is another one")
        self.accepted, self.promised, self.proof = state.accepted, state.promised, state.proof

    @property
    def committed(self) -> MemberList:
        """The list of what is final."""
        return self._tail[0]

    @property
    def newest(self) -> MemberList:
        """The list of all that is held."""
        return self._tail[-1]

    @property
    def lineage(self) -> Lineage:
        """Of the final list; what is not final never recovers."""
        return self.committed.lineage

    def holds(self, version: int, head: bytes) -> bool:
        """Tell whether the chain has that very version."""
        return version < len(self._heads) and self._heads[version] == head

    def same(self, start: int, entries: Sequence[Entry]) -> int:
        """Return how many of ``entries``, which come after ``start``, the chain has."""
        for count, entry in enumerate(entries):
            if entry.version != start + count + 1 or not self.holds(entry.version, entry.hash):
                return count
        return len(entries)

    def head_at(self, version: int) -> bytes:
        """Return the hash of a version that is held."""
        return self._heads[version]

    def at(self, version: int) -> MemberList:
        """Return the list at a version that is held."""
        if version >= self._base:
            return self._tail[version - self._base]
        at = self._founded
        for entry in self.entries[:version]:
            at = at.apply(entry, None)
        return at

    def replace_after(
        self, version: int, entries: Sequence[Entry], lists: Sequence[MemberList]
    ) -> tuple[tuple[Fact, ...], tuple[str, ...]]:
        """Hold ``entries`` (``lists``: the list after each) after ``version``, and nothing beyond.

        Returns:
            Facts to persist with :meth:`state`, and names to forget.
        """
        if version < self._base:
            self._tail, self._base = [self.at(version)], version
        longer = len(self.entries)
        kept = tuple(
            EntryFact(entry)
            for entry, after in zip(entries, lists, strict=True)
            if not self.holds(entry.version, after.head)
        )
        self.entries[version:] = entries
        self._heads[version + 1 :] = [one.head for one in lists]
        self._tail[version - self._base + 1 :] = lists
        gone = tuple(entry_name(one) for one in range(len(self.entries) + 1, longer + 1))
        return kept, gone

    def commit(self, proof: CommitProof) -> tuple[Entry, ...]:
        """Take note that a version that is held is final; return what became final."""
        before = self._base
        self._tail, self._base = self._tail[proof.version - before :], proof.version
        self.proof = proof
        return tuple(self.entries[before : proof.version])

    def state(self) -> LogFact:
        """Return what to persist beside the entries."""
        return LogFact(
            self.newest.version, self.newest.head, *self.accepted, *self.promised, self.proof
        )

    def batch_after(self, version: int, *, last: int) -> tuple[Entry, ...]:
        """Return entries after ``version`` up to ``last``, as many as fit into a message."""
        batch: list[Entry] = []
        size = 0
        for entry in self.entries[version : min(last, version + MAX_ENTRIES)]:
            size += len(entry.encode())
            if size > MAX_ENTRIES_BYTES:
                break
            batch.append(entry)
        return tuple(batch)

    def points(self, last: int) -> tuple[Point, ...]:
        """Return versions from ``last`` back to the first, ever farther apart."""
        versions, step = [last], 1
        while versions[-1] > 0 and len(versions) < MAX_LOCATOR - 1:
            versions.append(max(0, versions[-1] - step))
            step *= 2
        return tuple(Point(one, self._heads[one][:SHORT_BYTES]) for one in versions)

    def newest_known(self, points: Iterable[Point], *, last: int) -> int:
        """Return the newest of another chain's points that this one has too, up to ``last``."""
        for point in points:
            if point.version <= last and self._heads[point.version][:SHORT_BYTES] == point.head:
                return point.version
        return 0


def fold(
    start: MemberList, entries: Iterable[Entry], signatures: Signatures | None
) -> list[MemberList]:
    """Return the list after each entry.

    Raises:
        Refused: an entry does not follow, is not signed, or is not allowed.
    """
    lists: list[MemberList] = []
    for entry in entries:
        start = start.apply(entry, signatures)
        lists.append(start)
    return lists


def _damaged(cause: str) -> Refused:
    return Refused(
        "damaged log",
        f"the member list on disk is damaged: {cause}",
        hint="restore the data directory from a backup, or move mesh.db away and join again",
    )
