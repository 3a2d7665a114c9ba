"""How long a build will take: its plan played through many times, as chance would have it. Pure.

Each time every task takes what it might, what depends on something changed runs or does not, and
all commands of the build are slower or faster together. The middle of the ends is the estimate, and
what four fifths of them lie between is its range, made wider or narrower by how earlier builds of
the workspace ended.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.piece import Ended, Fate, Piece
from buildnet.pool.estimation.sample import Expected
from buildnet.pool.estimation.simulation import Played, SimulatedHost, Simulation, Step, Takes
from buildnet.pool.estimation.spread import LEAST_MS

SAMPLES = 200
_LEAST_SAMPLES = 16
_LARGE = 40
"""Plans of more tasks are played less often."""
_LOW, _HIGH = 0.1, 0.9
FARTHEST = 10.0
"""The range's ends are no more times as long or short as its middle: beyond that nothing is known,
and hours beside seconds tell nobody anything."""
_LATEST = 0.98
"""What takes longer than so many of its runs is taken to be over soon, for all that is known."""
_REACH = math.log(FARTHEST)
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class PieceForecast:
    """One task of a forecast. ``chance``: that its command runs; ``expected``: what it takes then
    on this node; ``takes_ms``: what it takes where it is expected, ``host`` (a number; -1: it needs
    no slot); ``begins_ms``, ``ends_ms``: from now."""

    piece: Piece
    chance: float
    expected: Expected
    takes_ms: float
    host: int
    begins_ms: float
    ends_ms: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a build goes on, in milliseconds from now. ``low_ms``, ``high_ms``: four builds of
    five end between them; ``raw_low_ms``, ``raw_high_ms``: before that was made to fit how earlier
    builds ended; ``work_ms``: all commands one after the other; ``path_ms``: the longest chain;
    ``network_ms``: how much sooner it would end if transfers took nothing, None: nothing is
    expected to run elsewhere; ``confidence``: from 0 to 1; ``is_measured``: what it is made from
    was, else it is worth nothing."""

    middle_ms: float
    low_ms: float
    high_ms: float
    raw_low_ms: float
    raw_high_ms: float
    work_ms: float
    path_ms: float
    commands_end_ms: float
    network_ms: float | None
    confidence: float
    is_measured: bool
    pieces: tuple[PieceForecast, ...]
    hosts: tuple[SimulatedHost, ...]

    @property
    def parallelization(self) -> float | None:
        """How many times as long all commands would take one after the other; None: none run."""
        return self.work_ms / self.commands_end_ms if self.commands_end_ms > LEAST_MS else None


class Forecaster:
    """Looks ahead from one moment of a plan; ``hosts``: the first one is this node."""

    def __init__(
        self,
        memory: WorkspaceMemory,
        pieces: Sequence[Piece],
        hosts: Sequence[SimulatedHost],
    ) -> None:
        self.memory, self.pieces, self.hosts = memory, pieces, tuple(hosts)
        self.expected = memory.expected(
            (piece.name, piece.task, piece.input_bytes) for piece in pieces
        )
        self.chances = self._chances()
        self._depends = [self._certain(piece) is None for piece in pieces]
        self.finding, self.transfer = memory.finding, memory.transfer
        self.overhead = memory.overhead_of(len(pieces))
        self._usual = [self._usual_ms(number) for number in range(len(pieces))]
        self._simulation = Simulation(
            [
                Step(
                    piece.needs,
                    piece.slots,
                    piece.may_move and len(self.hosts) > 1,
                    None if piece.running_ms is None else piece.running_on,
                )
                for piece in pieces
            ],
            self.hosts,
            self._usual,
        )

    def _chances(self) -> list[float]:
        """Return for each piece how likely its command runs."""
        found: list[float] = []
        moved: list[tuple[float, float]] = []
        for piece in self.pieces:
            near = 1.0 - math.prod(1.0 - moved[each][0] for each in piece.needs)
            far = 1.0 - math.prod(1.0 - moved[each][1] for each in piece.needs)
            none = (1.0 - near) * (1.0 - far)
            known = self._certain(piece)
            if known is None:
                known = (
                    near * self.memory.chance_to_run(piece.name, near=True)
                    + (1.0 - near) * far * self.memory.chance_to_run(piece.name, near=False)
                    + none * self.memory.runs_at_all.chance
                )
            found.append(known)
            if not piece.has_command:
                moved.append((near, far))
            elif piece.fate is Fate.UNKNOWN:
                moved.append((0.0, known))
            else:
                moved.append((known, 0.0))
        return found

    def _certain(self, piece: Piece) -> float | None:
        """Return how likely a piece's command runs, whatever becomes of those before it; None: that
        depends on these."""
        if not piece.has_command:
            return 0.0
        if piece.running_ms is not None:
            return 1.0
        match piece.fate:
            case Fate.RUN:
                return 1.0 - self.memory.is_elsewhere.chance
            case Fate.CHANGED:
                return self.memory.changed.chance
            case Fate.RESTORE:
                return 0.0
            case Fate.UNKNOWN:
                return None

    def _usual_ms(self, number: int) -> float:
        """Return what a piece takes on this node if nothing is strange about it."""
        piece, whole = self.pieces[number], self.expected[number].whole
        if piece.running_ms is not None:
            return _left_ms(whole.median_ms, whole.sigma, piece.running_ms, 0.5)
        if not piece.has_command:
            return 0.0
        return whole.median_ms if self.chances[number] >= 0.5 else self.finding.median_ms

    @property
    def work_ms(self) -> float:
        """All that is expected of commands, one after the other."""
        return sum(
            took for took, chance in zip(self._usual, self.chances, strict=True) if chance >= 0.5
        )

    @property
    def path_ms(self) -> float:
        """The longest chain of it."""
        return self._simulation.path_ms

    def usual(self, transfer_ms: float | None = None) -> Played:
        """Play it as is most likely. ``transfer_ms``: other than was measured."""
        if transfer_ms is None:
            transfer_ms = self.transfer.median_ms if self.transfer else 0.0
        runs = [chance >= 0.5 for chance in self.chances]
        away = [each.command_ms for each in self.expected]
        return self._simulation.play(Takes(self._usual, away, runs, transfer_ms))

    def as_it_was(self, ended: Sequence[Ended]) -> float:
        """Return when it would have ended, had it been known what each piece takes."""
        took = [each.duration_ms for each in ended]
        return self._simulation.play(Takes(took, took, [each.ran for each in ended])).end_ms

    def ahead(self, seed: int, most: int = SAMPLES) -> Forecast:
        """Return the forecast. ``most``: so many times it is played, fewer of a large plan are
        enough: what single commands take evens out there."""
        usual = self.usual()
        count = max(_LEAST_SAMPLES, min(most, _LARGE * most // max(1, len(self.pieces))))
        ends = sorted(self._ends(random.Random(seed), count)) if self.pieces else [0.0]
        middle = _part(ends, 0.5)
        low, high = _part(ends, _LOW), _part(ends, _HIGH)
        wide = self.memory.widening
        wide_low, wide_high = _wider(middle, low, wide), _wider(middle, high, wide)
        network_ms = None
        if any(host > 0 for host in usual.hosts) and self.transfer is not None:
            network_ms = max(0.0, usual.end_ms - self.usual(0.0).end_ms)
        return Forecast(
            middle,
            wide_low,
            wide_high,
            low,
            high,
            self.work_ms,
            self.path_ms,
            usual.end_ms,
            network_ms,
            self._confidence(middle, wide_low, wide_high),
            self.memory.is_measured or not any(self.chances),
            tuple(self._piece(number, usual) for number in range(len(self.pieces))),
            self.hosts,
        )

    def _piece(self, number: int, usual: Played) -> PieceForecast:
        began, ended, host = (
            usual.began_ms[number],
            usual.ended_ms[number],
            usual.hosts[number],
        )
        return PieceForecast(
            self.pieces[number],
            self.chances[number],
            self.expected[number],
            ended - began,
            host,
            began,
            ended,
        )

    def _ends(self, chance: random.Random, count: int) -> list[float]:
        common_sigma, overhead = self.memory.common_sigma, self.overhead
        middle = [math.log(max(LEAST_MS, each.whole.median_ms)) for each in self.expected]
        sigma = [each.whole.sigma for each in self.expected]
        shares = [each.command_ms / max(LEAST_MS, each.whole.median_ms) for each in self.expected]
        transfer_ms = self.transfer.median_ms if self.transfer else 0.0
        running = [piece.running_ms for piece in self.pieces]
        has_command = [piece.has_command for piece in self.pieces]
        found: list[float] = []
        for _ in range(count):
            common = chance.gauss(0.0, common_sigma)
            runs = self._decided(chance)
            here: list[float] = []
            for number, is_run in enumerate(runs):
                since_ms = running[number]
                if since_ms is not None:
                    whole = math.exp(middle[number] + common)
                    here.append(_left_ms(whole, sigma[number], since_ms, chance.random()))
                elif is_run:
                    z = chance.gauss(0.0, sigma[number])
                    here.append(math.exp(middle[number] + common + z))
                elif has_command[number]:
                    here.append(self.finding.median_ms)
                else:
                    here.append(0.0)
            away = [took * share for took, share in zip(here, shares, strict=True)]
            end_ms = self._simulation.play(Takes(here, away, runs, transfer_ms)).end_ms
            found.append(end_ms + overhead.median_ms * math.exp(chance.gauss(0.0, overhead.sigma)))
        return found

    def _decided(self, chance: random.Random) -> list[bool]:
        """Let chance decide which commands run."""
        memory, runs = self.memory, list[bool]()
        moved: list[tuple[bool, bool]] = []
        for number, piece in enumerate(self.pieces):
            near = any(moved[each][0] for each in piece.needs)
            far = any(moved[each][1] for each in piece.needs)
            likely = self.chances[number]
            if self._depends[number]:
                if near or far:
                    likely = memory.chance_to_run(piece.name, near=near)
                else:
                    likely = memory.runs_at_all.chance
            is_run = likely > 0.0 and (likely >= 1.0 or chance.random() < likely)
            runs.append(is_run)
            if not piece.has_command:
                moved.append((near, far))
            elif self._depends[number]:
                moved.append((False, is_run))
            else:
                moved.append((is_run, False))
        return runs

    def _confidence(self, middle: float, low: float, high: float) -> float:
        """Return how sure it is: how much of the work was measured, and how often, and how wide the
        range is."""
        work = known = 0.0
        for took, chance, expected in zip(self._usual, self.chances, self.expected, strict=True):
            share = took * max(chance, 0.01)
            work += share
            known += share * (expected.whole.count / (expected.whole.count + 0.3))
        half = (high - low) / 2 / max(LEAST_MS, middle)
        return (known / work if work > 0 else 1.0) * math.exp(-min(5.0, half))


def _left_ms(median_ms: float, sigma: float, since_ms: float, share: float) -> float:
    """Return how long a command goes on that runs so long already; ``share`` of such are over by
    then, from 0 to 1."""
    if since_ms <= LEAST_MS:
        share_over = 0.0
    else:
        share_over = _NORMAL.cdf(math.log(since_ms / max(LEAST_MS, median_ms)) / sigma)
    if share_over >= _LATEST:  # it should have been over: it takes about as long again, at most
        return since_ms * 0.5 * share + LEAST_MS
    at = share_over + (1.0 - share_over) * min(0.999, max(0.001, share))
    return max(LEAST_MS, median_ms * math.exp(sigma * _NORMAL.inv_cdf(at)) - since_ms)


def _part(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _wider(middle: float, end: float, times: float) -> float:
    """Return an end of the range, so many times as far from the middle."""
    far = math.log(max(end, LEAST_MS) / max(middle, LEAST_MS)) * times
    return middle * math.exp(max(-_REACH, min(_REACH, far)))
