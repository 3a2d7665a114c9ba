"""A widget that shows what commands print, the latest line at the bottom."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widgets import RichLog

from buildnet.cli.dashboard.printed import MOST_LINES, line_of


class OutputView(RichLog, can_focus=True):
    """Lines of output, those that have all words of ``wanted`` alone. It goes on with what comes
    for as long as its end is in sight."""

    DEFAULT_CSS = """
    OutputView { height: 1fr; background: ansi_default; border-top: solid ansi_bright_black; }
    OutputView:focus { border-top: solid ansi_blue; }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id, max_lines=MOST_LINES, wrap=False, min_width=0, auto_scroll=True)
        self._wanted: tuple[str, ...] = ()

    def filter(self, text: str, lines: Iterable[tuple[str, str]]) -> None:
        """Show of ``lines``, and of what comes, those alone that have all words of ``text``."""
        self._wanted = tuple(text.lower().split())
        self.show(lines)

    def show(self, lines: Iterable[tuple[str, str]]) -> None:
        """Show these in place of what was there."""
        self.clear()
        self.add(lines)

    def add(self, lines: Iterable[tuple[str, str]]) -> None:
        """Show more: of each line the task, and the text."""
        for task, line in lines:
            found = f"{task} {line}".lower()
            if all(word in found for word in self._wanted):
                self.write(line_of(task, line), scroll_end=self.is_vertical_scroll_end)
