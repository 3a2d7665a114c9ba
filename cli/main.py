"""The command line's entry: the quick way for a build with nothing to do, or the whole program."""

from __future__ import annotations

import sys

from buildnet.cli import quick


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code (see the reference of exit codes)."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        outcome = quick.build(given)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        from buildnet.cli.program import not_printed

        return not_printed(error)
    if isinstance(outcome, int):
        return outcome
    from buildnet.cli.program import run_program

    return run_program(given, outcome)


if __name__ == "__main__":
    sys.exit(main())
