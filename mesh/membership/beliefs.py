"""What a node believes of each other member, and which word of others changes it.

Within SWIM's order (greater incarnation, then dead over suspect over alive) one's own senses come
first: who has a link to a node does not take another's word against it, but probes it, and tells it
what is said, so that it refutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.events import Effect, Note, Raise, Send, Status, StatusChanged
from buildnet.mesh.identity import NODE_ID_BYTES
from buildnet.mesh.local import Local
from buildnet.mesh.membership.suspicion import CONFIRMATIONS, Health, Suspicion, suspicion_bounds
from buildnet.mesh.messages.membership import MAX_NEWS, MAX_PIGGYBACK, StatusNews, StatusUpdate

PERIOD_S = 1.0
"""Between two probes, times the health factor."""
PUSH_PAUSE_S = 0.1
REFUTE_PAUSE_S = 0.5
REFUSED_BOUNDS = (0.5, 3.0)
"""Wait before a suspect is dead whose host said that nobody listens there any more."""
_BOOT_BITS = 16
_MAX_AHEAD_S = 366 * 24 * 3600


@dataclass(slots=True)
class View:
    """What is believed of one member. ``incarnation`` -1: it never told."""

    incarnation: int = -1
    status: Status = Status.DEAD
    since: float = -math.inf
    heard_at: float = -math.inf
    measured_at: float = -math.inf
    suspicion: Suspicion | None = None
    accusation: StatusUpdate | None = None
    """What others say against it and it has not refuted yet."""
    accusers: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Rumour:
    update: StatusUpdate
    left: int


def id_of(key: bytes) -> bytes:
    """Return the node id (8 bytes) that stands for a key in updates."""
    return key[:NODE_ID_BYTES]


class Beliefs:
    """The views of one node, and the news that it owes to others.

    ``doubted`` collects linked peers that somebody accused; the owner of the beliefs probes them.
    """

    def __init__(self, local: Local, health: Health) -> None:
        self._local = local
        self._health = health
        self.incarnation = local.boot << _BOOT_BITS
        self.views: dict[bytes, View] = {}
        self.doubted: set[bytes] = set()
        self.push_at = math.inf
        self._pushed_at = -math.inf
        self._urgent: set[bytes] = set()
        self._rumours: dict[bytes, _Rumour] = {}
        self._refute_at = math.inf
        self._refuted_at = -math.inf
        self._refute_above = 0
        self._keys: dict[bytes, bytes] = {}
        self.fit_members()

    # --- looking ---------------------------------------------------------------------------------

    def key_of(self, node: bytes) -> bytes | None:
        """Return the member's key whose id is ``node``."""
        return self._keys.get(node)

    @property
    def deadline(self) -> float:
        """When :meth:`expire` or :meth:`push` has something to do."""
        waits = (view.suspicion.deadline for view in self.views.values() if view.suspicion)
        return min(self.push_at, self._refute_at, min(waits, default=math.inf))

    def all_updates(self) -> tuple[StatusUpdate, ...]:
        """Return what this node believes of everybody, itself included."""
        known = [key for key in sorted(self.views) if self.views[key].incarnation >= 0]
        return (self._own_update(), *map(self._update, known[: MAX_NEWS - 1]))

    def newer_than(self, updates: Sequence[StatusUpdate]) -> tuple[StatusUpdate, ...]:
        """Return what is believed here and newer than what ``updates`` say, or not in them."""
        said = {update.node: (update.incarnation, update.status) for update in updates}
        me = id_of(self._local.key)
        own = [self._own_update()] if (self.incarnation, 0) > said.get(me, (-1, 0)) else []
        newer = [
            key
            for key, view in sorted(self.views.items())
            if view.incarnation >= 0
            and (view.incarnation, view.status) > said.get(id_of(key), (-1, 0))
        ]
        return (*own, *map(self._update, newer[: MAX_NEWS - 1]))

    # --- what we sense ourselves -----------------------------------------------------------------

    def view(self, peer: bytes) -> View:
        """Return what is believed of ``peer``; a first view is made where there was none."""
        view = self.views.get(peer)
        if view is None:
            view = self.views[peer] = View()
        return view

    def sensed(self, peer: bytes, now: float) -> list[Effect]:
        """Note that ``peer`` is there: something that it signed arrived just now."""
        view = self.view(peer)
        view.heard_at = now
        if view.status is Status.ALIVE:
            return []
        # What we told others of it is refuted by nobody but itself: it has to hear of it.
        if view.incarnation >= 0:
            view.accusation = self._update(peer)
        effects = self._believe(peer, Status.ALIVE, now)
        return effects + self._accuse_openly(peer)

    def told_incarnation(self, peer: bytes, incarnation: int, now: float) -> None:
        """Note the incarnation that ``peer`` itself told."""
        view = self.view(peer)
        if incarnation > view.incarnation:
            view.incarnation = incarnation
            self._clear(view)
            self._spread(peer)
            self._hurry(peer, now)

    def suspect(self, peer: bytes, now: float, *, refused: bool = False) -> list[Effect]:
        """Suspect ``peer``, who did not answer; ``refused``: its host says that it is gone."""
        view = self.view(peer)
        if view.status is Status.DEAD:
            return []
        effects: list[Effect] = []
        if view.suspicion is None:
            effects += self._begin_suspicion(peer, self._local.key, now)
        elif view.suspicion.confirm(self._local.key):
            self._spread(peer, self._local.key)
            self._hurry(peer, now)
        if refused and view.suspicion is not None:
            view.suspicion.tighten(least=REFUSED_BOUNDS[0], most=REFUSED_BOUNDS[1])
        return effects

    # --- what others say -------------------------------------------------------------------------

    def merge(self, updates: Sequence[StatusUpdate], sender: bytes, now: float) -> list[Effect]:
        """Take what ``sender`` says of others, as far as it is newer than what is known."""
        effects: list[Effect] = []
        greatest = self._greatest_incarnation() if updates else 0
        for update in updates:
            key = self._keys.get(update.node)
            if key is None:
                continue
            if update.incarnation > greatest:
                effects.append(Note("implausible incarnation", sender, update.node.hex()))
            elif key == self._local.key:
                self._hear_of_myself(update, now)
            elif update.status == Status.ALIVE:
                effects += self._hear_alive(key, update, now)
            else:
                effects += self._hear_accusation(key, update, sender, now)
        return effects

    def _greatest_incarnation(self) -> int:
        seconds = max(milliseconds_of(self._local.clock.now()) // 1000, self._local.boot)
        return (seconds + _MAX_AHEAD_S) << _BOOT_BITS

    def _hear_of_myself(self, update: StatusUpdate, now: float) -> None:
        if update.status == Status.ALIVE or update.incarnation < self.incarnation:
            self.incarnation = max(self.incarnation, update.incarnation)
            return
        self._refute_above = max(self._refute_above, update.incarnation)
        self._refute_at = max(now, self._refuted_at + REFUTE_PAUSE_S)
        if self._refute_at <= now:
            self._refute(now)

    def _refute(self, now: float) -> None:
        self._refuted_at, self._refute_at = now, math.inf
        self.incarnation = max(self.incarnation, self._refute_above + 1)
        self._health.worse()
        self._rumours[self._local.key] = _Rumour(self._own_update(), self._times())
        self._hurry(self._local.key, now)

    def _hear_alive(self, key: bytes, update: StatusUpdate, now: float) -> list[Effect]:
        view = self.view(key)
        if update.incarnation <= view.incarnation:
            return []
        view.incarnation = update.incarnation
        self._clear(view)
        effects = self._believe(key, Status.ALIVE, now)
        self._spread(key)
        self._hurry(key, now)
        return effects

    def _hear_accusation(
        self, key: bytes, update: StatusUpdate, sender: bytes, now: float
    ) -> list[Effect]:
        view = self.view(key)
        accuser = self._keys.get(update.accuser or b"", sender)
        if update.incarnation < view.incarnation:
            return []
        if key in self._local.links and view.status is Status.ALIVE:
            if accuser not in view.accusers and len(view.accusers) <= CONFIRMATIONS:
                view.accusers.append(accuser)
            if now - view.heard_at >= PERIOD_S:
                self.doubted.add(key)
            if view.accusation is None or update.incarnation > view.accusation.incarnation:
                view.accusation = update
                self.doubted.add(key)
                return self._accuse_openly(key)
            return []
        is_later = update.incarnation > view.incarnation
        view.incarnation = update.incarnation
        if update.status == Status.DEAD:
            return self._declare_dead(key, now)
        if view.status is Status.ALIVE or (is_later and view.status is Status.DEAD):
            return self._begin_suspicion(key, accuser, now)
        if view.suspicion is not None and view.suspicion.confirm(accuser):
            self._spread(key, accuser)
            self._hurry(key, now)
        return []

    def _accuse_openly(self, peer: bytes) -> list[Effect]:
        """Tell a linked peer what is said against it."""
        accusation = self.view(peer).accusation
        if accusation is None or peer not in self._local.links:
            return []
        return [Send(peer, StatusNews((accusation,), False))]

    # --- time ------------------------------------------------------------------------------------

    def expire(self, now: float) -> list[Effect]:
        """Declare dead whose suspicion waited long enough; refute what was put off."""
        if self._refute_at <= now:
            self._refute(now)
        effects: list[Effect] = []
        for key in sorted(self.views):
            suspicion = self.views[key].suspicion
            if suspicion is not None and suspicion.deadline <= now:
                effects += self._declare_dead(key, now)
        return effects

    def stretch(self, seconds: float) -> None:
        """Let all suspicions wait longer: for so long this node heard nobody."""
        for view in self.views.values():
            if view.suspicion is not None:
                view.suspicion.stretch(seconds)

    def fit_members(self) -> list[Effect]:
        """Follow the member list: who left has no view."""
        members = self._local.members
        self._keys = {id_of(key): key for key in sorted(members.members) if members.is_member(key)}
        gone = [key for key in sorted(self.views) if not members.is_member(key)]
        for key in gone:
            del self.views[key]
            self._rumours.pop(key, None)
            self._urgent.discard(key)
            self.doubted.discard(key)
        return [Raise(StatusChanged(key, Status.LEFT)) for key in gone]

    # --- news ------------------------------------------------------------------------------------

    def piggyback(self, peer: bytes) -> tuple[StatusUpdate, ...]:
        """Return the news that travel with a message to ``peer``, the least told first."""
        first = self.views[peer].accusation if peer in self.views else None
        chosen = [] if first is None else [first]
        if not self._rumours:
            return tuple(chosen)
        order = sorted(self._rumours, key=lambda key: (-self._rumours[key].left, key))
        for key in order[: MAX_PIGGYBACK - len(chosen)]:
            rumour = self._rumours[key]
            chosen.append(rumour.update)
            rumour.left -= 1
            if not rumour.left:
                del self._rumours[key]
        return tuple(chosen)

    def push(self, now: float) -> tuple[StatusUpdate, ...]:
        """Return the news that are not to wait for the next probe."""
        urgent = sorted(self._urgent & self._rumours.keys())
        self._urgent.clear()
        self.push_at, self._pushed_at = math.inf, now
        return tuple(self._rumours[key].update for key in urgent[:MAX_NEWS])

    def _times(self) -> int:
        """How often a piece of news is told: SWIM's lambda log n."""
        return 3 * math.ceil(math.log(len(self._keys) + 1))

    def _spread(self, key: bytes, accuser: bytes | None = None) -> None:
        self._rumours[key] = _Rumour(self._update(key, accuser), self._times())

    def _hurry(self, key: bytes, now: float) -> None:
        self._urgent.add(key)
        self.push_at = min(self.push_at, max(now, self._pushed_at + PUSH_PAUSE_S))

    # --- changing --------------------------------------------------------------------------------

    def _own_update(self) -> StatusUpdate:
        return StatusUpdate(id_of(self._local.key), self.incarnation, int(Status.ALIVE))

    def _update(self, key: bytes, accuser: bytes | None = None) -> StatusUpdate:
        view = self.views[key]
        by = None if view.status is Status.ALIVE else id_of(accuser or self._local.key)
        return StatusUpdate(id_of(key), max(0, view.incarnation), int(view.status), by)

    def _clear(self, view: View) -> None:
        """Drop what was said against an earlier incarnation."""
        if view.accusation is not None and view.accusation.incarnation < view.incarnation:
            view.accusation = None
        if view.accusation is None:
            view.accusers.clear()

    def _begin_suspicion(self, peer: bytes, accuser: bytes, now: float) -> list[Effect]:
        view = self.view(peer)
        least, most = suspicion_bounds(len(self._keys), PERIOD_S)
        others = sum(
            key != peer and other.status is Status.ALIVE for key, other in self.views.items()
        )
        needed = min(CONFIRMATIONS, others)
        view.suspicion = Suspicion(accuser, now, least=least, most=most, needed=needed)
        for other_accuser in view.accusers:
            view.suspicion.confirm(other_accuser)
        effects = self._believe(peer, Status.SUSPECT, now)
        self._spread(peer, accuser)
        self._hurry(peer, now)
        return effects

    def _declare_dead(self, peer: bytes, now: float) -> list[Effect]:
        effects = self._believe(peer, Status.DEAD, now)
        if effects:
            self._spread(peer)
            self._hurry(peer, now)
        return effects

    def _believe(self, peer: bytes, status: Status, now: float) -> list[Effect]:
        view = self.views[peer]
        if status is not Status.SUSPECT:
            view.suspicion = None
        if status is view.status:
            return []
        view.status, view.since = status, now
        return [Raise(StatusChanged(peer, status))]
