"""``python -m buildnet.mesh.simulation``: search for seeds that break the mesh, and replay them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.simulation.campaign import Summary, as_text, run_all
from buildnet.mesh.simulation.figures import measure_all
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.schedule import KINDS, chosen_kinds
from buildnet.mesh.simulation.trial import Settings, run_trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0: nothing was violated, 1: something was, 2: usage."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings(
            nodes=options.nodes,
            faults_s=options.duration,
            kinds=chosen_kinds(options.faults.split(",")),
            round_trip_s=None if options.round_trip is None else options.round_trip / 1000,
            loss=options.loss,
            real_signatures=options.real_signatures,
        )
    except BuildNetError as error:
        _say(f"error[{error.code}]: {error.message}\nhint: {error.hint}", sys.stderr)
        return error.exit_code
    if options.figures:
        return _figures(options.seeds, json=options.json)
    if options.replay is not None:
        return _replay(settings, options.replay, talk=options.talk)
    return _search(settings, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m buildnet.mesh.simulation",
        description="Run clusters in virtual time with faults, and check that nothing breaks.",
    )
    parser.add_argument("--nodes", type=_positive, default=5, help="nodes of a cluster (5)")
    parser.add_argument("--seeds", type=_positive, default=100, help="how many runs (100)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first one's seed (1)")
    parser.add_argument(
        "--duration", type=float, default=15.0, help="virtual seconds with faults (15)"
    )
    parser.add_argument(
        "--faults", default="all", help=f"names with commas, all or none: {', '.join(KINDS)}"
    )
    parser.add_argument("--jobs", type=_positive, default=1, help="processes (1)")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one seed, tell its story")
    parser.add_argument(
        "--talk", action="store_true", help="with --replay: messages and disk writes, too"
    )
    parser.add_argument("--round-trip", type=float, metavar="MS", help="of the network; drawn")
    parser.add_argument("--loss", type=float, metavar="SHARE", help="of packets; drawn")
    parser.add_argument(
        "--real-signatures", action="store_true", help="Ed25519 instead of cheap stand-ins"
    )
    parser.add_argument(
        "--figures", action="store_true", help="measure failover, joining and healing instead"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _say(text: str, stream: object = None) -> None:
    out = sys.stdout if stream is None else sys.stderr
    out.write(f"{text}\n")
    out.flush()


def _figures(runs: int, *, json: bool) -> int:
    for line in measure_all(runs, json=json):
        _say(line)
    return 0


def _replay(settings: Settings, seed: int, *, talk: bool) -> int:
    history = History()
    outcome = run_trial(settings, seed, history=history)
    _say(history.text(talk=talk))
    _say(f"history {history.digest()}")
    if outcome.violations:
        _say(as_text(outcome, settings))
    return 1 if outcome.violations else 0


def _search(settings: Settings, options: argparse.Namespace) -> int:
    summary = Summary(settings)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    try:
        for outcome in run_all(settings, seeds, options.jobs):
            summary.add(outcome)
            if outcome.violations and not options.json:
                _say(as_text(outcome, settings))
    except KeyboardInterrupt:
        _say("stopped", sys.stderr)
    _say(summary.as_json() if options.json else summary.as_text())
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
