"""What the member list says that the ledger needs: voters, endings and admins of each version."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh.members.entry import Entry as MemberEntry
from buildnet.mesh.members.genesis import Genesis
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.wire import WireError

MEMBER_TYPES = "member."
"""How the types of entries begin that record a version of the member list."""
RETIRED = "chain.retired"
"""An admin declares a chain ended: its data names ``origin``, ``incarnation`` (hex) and
``members``, a version of the member list in which the entry's origin is admin."""


class Log(Protocol):
    """The mesh's member log; :class:`buildnet.mesh.members.log.MemberLog` is one."""

    @property
    def committed(self) -> MemberList:
        """The final list."""

    @property
    def genesis(self) -> Genesis:
        """How the cluster began."""

    @property
    def entries(self) -> tuple[MemberEntry, ...]:
        """All final entries."""

    @property
    def voters(self) -> tuple[bytes, ...]:
        """The voters of the newest list that is held, final or not."""


@dataclass(frozen=True, slots=True)
class Version:
    """What one version of the member list changed, and who is admin in it. ``hash``: of its
    entry."""

    hash: bytes
    came: frozenset[bytes]
    went: frozenset[bytes]
    admins: frozenset[bytes]


class Membership:
    """Follows a member log; what it tells is of final versions only."""

    def __init__(self, log: Log) -> None:
        self._log = log
        founded = log.committed
        if founded.version:
            founded = _founded(log)
        self._founded = founded
        self._begin()
        self.refresh()

    def _begin(self) -> None:
        self._tip = self._founded
        self.voters = VoterHistory.fold(self._founded, ())
        self._versions: list[Version] = []

    @property
    def version(self) -> int:
        """The newest final version."""
        return self._tip.version

    @property
    def epoch(self) -> int:
        """Number of recoveries."""
        return self._tip.epoch

    @property
    def is_changing_voters(self) -> bool:
        """Tell whether a change of voters is held that is not final yet, or not known here."""
        return self._log.voters != self._tip.voters

    def refresh(self) -> None:
        """Take note of what became final."""
        if self._log.committed.head == self._tip.head:
            return
        entries = self._log.entries
        known = self._tip.version
        if known and (len(entries) < known or entries[known - 1].hash != self._tip.head):
            self._begin()
            known = 0
        for entry in entries[known:]:
            before, self._tip = self._tip, self._tip.apply(entry, None)
            self.voters = self.voters.plus(self._tip)
            old, new = before.members.keys(), self._tip.members.keys()
            went = (old - new) | (self._tip.revoked.keys() - before.revoked.keys())
            self._versions.append(
                Version(entry.hash, frozenset(new - old), frozenset(went), _admins(self._tip))
            )

    def at(self, version: int) -> Version | None:
        """Return what a final version changed; None: there is no such one, or none yet."""
        return self._versions[version - 1] if 1 <= version <= self.version else None

    def entries_after(self, version: int) -> tuple[MemberEntry, ...]:
        """Return the final entries after a version."""
        return self._log.entries[version : self.version]

    def is_admin(self, key: bytes, version: int) -> bool | None:
        """Tell whether a node was admin in a version; None: that version is not known yet."""
        if version > self.version:
            return None
        found = self.at(version)
        return key in (_admins(self._founded) if found is None else found.admins)


def _admins(members: MemberList) -> frozenset[bytes]:
    return frozenset(key for key in members.members if members.is_admin(key))


def _founded(log: Log) -> MemberList:
    return MemberList.of(log.genesis, _Checked())


class _Checked:
    """What comes from the member log was checked there."""

    def sign(self, message: bytes) -> bytes:
        raise NotImplementedError

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return True


# --- what entries of the ledger tell of it -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry that records a version of the member list. ``hash``: of the version's entry;
    ``epoch``: number of recoveries up to it, as its author knew."""

    version: int
    hash: bytes
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Retired:
    """An entry by which ``author``, admin in version ``members``, ends a chain."""

    members: int
    author: bytes
    chain: Chain


Notice = Recorded | Retired


def notice_of(entry: Entry) -> Notice | None:
    """Return what an entry tells that bounds chains; None: nothing."""
    if entry.body.type == RETIRED:
        return _retired(entry)
    if entry.body.type.startswith(MEMBER_TYPES):
        return _recorded(entry)
    return None


def recording(entry: MemberEntry, epoch: int) -> dict[str, object]:
    """Return the part of an entry's data by which it records a version of the member list."""
    return {
        "version": entry.version,
        "epoch": epoch,
        "entry": base64.b64encode(entry.encode()).decode(),
    }


def member_entry_of(entry: Entry) -> MemberEntry | None:
    """Return the member list's entry that one of the ledger records; None: there is none in it."""
    said = entry.data.get("entry")
    if not isinstance(said, str):
        return None
    try:
        return MemberEntry.decode(base64.b64decode(said, validate=True))
    except (binascii.Error, ValueError, WireError):
        return None


def _recorded(entry: Entry) -> Recorded | None:
    member, epoch = member_entry_of(entry), entry.data.get("epoch")
    if member is None:
        return None
    return Recorded(member.version, member.hash, epoch if type(epoch) is int else 0)


def _retired(entry: Entry) -> Retired | None:
    data = entry.data
    members, origin, incarnation = (
        data.get("members"),
        data.get("origin"),
        data.get("incarnation"),
    )
    if not isinstance(members, int) or not isinstance(origin, str):
        return None
    if not isinstance(incarnation, str):
        return None
    try:
        chain = Chain(bytes.fromhex(origin), bytes.fromhex(incarnation))
    except ValueError:
        return None
    return Retired(members, entry.body.origin, chain)


class Closed:
    """Whose chains advance no more: what sealed notices say, in sealed order.

    A function of the seals and of the member list alone, so all voters of a height agree on it.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._taken: list[Notice] = []
        self._begin()

    def _begin(self) -> None:
        self._epoch = self._membership.epoch
        self._chains: set[Chain] = set()
        self._origins: dict[bytes, tuple[int, bool]] = {}
        """Of each that came or went: the version, and whether it went."""

    def __contains__(self, chain: Chain) -> bool:
        return chain in self._chains or self._origins.get(chain.origin, (0, False))[1]

    def is_known(self, notice: Notice) -> bool:
        """Tell whether the member list is as far as a notice says, or will never be, since it was
        recovered without that version; else it can't be judged."""
        version = notice.version if isinstance(notice, Recorded) else notice.members
        return version <= self._membership.version or self._is_void(notice)

    def take(self, notices: Iterable[Notice]) -> None:
        """Take note of notices that were sealed. What does not hold changes nothing."""
        for notice in notices:
            self._taken.append(notice)
            self._take(notice)

    def refresh(self) -> None:
        """The member list changed. After a recovery all is judged anew: the list may have gone on
        without versions that were final here."""
        if self._membership.epoch != self._epoch:
            self._begin()
            for notice in self._taken:
                self._take(notice)

    def _take(self, notice: Notice) -> None:
        if isinstance(notice, Retired):
            if self._membership.is_admin(notice.author, notice.members):
                self._chains.add(notice.chain)
            return
        version = self._membership.at(notice.version)
        if version is None or version.hash != notice.hash or self._is_void(notice):
            return
        for keys, gone in ((version.came, False), (version.went, True)):
            for key in keys:
                if self._origins.get(key, (0, False))[0] < notice.version:
                    self._origins[key] = (notice.version, gone)

    def _is_void(self, notice: Notice) -> bool:
        if not isinstance(notice, Recorded):
            return False
        return self._membership.voters.is_void(notice.version, notice.epoch)
