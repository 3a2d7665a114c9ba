"""Printing: data on standard output in the wanted form, errors and hints on standard error."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from buildnet.cli.settings import Settings
from buildnet.mesh.errors import BuildNetError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

UNKNOWN = "unknown"
_STYLES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1}


class Style:
    """ANSI colours for one stream, or none."""

    def __init__(self, settings: Settings, stream: TextIO) -> None:
        self.on = settings.colored(stream.isatty(), os.environ)

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.on else text


def show(
    settings: Settings,
    data: Any,
    table: Callable[[Console], None],
    *,
    ids: Sequence[str] = (),
) -> None:
    """Print ``data`` as JSON or YAML, its ``ids`` alone with ``--quiet``, or else as a table."""
    if settings.format == "json":
        print(json.dumps(data, indent=2, ensure_ascii=False))
    elif settings.format == "yaml":
        import yaml

        print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="")
    elif settings.quiet:
        for each in ids:
            print(each)
    else:
        table(console(settings))


def console(settings: Settings) -> Console:
    """Return rich's console on standard output."""
    from rich.console import Console

    colored = settings.colored(sys.stdout.isatty(), os.environ)
    return Console(
        force_terminal=colored or None,
        no_color=not colored,
        highlight=False,
        emoji=False,
        soft_wrap=not sys.stdout.isatty(),
        width=None if sys.stdout.isatty() else 200,
    )


def new_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table in BuildNet's one style; columns named in ``right`` are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def escaped(text: object) -> str:
    """Return ``text`` for a table or rich's console: no part of it is taken for a style."""
    from rich.markup import escape

    return escape(printable(text))


def printable(text: object) -> str:
    """Return ``text``, which others may have chosen, without what a terminal would act on."""
    return "".join(
        each if each in "\n\t" or unicodedata.category(each)[0] != "C" else "\ufffd"
        for each in str(text)
    )


def fail(settings: Settings, error: BuildNetError) -> int:
    """Print ``error`` and return the exit code."""
    if settings.format == "json":
        print(json.dumps({"error": error.as_dict()}, indent=2, ensure_ascii=False))
        return error.exit_code
    style = Style(settings, sys.stderr)
    print(f"{style('red', f'error[{error.code}]:')} {printable(error.message)}", file=sys.stderr)
    if error.cause:
        print(f"{style('dim', 'cause:')} {printable(error.cause)}", file=sys.stderr)
    if error.hint:
        print(f"{style('cyan', 'hint:')} {printable(error.hint)}", file=sys.stderr)
    return error.exit_code


def note(settings: Settings, text: str) -> None:
    """Print a line for the person on standard error, unless they asked for silence."""
    if not settings.quiet:
        print(text, file=sys.stderr)


def bytes_text(count: float | None) -> str:
    """Return a size for people, in powers of 1024."""
    if count is None:
        return UNKNOWN
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration_text(milliseconds: float | None) -> str:
    """Return a duration for people."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.2f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def age_text(seconds: float | None) -> str:
    """Return how long ago something was, in the largest unit alone."""
    if seconds is None:
        return UNKNOWN
    for unit, length_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{int(seconds // length_s)} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago" if seconds >= 1 else "just now"
