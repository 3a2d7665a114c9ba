"""A widget that shows a panel: its title, and as many of its rows as there is room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from buildnet.cli.dashboard.cursor import Cursor
from buildnet.cli.dashboard.panels import Panel

_EMPTY = Panel("", "", "", None, ())
_LEAST_WITH_HEAD = 4


class Rows(Widget, can_focus=True):
    """See the module's text. ``show`` is given what makes the panel for a width, so that it can be
    made again where that changes."""

    DEFAULT_CSS = "Rows { text-wrap: nowrap; height: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("enter", "enter", show=False),
    ]

    class Entered(Message):
        """Somebody wants to see more of a row."""

        def __init__(self, rows: Rows, key: str) -> None:
            super().__init__()
            self.rows = rows
            self.key = key

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._make: Callable[[int], Panel] = lambda width: _EMPTY
        self._panel = _EMPTY
        self._shown = Text()
        self._cursor = Cursor()

    @property
    def wanted(self) -> int:
        """How many lines it would take to show everything."""
        rows = len(self._panel.rows)
        return rows + 1 + (self._panel.head is not None) if rows else 1

    @property
    def key(self) -> str:
        """The key of the chosen row; "": there is none."""
        rows = self._panel.rows
        return rows[self._cursor.index].key if rows else ""

    def show(self, make: Callable[[int], Panel]) -> None:
        """Show what ``make`` gives."""
        self._make = make
        self._panel = make(self.app.size.width)
        self._draw()

    def _draw(self) -> None:
        """Draw it, if it looks different now."""
        self._cursor.follow([row.key for row in self._panel.rows], self._room())
        drawn = self._lines()
        if drawn != self._shown or drawn.spans != self._shown.spans:
            self._shown = drawn
            self.refresh()

    def render(self) -> Text:
        """Return its lines."""
        return self._shown

    def _has_head(self) -> bool:
        least = min(_LEAST_WITH_HEAD, self.wanted)
        return self._panel.head is not None and self.size.height >= least

    def _room(self) -> int:
        return max(1, self.size.height - 1 - self._has_head())

    def _lines(self) -> Text:
        panel, width = self._panel, self.size.width
        lines = [self._title(width)]
        if panel.rows and self._has_head() and panel.head is not None:
            lines.append(panel.head)
        top = self._cursor.top
        for place, row in enumerate(panel.rows[top : top + self._room()], start=top):
            line = row.line
            if self.has_focus and place == self._cursor.index:
                line = Text(line.plain, style="reverse")
                line.pad_right(max(0, width - line.cell_len))
            lines.append(line)
        return Text("\n").join(lines)

    def _title(self, width: int) -> Text:
        panel, room = self._panel, self._room()
        title = Text("▸ " if self.has_focus else "  ", style="bold", no_wrap=True)
        title.append(panel.title, style="bold reverse" if self.has_focus else "bold")
        if not panel.rows:
            title.append(f"  {panel.nothing}", style="dim")
        elif panel.note:
            title.append(f"  {panel.note}", style="dim")
        count = len(panel.rows)
        if count > room:
            top = self._cursor.top
            seen = f" {top + 1:,}–{min(count, top + room):,} of {count:,} ↕"
            title.truncate(max(0, width - len(seen)), overflow="ellipsis", pad=True)
            title.append(seen, style="dim")
        title.truncate(width, overflow="ellipsis")
        return title

    # --- keys and mouse ------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Choose a row so many further on."""
        self._cursor.move(by, [row.key for row in self._panel.rows], self._room())
        self._draw()

    def action_page(self, pages: int) -> None:
        """Choose a row so many pages further on."""
        self.action_move(pages * self._room())

    def action_enter(self) -> None:
        """Ask for more of the chosen row."""
        if self.key:
            self.post_message(self.Entered(self, self.key))

    def on_focus(self) -> None:
        """Show that it has the keys now."""
        self._draw()

    def on_blur(self) -> None:
        """Show that it has not."""
        self._draw()

    def on_resize(self) -> None:
        """Lay it out anew."""
        self.show(self._make)

    def on_click(self, event: events.Click) -> None:
        """Choose the row that was clicked; twice: ask for more of it."""
        place = self._cursor.top + event.y - 1 - self._has_head()
        if event.y > self._has_head() and place < len(self._panel.rows):
            self.action_move(place - self._cursor.index)
            if event.chain > 1:
                self.action_enter()

    def on_mouse_scroll_down(self) -> None:
        """Go on."""
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """Go back."""
        self.action_move(-1)
