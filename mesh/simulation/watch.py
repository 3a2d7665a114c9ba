"""Invariants that are looked at after every step, and what the nodes noted meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildnet.mesh.events import Effect, Note, Office
from buildnet.mesh.members.member_list import MemberList

if TYPE_CHECKING:
    from buildnet.mesh.simulation.host import Host, Program
    from buildnet.mesh.simulation.world import World


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never happen did, at ``seconds`` of virtual time."""

    seconds: float
    what: str
    detail: str


@dataclass(slots=True)
class _Seen:
    """What was last seen of one process."""

    office: Office | None = None
    members: MemberList | None = None
    place: tuple[int, int] = (-1, -1)
    """Epoch and version of the members."""
    granted: int = -1
    """The greatest granted term that it obeyed, in this epoch."""
    epoch: int = 0


class Watch:
    """Looks at each process after each of its steps; cheap, since mostly nothing changed.

    - A term that was granted has one coordinator, whoever tells of it, and that won it once. After
      a recovery terms begin anew, and who has not heard of it obeys who won before.
    - A process never obeys a lower term after a higher granted one in one epoch.
    - Committed member lists are beginnings of each other, and none shrinks.
    """

    def __init__(self, world: World) -> None:
        self.violations: list[Violation] = []
        self.notes: Counter[str] = Counter()
        self.listener: Callable[[Host, Effect], None] = lambda host, effect: None
        """Is told of effects that are not the world's to perform: answers to wishes."""
        self.winners: dict[int, dict[int, tuple[bytes, int]]] = {}
        """Of each granted term, by epoch, the very process that won it."""
        self.heads: dict[tuple[int, int], bytes] = {}
        """The head of the committed member list at each (epoch, version) that anybody had."""
        self._world = world
        self._seen: dict[int, _Seen] = {}

    def violated(self, what: str, detail: str) -> None:
        """Take note of a violated invariant."""
        now = self._world.timeline.now
        self.violations.append(Violation(now, what, detail))
        self._world.note(None, f"VIOLATED: {what}: {detail}")

    def started(self, host: Host) -> None:
        """A process began."""
        self._seen[host.index] = _Seen()

    def stopped(self, host: Host) -> None:
        """A process ended."""
        self._seen.pop(host.index, None)

    def noted(self, host: Host, note: Note) -> None:
        """Count what a core noted."""
        self.notes[note.reason] += 1

    def told(self, host: Host, effect: Effect) -> None:
        """Hand on an effect that is an answer to somebody."""
        self.listener(host, effect)

    def look(self, host: Host, program: Program) -> None:
        """See whether a process's view changed, and whether it may."""
        seen = self._seen[host.index]
        local = program.local
        if local.members.epoch != seen.epoch:
            seen.epoch, seen.granted = local.members.epoch, -1
        if local.office is not seen.office:
            seen.office = local.office
            if local.office is not None:
                self._look_at_office(host, seen, local.office)
        if local.members is not seen.members:
            seen.members = local.members
            self._look_at_members(host, seen, local.members)

    def _look_at_office(self, host: Host, seen: _Seen, office: Office) -> None:
        if office.counter < seen.granted:
            self.violated(
                "a lower term is obeyed",
                f"{host.name} obeys {office.counter} after {seen.granted}",
            )
        if not office.granted:
            if office.quorum:
                self.violated("quorum without a granted term", f"{host.name}: {office.counter}")
            return
        seen.granted = max(seen.granted, office.counter)
        winners = self.winners.setdefault(office.counter, {})
        if office.coordinator == host.key:
            winner = winners.setdefault(seen.epoch, (host.key, host.boot))
            if winner[0] != host.key:
                self._two_coordinators(host, office, winner[0])
            if winner != (host.key, host.boot):
                self.violated("a term was won twice", f"term {office.counter}, {host.name}")
        elif winners and all(office.coordinator != winner for winner, _ in winners.values()):
            self._two_coordinators(host, office, next(iter(winners.values()))[0])

    def _two_coordinators(self, host: Host, office: Office, winner: bytes) -> None:
        names = f"{self._name(winner)} and {self._name(office.coordinator)}"
        self.violated(
            "two coordinators of one granted term",
            f"term {office.counter}: {names}, seen at {host.name}",
        )

    def _look_at_members(self, host: Host, seen: _Seen, members: MemberList) -> None:
        place = (members.epoch, members.version)
        if place < seen.place:
            self.violated("a committed member list shrank", f"{host.name}: {seen.place} to {place}")
        seen.place = place
        if self.heads.setdefault(place, members.head) != members.head:
            self.violated("two committed member lists differ", f"{place} at {host.name}")

    def _name(self, key: bytes) -> str:
        host = self._world.host_of(key)
        return key[:4].hex() if host is None else host.name
