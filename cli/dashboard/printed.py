"""What commands print, as lines that a terminal can be trusted with: colours stay, the rest of what
speaks to a terminal goes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from buildnet.cli.build_report import task_name
from buildnet.cli.output import printable

MOST_LINES = 2000
_MOST_OF_A_LINE = 4096
_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
_ESCAPE = re.compile(r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|\[[0-?]*[ -/]*[@-~]?|[@-Z\\-_]?)")


def shown(line: str) -> Text:
    """Return a line as it is shown."""
    kept = _ESCAPE.sub(lambda found: found[0] if _COLOR.fullmatch(found[0]) else "", line)
    text = Text.from_ansi(kept.rstrip("\r\n").rpartition("\r")[2].expandtabs(8))
    text.plain = printable(text.plain)
    text.no_wrap = True
    return text


class Printed:
    """The latest lines that commands printed, put together of pieces."""

    def __init__(self) -> None:
        self.lines: deque[tuple[str, str]] = deque(maxlen=MOST_LINES)
        self._begun: dict[tuple[str, str], str] = {}

    def take(self, data: Mapping[str, Any], *, with_build: str = "") -> list[tuple[str, str]]:
        """Take in a piece (``build_id``, ``name``, ``task``, ``text``); return what lines it ends:
        of which task, and the text. ``with_build``: goes before the task's name."""
        task = task_name(dict(data))
        task = f"{with_build} {task}" if with_build else task
        key = str(data.get("build_id", "")), task
        *lines, rest = (self._begun.pop(key, "") + str(data["text"])).split("\n")
        if len(rest) > _MOST_OF_A_LINE:
            lines, rest = [*lines, rest], ""
        if rest:
            self._begun[key] = rest
        ended = [(task, line[:_MOST_OF_A_LINE]) for line in lines]
        self.lines.extend(ended)
        return ended

    def note(self, text: str) -> None:
        """Add a line that no command printed."""
        self.lines.append(("", text))


def line_of(task: str, line: str) -> Text:
    """Return a line with the task whose command printed it."""
    if not task:
        return Text(printable(line), style="dim", no_wrap=True)
    return Text(f"{printable(task)} │ ", style="cyan", no_wrap=True).append_text(shown(line))
