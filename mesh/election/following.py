"""The follower's end: whose office it is, and when its coordinator was heard."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from buildnet.mesh.election.promise import Certificate
from buildnet.mesh.events import Office
from buildnet.mesh.messages.election import Coordinator, Hears

MISSING_S = 0.6
"""A coordinator that was silent for so long is missed by who is asked."""
_SLACK_ROUND_TRIPS = 2
_STALLS = 4  # of this node's own, that excuse one silence of the coordinator


@dataclass(slots=True)
class Following:
    """An office that somebody else holds. ``certificate`` shows its term, if that is above 0."""

    office: Office
    certificate: Certificate | None
    heard: float
    quorum_heard: float
    """When it last said that it has its quorum; at the start, when it came into office."""
    closed: bool = False
    """The link to it ended, and it is not known yet whether it is there."""
    gone: bool = False
    """It refused a link, or membership found it dead."""
    stalls: int = 0
    """How often this node was not running since it heard the coordinator."""
    waiting: dict[bytes, int] = field(default_factory=dict)
    """Who asked whether it is missed (and in which round) before that was known."""

    @classmethod
    def of(cls, office: Office, certificate: Certificate | None, now: float) -> Following:
        """Begin to follow an office that was announced now."""
        return cls(office, certificate, now, now)

    def take(self, quorum: bool, now: float) -> bool:
        """Take note of a heartbeat; tell whether that changes the office."""
        self.heard = now
        if quorum:
            self.quorum_heard = now
        self.closed = self.gone = False
        self.stalls = 0
        return self.say_quorum(quorum)

    def say_quorum(self, quorum: bool) -> bool:
        """Note whether the office has its quorum; tell whether that is another answer."""
        changed = quorum != self.office.quorum
        if changed:
            self.office = replace(self.office, quorum=quorum)
        return changed

    def hears(self, now: float, round_trip_s: float) -> Hears:
        """Tell what is heard now; a slow link widens the time."""
        if self.gone or now >= self.missing_at(round_trip_s):
            return Hears.NOBODY
        return Hears.QUORUM if self.office.quorum else Hears.PROVISIONAL

    def missing_at(self, round_trip_s: float) -> float:
        """Return when it is missed if it stays silent."""
        return self.heard + MISSING_S + _SLACK_ROUND_TRIPS * round_trip_s

    def is_unsure(self, now: float, round_trip_s: float) -> bool:
        """Tell whether the link just ended, and the answer is known soon."""
        return self.closed and not self.gone and now < self.missing_at(round_trip_s)

    def forgive(self, seconds: float, now: float) -> bool:
        """Take out a time in which this node was not running; tell whether that excuses silence.

        A node that stalls again and again would never miss anybody else.
        """
        self.stalls += 1
        if self.stalls > _STALLS:
            return False
        self.heard = min(now, self.heard + seconds)
        self.quorum_heard = min(now, self.quorum_heard + seconds)
        return True

    def announcement(self, version: int) -> Coordinator:
        """Return what tells another node of it."""
        office = self.office
        return Coordinator(
            office.coordinator,
            office.counter,
            office.granted,
            office.quorum,
            0,
            version,
            office.reached,
            self.certificate,
        )
