"""A voter whose disk may be older than what it said: it takes no part until that can't matter.

A ledger that was restored may lack the newest ``Promise`` and ``Accepted`` of its voter. What it
accepted last was at some height h, so it held the final seal of h - 1. That one was accepted by a
majority, of whom each held the final seal of h - 2. So among any voters that, with this one, meet
every such majority, some hold the final seal of h - 2, and the highest that they tell plus two is h
or more. The voter abstains until it holds final seals up to there, made by a majority without it:
whatever it accepted is decided by then. It never votes in a term older than the one that it knows
of by then, so a promise that it lost is kept, too; terms are in ``mesh.db``, which no backup of the
ledger replaces.

A sole voter's word is final as soon as it gave it. It waits until it heard every other member, and
holds all final seals that they have.

What may be too old to be true is never said: as a coordinator the node goes on, for without its
vote it needs a majority of the others, and they accept no second value of a height in a term.

Where a majority's disks went back at once all of them abstain, and nothing is sealed: who decides
is said by ``buildnet node recover``, whose new epoch begins without old promises.
"""

from __future__ import annotations

from buildnet.ledger.membership import Membership
from buildnet.ledger.sealing.place import Place
from buildnet.mesh.local import Local

_AHEAD = 2


class Abstention:
    """Whether one voter may vote. ``active``: its disk may be older than what it said."""

    def __init__(self, local: Local, membership: Membership, place: Place, *, active: bool) -> None:
        self._local = local
        self._membership = membership
        self._place = place
        self.active = active
        self._heard: dict[bytes, int] = {}
        self._bound: int | None = None

    def heard(self, peer: bytes, sealed: int) -> None:
        """Take note of a member's last final seal, as it was when this process first heard it."""
        self._heard.setdefault(peer, sealed)

    @property
    def until(self) -> int | None:
        """The height that has to be final here; None: too few members were heard to tell."""
        if self._bound is None:
            self._bound = self._tell_bound()
        return self._bound

    @property
    def missing(self) -> tuple[bytes, ...]:
        """Of whom some have still to be heard; empty: enough were."""
        if self.until is not None:
            return ()
        return tuple(sorted(self._others()[0] - self._heard.keys()))

    @property
    def is_over(self) -> bool:
        """Tell whether the voter may vote again."""
        return self.until is not None and self._place.height >= self.until

    def _others(self) -> tuple[set[bytes], int, int]:
        """Return who is asked, how many must answer, and by how much their height is short."""
        newest = self._membership.voters.newest
        voters = set(newest.voters) - {self._local.key}
        if voters:
            # One more than would do in a set of voters, which may have changed by one node since.
            enough = len(newest.voters) - newest.majority + 2
            return voters, min(len(voters), enough), _AHEAD
        members = self._local.members
        others = {key for key in members.members if members.is_member(key)} - {self._local.key}
        return others, len(others), 0

    def _tell_bound(self) -> int | None:
        asked, enough, ahead = self._others()
        if len(asked & self._heard.keys()) < enough:
            return None
        if not asked:
            return 0
        return max(self._heard[one] for one in asked & self._heard.keys()) + ahead
