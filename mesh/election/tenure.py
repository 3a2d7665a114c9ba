"""This node in office: heartbeats, the quorum, who is reached, a certificate that stays valid."""

from __future__ import annotations

from dataclasses import replace

from buildnet.mesh.election.candidacy import is_promise
from buildnet.mesh.election.handover import Handover
from buildnet.mesh.election.heartbeat import INTERVAL_S, QUORUM_S, REACHED_S, Heartbeats
from buildnet.mesh.election.promise import AcceptedLog, Certificate, Position
from buildnet.mesh.events import (
    Effect,
    Office,
    OfficeChanged,
    Raise,
    RoundTrip,
    Send,
    SendAll,
)
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import (
    Coordinator,
    Heartbeat,
    HeartbeatAck,
    PromiseAnswer,
    PromiseAsk,
)

_CHECK_S = 1.0
_SHORT_HASH_BYTES = 8
_ROUND_TRIP_BEATS = 5  # of so many heartbeats, one is told as a measured round trip


class Tenure:
    """The office of this node, from the win until it steps down.

    ``promises`` (voter to signature) are those that won a granted term, empty for a provisional
    one, whose counter ``proof`` shows; ``asked_at`` is when the voters were asked for them.
    """

    def __init__(
        self,
        local: Local,
        log: AcceptedLog,
        handover: Handover,
        counter: int,
        promises: dict[bytes, bytes],
        *,
        proof: Certificate | None,
        asked_at: float,
        now: float,
    ) -> None:
        self._local = local
        self._log = log
        self._handover = handover
        self._promises = dict(promises)
        self._proof = proof
        self._beats = Heartbeats()
        for voter in promises:
            self._beats.support(voter, asked_at)
        self._since = now
        self._next_beat = now
        self._next_check = now + _CHECK_S
        self._must_announce = False
        granted = bool(promises)
        quorum = granted and now < self._quorum_until()
        self.office = Office(local.key, counter, granted, quorum, self._reached(now), now)
        self.certificate = self._certify()

    # --- what others need to know --------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        due = min(self._next_beat, self._next_check)
        return min(due, self._quorum_until()) if self.office.quorum else due

    def begin(self, now: float) -> list[Effect]:
        """Announce the office, to this node and to the others."""
        return [Raise(OfficeChanged(self.office)), *self._announce(now)]

    def name(self, counter: int, proof: Certificate | None, now: float) -> list[Effect]:
        """Name another counter in a provisional term: that of the highest proven one."""
        self._proof = proof
        self.certificate = self._certify()
        self.office = replace(self.office, counter=counter)
        return self.begin(now)

    def review(self, now: float) -> None:
        """The members changed: look at everything soon."""
        self._next_check = now

    def announcement(self, now: float) -> Coordinator:
        """Return what tells a node of this office."""
        office = self.office
        return Coordinator(
            self._local.key,
            office.counter,
            office.granted,
            office.quorum,
            self._beats.next(now),
            self._local.members.version,
            office.reached,
            self.certificate,
        )

    def contesting(self) -> dict[bytes, int]:
        """Return the voters that name a higher counter than this granted term's, and which; and
        those that promised this very counter to somebody else, before a recovery made them voters,
        while the certificate lacks a majority of the present ones."""
        if not self.office.granted:
            return {}
        counter = self.office.counter
        found = self._beats.contesting(self._log.voters, counter)
        if not self._is_proven():
            found |= {
                voter: counter
                for voter in self._log.voters
                if voter not in self._promises and self._beats.promised(voter) == counter
            }
        return found

    # --- time ----------------------------------------------------------------------------------

    def check_quorum(self, now: float) -> list[Effect]:
        """Say at once that the quorum was lost or won; first thing whenever time has passed."""
        quorum = self.office.granted and now < self._quorum_until()
        if quorum == self.office.quorum:
            return []
        self.office = replace(self.office, quorum=quorum)
        return [Raise(OfficeChanged(self.office)), *self._beat(now)]

    def tick(self, now: float) -> list[Effect]:
        """Send what is due."""
        effects: list[Effect] = []
        if now >= self._next_check:
            self._next_check = now + _CHECK_S
            effects += self._check(now)
        if now >= self._next_beat:
            effects += self._beat(now)
        return effects

    def _quorum_until(self) -> float:
        return self._beats.supported_since(self._log.voters, self._local.key) + QUORUM_S

    def _beat(self, now: float) -> list[Effect]:
        linked = self._linked()
        self._next_beat = now + (INTERVAL_S if linked else _CHECK_S)
        if not linked:
            return []
        office, members = self.office, self._local.members
        heartbeat = Heartbeat(
            office.counter,
            office.granted,
            office.quorum,
            self._beats.next(now),
            members.version,
            members.head[:_SHORT_HASH_BYTES],
            len(office.reached),
        )
        return [SendAll(linked, heartbeat)]

    def _announce(self, now: float) -> list[Effect]:
        self._must_announce = False
        self._next_beat = now + INTERVAL_S
        linked = self._linked()
        return [SendAll(linked, self.announcement(now))] if linked else []

    def _check(self, now: float) -> list[Effect]:
        effects = self._widen()
        reached = self._reached(now)
        if reached != self.office.reached:
            self.office = replace(self.office, reached=reached)
            effects.append(Raise(OfficeChanged(self.office)))
            self._must_announce = True
        if self._must_announce:
            effects += self._announce(now)
        steady = reached if self.office.quorum else ()
        if (successor := self._handover.observe(steady, now)) is not None:
            effects.append(Send(successor, self._handover.sign(self.office.counter, successor)))
        return effects

    # --- events --------------------------------------------------------------------------------

    def acknowledged(self, peer: bytes, ack: HeartbeatAck, now: float) -> list[Effect]:
        """Take note of a follower's acknowledgement."""
        seconds = self._beats.acknowledge(peer, ack, self.office.counter, now)
        effects = self.check_quorum(now)
        if seconds is not None and ack.beat % _ROUND_TRIP_BEATS == 0:
            effects.append(Raise(RoundTrip(peer, seconds)))
        return effects

    def linked(self, peer: bytes, now: float) -> list[Effect]:
        """Tell a new link's peer who coordinates."""
        self._next_beat = min(self._next_beat, now + INTERVAL_S)
        return [Send(peer, self.announcement(now))]

    def lost(self, peer: bytes) -> None:
        """Take note that a peer is not linked any more."""
        self._beats.forget(peer)

    def granted(self, peer: bytes, answer: PromiseAnswer) -> None:
        """Take a promise of this very term that came late, or that :meth:`_widen` asked for."""
        if answer.counter != self.office.counter or not self.office.granted:
            return
        if not is_promise(self._local, peer, answer):
            return
        assert answer.signature is not None
        self._promises[peer] = answer.signature
        proven = self._is_proven()
        self.certificate = self._certify()
        self._must_announce |= not proven and self._is_proven()

    def refused(self, peer: bytes, answer: PromiseAnswer) -> None:
        """Take note of a voter that was asked by :meth:`_widen` and promised a higher term.

        It follows nobody whose certificate it can't check, so no acknowledgement ever says so.
        """
        if answer.counter == self.office.counter and self.office.granted:
            self._beats.refused(peer, answer.promised)

    # --- the certificate -----------------------------------------------------------------------

    def _widen(self) -> list[Effect]:
        """Ask voters that came in later for their promise, while the certificate lacks them; and
        voters of the final list that the newest one, not final yet, leaves out.

        Who gets to know the member list later, or lacks its newest entries, can check a
        certificate only against the voters of the list that it has.
        """
        if not self.office.granted or self._is_proven():
            return []
        linked = self._linked()
        voters = sorted({*self._log.voters, *self._local.members.voters})
        asked = tuple(voter for voter in voters if voter not in self._promises and voter in linked)
        position = Position.of(self._log)
        request = PromiseAsk(self.office.counter, self._local.boot, position, None, None)
        return [SendAll(asked, request)] if asked else []

    @property
    def is_void(self) -> bool:
        """Whether it was granted by voters that are revoked now, and no quorum is there that could
        make good for them."""
        office, revoked = self.office, self._local.members.revoked
        rests = any(voter in revoked for voter in self._promises)
        return office.granted and not office.quorum and rests and not self._is_proven()

    def _is_proven(self) -> bool:
        valid = self._promises.keys() - self._local.members.revoked.keys()
        return all(
            sum(voter in valid for voter in voters) > len(voters) // 2
            for voters in (self._log.voters, self._local.members.voters)
        )

    def _certify(self) -> Certificate | None:
        if not self.office.granted:
            return self._proof
        voters = {*self._log.voters, *self._local.members.voters}
        of_voters = {
            voter: signature for voter, signature in self._promises.items() if voter in voters
        }
        boot = self._local.boot
        signatures = of_voters or self._promises
        return Certificate.of(self.office.counter, self._local.key, boot, signatures)

    # --- who is there --------------------------------------------------------------------------

    def _linked(self) -> tuple[bytes, ...]:
        members = self._local.members
        return tuple(peer for peer in sorted(self._local.links) if members.is_member(peer))

    def _reached(self, now: float) -> tuple[bytes, ...]:
        local = self._local
        fresh = now - self._since < REACHED_S
        reached = {
            peer
            for peer in self._linked()
            if self._beats.heard_lately(peer, now)
            or ((fresh or now - local.links[peer].since < REACHED_S) and local.alive(peer))
        }
        return tuple(sorted({*reached, local.key}))
