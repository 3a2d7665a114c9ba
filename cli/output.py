"""Printing: data on standard output in the wanted form, errors and hints on standard error."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TextIO

    from rich.console import Console
    from rich.table import Table

    from buildnet.cli.settings import Settings
    from buildnet.mesh.errors import BuildNetError

UNKNOWN = "unknown"
_WIDE = 200
_BLOCKS_BELOW = 60
_LEAST_OF_SENTENCES = 24
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
        import json

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
    """Return rich's console on standard output: as wide as the terminal, or as ``COLUMNS`` says;
    without both, wide enough for most."""
    from rich.console import Console

    colored = settings.colored(sys.stdout.isatty(), os.environ)
    is_told = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(
        force_terminal=colored or None,
        no_color=not colored,
        highlight=False,
        emoji=False,
        soft_wrap=not sys.stdout.isatty(),
        width=None if is_told else _WIDE,
    )


class Listing:
    """Rows in BuildNet's one style, for terminals of any width: no id, name, version or other word
    is ever broken. What does not fit is left out, or each row is shown as a block of lines.

    Args:
        columns: their names; the first one says what a row is about.
        right: those that hold numbers.
        wraps: those that hold sentences or lists, which may go on in the next line.
        spare: those to do without where the terminal is narrow, the least important first.

    Cells are rich's markup: text that others have chosen must be :func:`escaped`.
    """

    def __init__(
        self,
        *columns: str,
        right: Sequence[str] = (),
        wraps: Sequence[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        self._columns = columns
        self._right = right
        self._wraps = wraps
        self._spare = spare
        self._rows: list[dict[str, str]] = []

    def add_row(self, *cells: str) -> None:
        """Add a row: a cell for each column."""
        self._rows.append(dict(zip(self._columns, cells, strict=True)))

    def print(self, console: Console) -> None:
        """Print as much as fits; on terminals below 60 columns all of it, as blocks if need be."""
        spare = list(self._spare if console.width >= _BLOCKS_BELOW else ())
        shown = list(self._columns)
        while not self._fits(console, table := self._table(shown)):
            if not spare:
                self._print_blocks(console)
                return
            shown.remove(spare.pop(0))
        console.print()
        console.print(table)
        if left_out := [column for column in self._columns if column not in shown]:
            console.print(f"… a wider terminal or --json shows: {', '.join(left_out)}", style="dim")
        console.print()

    def _fits(self, console: Console, table: Table) -> bool:
        from rich.measure import Measurement

        unbounded = console.options.update_width(1 << 16)
        return Measurement.get(console, unbounded, table).minimum <= console.width

    def _table(self, shown: Sequence[str]) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            header_style="bold",
        )
        for column in shown:
            table.add_column(
                column,
                justify="right" if column in self._right else "left",
                no_wrap=column not in self._wraps,
                min_width=self._least_width(column),
            )
        for row in self._rows:
            table.add_row(*(row[column] for column in shown))
        return table

    def _least_width(self, column: str) -> int:
        cells = [column, *(_plain(row[column]) for row in self._rows)]
        widest = max(_width(line) for cell in cells for line in cell.split("\n"))
        if column not in self._wraps:
            return widest
        return min(widest, max(_LEAST_OF_SENTENCES, *map(_longest_word, cells)))

    def _print_blocks(self, console: Console) -> None:
        first, *others = self._columns
        if not self._rows:
            print_fields(console, {first: "none"})
        for row in self._rows:
            console.print()
            console.print(row[first], style="bold", soft_wrap=True)
            print_fields(console, {name: row[name] for name in others if row[name]}, indent=2)
        console.print()


def print_fields(console: Console, fields: Mapping[str, str], *, indent: int = 0) -> None:
    """Print each value (rich's markup) beside its name, broken between words only; below its name
    where that leaves too little room."""
    from rich.text import Text

    beside = indent + 2 + max(map(_width, fields), default=0)
    for name, value in fields.items():
        text = Text.from_markup(value, emoji=False)
        longest = _longest_word(text.plain)
        start = beside if beside + longest <= console.width else indent + 2
        line = Text(" " * indent).append(name, style="bold")
        if start < beside:
            console.print(line, soft_wrap=True)
            line = Text()
        for part in text.wrap(console, max(console.width - start, longest, 1)):
            part.rstrip()
            line.pad_right(start - line.cell_len)
            console.print(line.append_text(part), soft_wrap=True)
            line = Text()


def _plain(markup: str) -> str:
    from rich.text import Text

    return Text.from_markup(markup, emoji=False).plain


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _longest_word(text: str) -> int:
    return max(map(_width, text.split()), default=0)


def escaped(text: object) -> str:
    """Return ``text`` for a table or rich's console: no part of it is taken for a style."""
    from rich.markup import escape

    return escape(printable(text))


def printable(text: object) -> str:
    """Return ``text``, which others may have chosen, without what a terminal would act on."""
    from unicodedata import category

    return "".join(
        each if each in "\n\t" or category(each)[0] != "C" else "\ufffd" for each in str(text)
    )


def on_one_line(text: object) -> str:
    """Return ``text``, such as the name of a file, without what would begin another line too."""
    return printable(text).replace("\n", "\ufffd")


def fail(settings: Settings, error: BuildNetError) -> int:
    """Print ``error`` and return the exit code."""
    if settings.format == "json":
        import json

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


def waiting(settings: Settings, text: str | None) -> None:
    """Show a person at a terminal what is waited for, in one line of standard error that the next
    call replaces; None takes it away."""
    if not settings.quiet and sys.stderr.isatty():
        print(f"\r\x1b[K{text or ''}", end="", file=sys.stderr, flush=True)


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


def benchmark_text(found: dict[str, Any] | None) -> str:
    """Return how fast a core of a host is, and how long ago that was measured."""
    if found is None:
        return "not measured yet"
    return f"{found['cpu_units']:.0f} units a core, {age_text(found['age_s'])}"


def since_text(moment: str) -> str:
    """Return how long ago a moment (ISO 8601) was, in the largest unit alone."""
    from datetime import UTC, datetime

    return age_text((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def role_text(node: Mapping[str, Any]) -> str:
    """Return what a node does: its role, that it votes (where that is told), and coordinates."""
    words = (
        str(node["role"]),
        "voter" if node.get("voter") else "",
        "coordinator" if node["coordinator"] else "",
    )
    return ", ".join(filter(None, words))


def status_text(status: str) -> str:
    """Return a node's status as a word in its colour."""
    color = {"online": "green", "busy": "yellow", "suspect": "yellow", "offline": "red"}.get(status)
    return f"[{color}]{status}[/{color}]" if color else status
