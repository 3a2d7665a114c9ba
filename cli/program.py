"""The whole command line: general options, a short way for ``build``, the rest by Typer."""

from __future__ import annotations

import os
import sys

from buildnet.cli import run
from buildnet.cli.output import fail, note
from buildnet.cli.platform import require_supported_platform
from buildnet.cli.settings import Settings, split_arguments
from buildnet.mesh.errors import BuildNetError

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from buildnet.cli.quick import Begun

_INTERRUPTED = 130


def run_program(given: list[str], begun: Begun | None = None) -> int:
    """Run one command; return the exit code (see the reference of exit codes).

    ``begun`` is a build that was asked for already.
    """
    _mend_streams()
    settings = Settings(format="json" if "--json" in given else "table")
    try:
        require_supported_platform()  # before any import of what Windows lacks
        settings, left = split_arguments(given)
        run.use(settings)
        code = _dispatch(settings, left, begun)
        sys.stdout.flush()  # what can't be written is told here, not by Python at its end
        return code
    except BuildNetError as error:
        return _fail(settings, error)
    except (KeyError, TypeError, IndexError) as error:
        from buildnet.cli.versions import unknown_answer

        told = unknown_answer(settings, error)
        if told is None:
            raise
        return fail(settings, told)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except OSError as error:
        return not_printed(error, settings)


def not_printed(error: OSError, settings: Settings | None = None) -> int:
    """Say that the system refused something, most often to take what was printed."""
    _abandon_output()
    if isinstance(error, BrokenPipeError):  # the reader of our output went away (| head)
        return 1
    return fail(
        settings or Settings(),
        BuildNetError(
            "the system refused what the command needs",
            cause=str(error),
            hint="check the permissions and the free room of what the cause names",
        ),
    )


def _fail(settings: Settings, error: BuildNetError) -> int:
    """Print ``error``, and that the node which refused is of another version if it is."""
    # Only where the client was loaded can an answer of a node have failed; before that, this
    # platform may lack what it needs.
    client = sys.modules.get("buildnet.cli.client")
    if client is not None and isinstance(error, client.AnswerError):
        from buildnet.cli.versions import RESTART, other_version

        if what := other_version(settings):
            note(settings, f"{what}; {RESTART}")
    return fail(settings, error)


def _mend_streams() -> None:
    """Print whatever the terminal's encoding, and without standard output if there is none."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _abandon_output() -> None:
    """Keep Python from telling at its end once more what a stream could not take."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _dispatch(settings: Settings, arguments: list[str], begun: Begun | None) -> int:
    if begun is not None:
        from buildnet.cli.resumed import resume

        if not begun.is_of_this_version:
            _note_other_version(settings)
        return resume(begun, settings)
    if arguments[:1] == ["build"]:
        from buildnet.cli.building import build, fast_options

        options = fast_options(arguments[1:])
        if options is not None:
            from buildnet.cli.start import ensure_node

            return build(options, settings, ensure_node(settings))
    from buildnet.cli.commands import invoke

    return invoke(arguments)


def _note_other_version(settings: Settings) -> None:
    from buildnet.cli.versions import RESTART, other_version

    if what := other_version(settings):
        note(settings, f"{what}; {RESTART}")
