"""Which voters decide a seal: those of the previous one, or one step of the member list further.

The member list (:mod:`buildnet.mesh.members`) is agreed on by itself and names the voters of each
of its versions. Seals follow it one change of voters at a time. Two sets that are one change apart
differ by one node, so their majorities share a node, and it never cosigns two values of one height
in one term. (A sole voter that rotates its key goes on alone: the node that they share has two keys
then.) Only a recovery may jump, since it replaces voters that are gone; its epoch shows that what
the old ones may have sealed meanwhile does not count.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from buildnet.mesh.members.entry import Entry
from buildnet.mesh.members.member_list import MemberList

_NO_RECOVERY = bytes(32)


@dataclass(frozen=True, slots=True)
class VoterSet:
    """The voters that one version of the member list brought: ``voters`` are sorted keys.

    ``recovery``: the hash of the entry that began the epoch; zeros in epoch 0.
    """

    version: int
    epoch: int
    voters: tuple[bytes, ...]
    recovery: bytes = _NO_RECOVERY

    @property
    def majority(self) -> int:
        """How many of them decide."""
        return len(self.voters) // 2 + 1

    def is_other(self, found: VoterSet) -> bool:
        """Tell whether a later version's voters are others, or those of another epoch."""
        return (self.epoch, self.voters) != (found.epoch, found.voters)

    @classmethod
    def of(cls, members: MemberList) -> VoterSet:
        """Return the voters of a version of the member list."""
        return cls(members.version, members.epoch, members.voters, members.recovery)


@dataclass(frozen=True, slots=True)
class VoterHistory:
    """All sets of voters that final versions of the member list brought, by ascending version.

    A value: :meth:`plus` returns the next one. It holds only versions that changed the voters or
    began an epoch; the first is version 0, of the founder alone. Where a recovery replaces the end
    of the member list, it is made anew by :meth:`fold`.
    """

    sets: tuple[VoterSet, ...]

    def __post_init__(self) -> None:
        if not self.sets:
            raise ValueError("a history of voters begins with a set")
        for one, following in itertools.pairwise(self.sets):
            if one.version >= following.version or one.epoch > following.epoch:
                raise ValueError("sets of voters ascend")

    @classmethod
    def fold(cls, founded: MemberList, entries: Iterable[Entry]) -> VoterHistory:
        """Return the history of a cluster as it was ``founded`` and of all final ``entries`` since,
        which were checked before.

        Raises:
            Refused: an entry does not follow.
        """
        lists = itertools.accumulate(entries, lambda at, one: at.apply(one, None), initial=founded)
        return cls.follow(lists)[0]

    @classmethod
    def follow(cls, lists: Iterable[MemberList]) -> tuple[VoterHistory, MemberList]:
        """Return the history of all versions of one list, from the first on, and the last one.

        Raises:
            ValueError: there is none, or they do not ascend.
        """
        sets: list[VoterSet] = []
        members: MemberList | None = None
        for members in lists:
            found = VoterSet.of(members)
            if not sets or sets[-1].is_other(found):
                sets.append(found)
        if members is None:
            raise ValueError("a history of voters begins with a set")
        return cls(tuple(sets)), members

    def plus(self, members: MemberList) -> VoterHistory:
        """Return the history with the version after those that it was told before. Every version
        must be told, since each may change the voters.

        Raises:
            ValueError: it is not newer than the last set.
        """
        found = VoterSet.of(members)
        return VoterHistory((*self.sets, found)) if self.newest.is_other(found) else self

    @property
    def newest(self) -> VoterSet:
        """The set of the newest version."""
        return self.sets[-1]

    def at(self, version: int) -> VoterSet | None:
        """Return the set that exactly this version brought; None: it changed no voters."""
        place = bisect_left(self.sets, version, key=_version)
        found = self.sets[place : place + 1]
        return found[0] if found and found[0].version == version else None

    def epoch_at(self, version: int) -> int:
        """Return the number of recoveries up to a version."""
        return max(one.epoch for one in self.sets if one.version <= version)

    def is_void(self, version: int, epoch: int) -> bool:
        """Tell whether a version of an epoch never came to be: the next recovery went on before."""
        following = next((one for one in self.sets if one.epoch > epoch), None)
        return following is not None and version >= following.version

    def after(self, version: int) -> VoterSet | None:
        """Return the set that the next change of voters after ``version`` brought."""
        place = bisect_right(self.sets, version, key=_version)
        return self.sets[place] if place < len(self.sets) else None

    def recovery_after(self, version: int) -> VoterSet | None:
        """Return the set that the newest recovery brought, if it came after ``version``."""
        recoveries = self._recoveries()
        return recoveries[-1] if recoveries and recoveries[-1].version > version else None

    def allowed(self, version: int | None) -> tuple[VoterSet, ...]:
        """Return the sets that may have decided the seal after one that names ``version``: the
        same, the next one, and those that a recovery brought. None: the first seal, which any set
        may decide: a cluster may be older than its ledger, and its founder gone. (The member list
        changes no voters before that seal but those that are revoked.)"""
        if version is None:
            return self.sets
        same, following = self.at(version), self.after(version)
        found = [one for one in (same, following) if one is not None]
        found += [one for one in self._recoveries() if one.version > version and one != following]
        return tuple(found)

    def required(self, version: int | None) -> VoterSet | None:
        """Return the set that must decide the next seal after one that names ``version``, as far
        as this history knows: a voter cosigns for no other. None: the version is unknown here."""
        if version is None:
            return self.newest
        return self.recovery_after(version) or self.after(version) or self.at(version)

    def names(self, version: int, epoch: int, voters: tuple[bytes, ...]) -> bool:
        """Tell whether these are the voters that exactly this version brought."""
        found = self.at(version)
        return found is not None and (found.epoch, found.voters) == (epoch, voters)

    def objection(
        self, before: int | None, *, version: int, epoch: int, voters: tuple[bytes, ...]
    ) -> str | None:
        """Tell why a final seal after one that names version ``before`` can't name these voters.
        None: it can."""
        found = self.at(version)
        if found is None:
            unknown = version > self.newest.version
            return "members not known yet" if unknown else "members without new voters"
        if found not in self.allowed(before):
            return "voters out of turn"
        if found.epoch != epoch:
            return "another epoch"
        return None if found.voters == voters else "other voters"

    def _recoveries(self) -> tuple[VoterSet, ...]:
        steps = itertools.pairwise(self.sets)
        return tuple(following for one, following in steps if following.epoch > one.epoch)


def _version(one: VoterSet) -> int:
    return one.version
