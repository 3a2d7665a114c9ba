"""Many runs, over some processes, and what came of them together."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from functools import partial

from buildnet.mesh.simulation.figures import percentile
from buildnet.mesh.simulation.schedule import KINDS
from buildnet.mesh.simulation.trial import Outcome, Settings, run_trial

_WAITING_PER_JOB = 4


def run_all(settings: Settings, seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """Run the seeds and yield their outcomes as they come."""
    run = partial(run_trial, settings)
    if jobs == 1:
        yield from map(run, seeds)
        return
    remaining = iter(seeds)
    waiting: set[Future[Outcome]] = set()
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for seed in remaining:
                waiting.add(pool.submit(run, seed))
                if len(waiting) >= jobs * _WAITING_PER_JOB:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in waiting:
                future.cancel()


@dataclass(slots=True)
class Summary:
    """What came of all runs so far."""

    settings: Settings
    began: float = field(default_factory=time.perf_counter)
    seeds: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    messages: int = 0
    steps: int = 0
    failed: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    """Of violations."""
    healed: list[float] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one more run."""
        self.seeds += 1
        self.virtual_s += outcome.virtual_s
        self.cpu_s += outcome.real_s
        self.messages += outcome.messages
        self.steps += outcome.steps
        self.notes.update(outcome.notes)
        if outcome.healed_after_s is not None:
            self.healed.append(outcome.healed_after_s)
        if outcome.violations:
            self.failed.append(outcome.seed)
            self.kinds.update({violation.what for violation in outcome.violations})

    @property
    def seeds_per_minute(self) -> float:
        """By the wall clock, over all processes."""
        return 60 * self.seeds / max(time.perf_counter() - self.began, 1e-9)

    def as_text(self) -> str:
        """Return what a person reads."""
        lines = [
            f"{self.seeds} seeds of {self.settings.nodes} nodes, {len(self.failed)} failed",
            f"{self.seeds_per_minute:.0f} seeds a minute; {self.virtual_s:.0f} s of virtual time, "
            f"{self.messages} messages, {self.steps} steps",
        ]
        if self.healed:
            lines.append(
                f"agreement after the last fault: p50 {percentile(self.healed, 50):.2f} s, "
                f"p99 {percentile(self.healed, 99):.2f} s, most {max(self.healed):.2f} s"
            )
        lines += [f"  {count:6d} seeds: {what}" for what, count in self.kinds.most_common()]
        if self.notes:
            noted = ", ".join(f"{reason} {count}" for reason, count in self.notes.most_common(12))
            lines.append(f"noted: {noted}")
        return "\n".join(lines)

    def as_json(self) -> str:
        """Return the same for programs."""
        healed = self.healed or [0.0]
        return json.dumps(
            {
                "settings": asdict(self.settings),
                "seeds": self.seeds,
                "failed": sorted(self.failed),
                "violations": dict(self.kinds),
                "seeds_per_minute": round(self.seeds_per_minute, 1),
                "virtual_seconds": round(self.virtual_s, 3),
                "cpu_seconds": round(self.cpu_s, 3),
                "messages": self.messages,
                "agreement_seconds": {
                    "p50": round(percentile(healed, 50), 3),
                    "p99": round(percentile(healed, 99), 3),
                    "max": round(max(healed), 3),
                },
                "notes": dict(self.notes),
            },
            indent=2,
        )


def as_text(outcome: Outcome, settings: Settings) -> str:
    """Return what a person reads of a run that failed."""
    lines = [f"seed {outcome.seed} FAILED"]
    for violation in outcome.violations[:5]:
        what = f"{violation.what}: {violation.detail}".strip()
        lines.append(f"  at {violation.seconds:.3f} s: {what}")
    more = len(outcome.violations) - 5
    if more > 0:
        lines.append(f"  and {more} more")
    some = "" if settings.kinds == KINDS else f"--faults {','.join(settings.kinds) or 'none'} "
    lines.append(
        f"  replay: uv run python -m buildnet.mesh.simulation --nodes {settings.nodes} "
        f"--duration {settings.faults_s:g} {some}--replay {outcome.seed}"
    )
    return "\n".join(lines)
