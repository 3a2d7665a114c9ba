"""The command line's entry: general options, a short way for ``build``, the rest by Typer."""

from __future__ import annotations

import os
import sys

from buildnet.cli import run
from buildnet.cli.output import fail
from buildnet.cli.settings import Settings, split_arguments
from buildnet.mesh.errors import BuildNetError

_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code (see the reference of exit codes)."""
    given = sys.argv[1:] if arguments is None else arguments
    settings = Settings(format="json" if "--json" in given else "table")
    try:
        from buildnet.node.home import require_supported_platform

        require_supported_platform()
        settings, left = split_arguments(given)
        run.use(settings)
        return _dispatch(settings, left)
    except BuildNetError as error:
        return fail(settings, error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (| head). Keep Python from telling so once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(settings: Settings, arguments: list[str]) -> int:
    if arguments[:1] == ["build"]:
        from buildnet.cli.building import build, fast_options
        from buildnet.cli.start import ensure_node

        options = fast_options(arguments[1:])
        if options is not None:
            return build(options, settings, ensure_node(settings))
    from buildnet.cli.commands import invoke

    return invoke(arguments)


if __name__ == "__main__":
    sys.exit(main())
