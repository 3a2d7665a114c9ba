"""``python -m buildnet.ledger.simulation``: search for seeds that break the ledger; replay them."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from buildnet.ledger.simulation.trial import ALL_KINDS, Outcome, Settings, run_trial
from buildnet.mesh.simulation.history import History


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0: nothing was violated, 1: something was, 2: usage."""
    options = _parser().parse_args(arguments)
    kinds = _kinds(options.faults)
    if kinds is None:
        _say(f"error: faults are: {', '.join(ALL_KINDS)}", error=True)
        return 2
    settings = Settings(nodes=options.nodes, faults_s=options.duration, kinds=kinds)
    if options.replay is not None:
        return _replay(settings, options.replay, talk=options.talk)
    return _search(settings, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m buildnet.ledger.simulation",
        description="Run clusters with their ledgers in virtual time with faults.",
    )
    parser.add_argument("--nodes", type=int, default=5, help="nodes of a cluster (5)")
    parser.add_argument("--seeds", type=int, default=100, help="how many runs (100)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first one's seed (1)")
    parser.add_argument("--duration", type=float, default=10.0, help="virtual seconds with faults")
    parser.add_argument(
        "--faults", default="all", help=f"names with commas, all or none: {', '.join(ALL_KINDS)}"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one seed, tell its story")
    parser.add_argument("--talk", action="store_true", help="with --replay: messages, too")
    return parser


def _kinds(text: str) -> tuple[str, ...] | None:
    if text in ("all", "none"):
        return ALL_KINDS if text == "all" else ()
    kinds = tuple(text.split(","))
    return kinds if set(kinds) <= set(ALL_KINDS) else None


def _say(text: str, *, error: bool = False) -> None:
    out = sys.stderr if error else sys.stdout
    out.write(f"{text}\n")
    out.flush()


def _replay(settings: Settings, seed: int, *, talk: bool) -> int:
    history = History()
    outcome = run_trial(settings, seed, history=history)
    _say(history.text(talk=talk))
    _say(f"history {history.digest()}")
    _tell(outcome)
    return 1 if outcome.violations else 0


def _search(settings: Settings, options: argparse.Namespace) -> int:
    began = time.perf_counter()
    outcomes: list[Outcome] = []
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for outcome in _run_all(settings, seeds, options.jobs):
        outcomes.append(outcome)
        if outcome.violations:
            _tell(outcome)
    failed = [outcome for outcome in outcomes if outcome.violations]
    pace = 60 * len(outcomes) / (time.perf_counter() - began)
    healed = sorted(one.healed_after_s for one in outcomes if one.healed_after_s is not None)
    notes: Counter[str] = Counter()
    for outcome in outcomes:
        notes.update(outcome.notes)
    noted = ", ".join(
        f"{reason} {count}" for reason, count in notes.most_common() if "ledger" in reason
    )
    _say(
        f"{len(outcomes)} seeds of {settings.nodes} nodes, {len(failed)} failed; "
        f"{pace:.0f} seeds a minute; {sum(one.entries for one in outcomes)} entries, "
        f"{sum(one.seals for one in outcomes)} seals, "
        f"{sum(one.acknowledged for one in outcomes)} acknowledged as sealed"
    )
    if healed:
        _say(f"agreement after the last fault: most {healed[-1]:.2f} s")
    if noted:
        _say(f"noted: {noted}")
    return 1 if failed else 0


def _run_all(settings: Settings, seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    run = partial(run_trial, settings)
    if jobs == 1:
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run, seeds)


def _tell(outcome: Outcome) -> None:
    for violation in outcome.violations:
        _say(
            f"seed {outcome.seed} at {violation.seconds:.3f} s: "
            f"{violation.what}: {violation.detail}"
        )
    if outcome.violations:
        _say("\n".join(f"    {fault}" for fault in outcome.faults))


if __name__ == "__main__":
    sys.exit(main())
