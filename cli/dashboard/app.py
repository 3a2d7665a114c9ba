"""The live screen of the dashboard: widgets, keys, and what keys do. What is shown is made by the
model and the panels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.client.events import pieces_of
from buildnet.cli.dashboard import overview, words
from buildnet.cli.dashboard.build_view import BuildView, node_names
from buildnet.cli.dashboard.cursor import allot
from buildnet.cli.dashboard.dialogs import Help, Question
from buildnet.cli.dashboard.output_view import OutputView
from buildnet.cli.dashboard.panels import Panel, PanelName, panel
from buildnet.cli.dashboard.printed import Printed
from buildnet.cli.dashboard.rows import Rows
from buildnet.cli.dashboard.screen import Screen
from buildnet.mesh.errors import BuildNetError

if TYPE_CHECKING:
    from buildnet.cli.dashboard.feed import Feed
    from buildnet.cli.dashboard.model import Model

ViewName = Literal["overview", "builds", "workers", "sessions", "events", "logs"]
VIEWS: dict[ViewName, tuple[PanelName, ...]] = {
    "overview": ("alerts", "running", "queue", "sessions", "events"),
    "builds": ("running", "queue", "ended"),
    "workers": ("nodes",),
    "sessions": ("sessions",),
    "events": ("alerts", "events"),
    "logs": (),
}
"""The panels of each view, as one goes from one to the next."""
INTERRUPTED = 130
_PANELS: tuple[PanelName, ...] = (
    *("alerts", "running", "queue", "sessions", "events", "ended", "nodes"),
)
_OF_BUILDS = ("running", "queue", "ended")
_LEAST = 3
_LEAST_OF_PANELS = 4
"""Lines that all panels have together, before figures above them take any."""
_LOOK_EVERY_S = 0.05
_DRAW_EVERY_S = 1.0
_REST = 10.0
_LONGEST_REST_S = 0.1
"""Drawing again waits so many times as long as drawing took, but not so long that people see late
what happened."""
_AGAIN_S = 1.0
_KEYS = (
    " [q]Quit [b]Builds [w]Workers [s]Sessions [e]Events [l]Logs [/]Filter [?]Help",
    " [q]Quit [b]Builds [w]Workers [s]Sessions [e]Events [?]Help",
    " [q]Quit [b] [w] [s] [e] [l] [?]Help",
    " [q]Quit [?]Help",
)
"""The line of keys, for less and less room."""


class Dashboard(App[int | BuildNetError]):
    """Its result is an exit code, or what made it end. ``model``: fed by ``feed`` while it runs."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; layout: vertical; overflow: hidden; }
    #head, #summary { height: auto; text-wrap: nowrap; }
    #keys { dock: bottom; height: 1; text-wrap: nowrap; }
    #filter { dock: bottom; height: 1; border: none; padding: 0 1; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave(0)", show=False),
        Binding("ctrl+c", f"leave({INTERRUPTED})", show=False, priority=True),
        Binding("o,escape", "whole", show=False),
        Binding("b", "view('builds')", show=False),
        Binding("w", "view('workers')", show=False),
        Binding("s", "view('sessions')", show=False),
        Binding("e", "view('events')", show=False),
        Binding("l", "view('logs')", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("p", "pause", show=False),
        Binding("c", "cancel", show=False),
        Binding("d", "drain", show=False),
        Binding("r", "resume", show=False),
        Binding("slash", "filter", show=False),
        Binding("question_mark", "keys", show=False),
    ]

    def __init__(self, model: Model, feed: Feed) -> None:
        super().__init__(ansi_color=True)  # the terminal's own colours, or with NO_COLOR none
        self.theme = "ansi-dark"
        self._model = model
        self._feed = feed
        self._view: ViewName = "overview"
        self._filter = ""
        self._paused: tuple[Screen, float] | None = None
        self._drawn = (-1, 0.0, 0.0)
        self._printed = Printed()
        self._reading: object = None

    def compose(self) -> ComposeResult:
        """All panels of all views; those of other views are hidden."""
        yield Static(id="head")
        yield Static(id="summary")
        for name in _PANELS:
            yield Rows(name)
        yield OutputView("logs")
        yield Input(id="filter", placeholder="words that rows must have; Enter, or Esc: all")
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Begin to feed and to draw."""
        self.action_view("overview")
        self.set_interval(_LOOK_EVERY_S, self._look)
        self.run_worker(self._fed(), exit_on_error=True)

    async def _fed(self) -> None:
        try:
            await self._feed.run()
        except* BuildNetError as errors:
            error: BaseException = errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            assert isinstance(error, BuildNetError)
            self.exit(error)

    # --- drawing -------------------------------------------------------------------------------

    def _look(self) -> None:
        """Draw if there are news, and each second, since ages grow."""
        changes, at, took_s = self._drawn
        has_news = self._model.changes != changes
        rest_s = min(_REST * took_s, _LONGEST_REST_S) if has_news else _DRAW_EVERY_S
        if time.monotonic() - at >= rest_s:
            self.draw()

    def on_resize(self) -> None:
        """Lay it out anew."""
        self.draw()

    @property
    def shown(self) -> Screen:
        """What is to be seen now."""
        if self._paused is not None:
            return self._paused[0]
        return self._model.screen(time.monotonic())

    def draw(self) -> None:
        """Show how everything is now."""
        changes, now = self._model.changes, time.monotonic()
        screen, width = self.shown, self.size.width
        head = overview.head(screen, width, said=self._said(now))
        summary = self._summary(screen, width)
        if self.size.height < len(head) + len(summary) + 1 + _LEAST_OF_PANELS:
            summary = []
        base = self.screen_stack[0]
        base.query_one("#head", Static).update(Text("\n").join(head))
        keys = next((each for each in _KEYS if len(each) <= width), _KEYS[-1])
        base.query_one("#keys", Static).update(Text(keys, style="dim"), layout=False)
        about = base.query_one("#summary", Static)
        about.update(Text("\n").join(summary))
        about.display = bool(summary)
        shown = []
        for name in VIEWS[self._view]:
            rows = base.query_one(f"#{name}", Rows)
            rows.show(partial(self._panel, name, screen))
            rows.display = name != "alerts" or bool(screen.alerts)
            if rows.display:
                shown.append(rows)
        room = self.size.height - len(head) - len(summary) - 1
        heights = allot(room, [rows.wanted for rows in shown], _LEAST)
        for rows, height in zip(shown, heights, strict=True):
            rows.styles.height = height
        self._drawn = changes, now, time.monotonic() - now

    def _panel(self, name: PanelName, screen: Screen, width: int) -> Panel:
        return panel(name, screen, width).filtered(self._filter)

    def _summary(self, screen: Screen, width: int) -> list[Text]:
        if self._view != "overview":
            return []
        columns = []
        for title, note, lines in (overview.resources(screen, width), overview.builds(screen)):
            head = Text(f"  {title}", style="bold").append(f"  {note}", style="dim")
            columns.append([head, *lines])
        return overview.beside(columns[0], columns[1], width)

    def _said(self, now: float) -> str:
        said = []
        if self._paused is not None:
            said.append(f"PAUSED, as of {words.ago(now - self._paused[1])} (p: live)")
        if self._filter:
            said.append(f"only what has {self._filter!r} (Esc: all)")
        return "; ".join(said)

    # --- views ---------------------------------------------------------------------------------

    def action_view(self, view: ViewName) -> None:
        """Go to a view."""
        self._view = view
        base = self.screen_stack[0]
        for name in _PANELS:
            base.query_one(f"#{name}", Rows).display = name in VIEWS[view]
        logs = base.query_one("#logs", OutputView)
        logs.display = view == "logs"
        if view == "logs":
            base.set_focus(logs)
            if self._reading is None:
                self._reading = self.run_worker(self._read_output(), exit_on_error=True)
        else:
            first = next(name for name in VIEWS[view] if name != "alerts")
            base.set_focus(base.query_one(f"#{first}", Rows))  # at once: keys may follow
        self.draw()

    def action_whole(self) -> None:
        """Show all rows again, or else the overview."""
        if self.query_one("#filter", Input).display:
            self._set_filter("")
            self._close_filter()
        elif self._filter:
            self._set_filter("")
        else:
            self.action_view("overview")

    def action_pause(self) -> None:
        """Let what is shown stand still, or go on."""
        self._paused = None if self._paused else (self.shown, time.monotonic())
        self.draw()

    def action_keys(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_leave(self, code: int) -> None:
        """End."""
        self.exit(code)

    # --- filter --------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for words that rows must have."""
        field = self.query_one("#filter", Input)
        field.value = self._filter
        field.display = True
        self.screen.set_focus(field)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what has the words so far."""
        if event.input.display:
            self._set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Leave it at these words."""
        self._close_filter()

    def _set_filter(self, text: str) -> None:
        self._filter = text.strip()
        self.query_one("#logs", OutputView).filter(self._filter, self._printed.lines)
        self.draw()

    def _close_filter(self) -> None:
        self.query_one("#filter", Input).display = False
        view = self._view
        self.screen.set_focus(self.query_one("#logs" if view == "logs" else f"#{VIEWS[view][-1]}"))

    # --- output --------------------------------------------------------------------------------

    async def _read_output(self) -> None:
        """Show what commands of all builds that run printed so far, and what they print."""
        view = self.screen_stack[0].query_one("#logs", OutputView)
        self._printed.note("what commands print:")
        view.show(self._printed.lines)
        so_far = True
        while True:
            try:
                async with aclosing(self._feed.output()) as events:
                    async for event in events:
                        pieces = pieces_of(event, so_far=so_far)
                        so_far = so_far and event["type"] != "snapshot"
                        for piece in pieces:
                            lines = self._printed.take(piece, with_build=piece["build_id"][:6])
                            if self._paused is None:
                                view.add(lines)
            except (NodeUnreachableError, AnswerError) as error:
                if isinstance(error, AnswerError) and not error.has_no_time:
                    self._printed.note(f"nothing is told: {error.message}")
                    view.show(self._printed.lines)
                    return
            await asyncio.sleep(_AGAIN_S)

    # --- builds and nodes ----------------------------------------------------------------------

    def on_rows_entered(self, message: Rows.Entered) -> None:
        """Show a build."""
        if message.rows.id in _OF_BUILDS:
            self.push_screen(BuildView(self._feed, message.key, self._seen, self.ask_to_cancel))

    def _seen(self) -> Screen:
        return self.shown

    def _chosen(self, *panels: str) -> str:
        """Return the key of the chosen row, if one of these panels has the keys."""
        focused = self.focused
        return focused.key if isinstance(focused, Rows) and focused.id in panels else ""

    def action_cancel(self) -> None:
        """Cancel the chosen build."""
        build = self._chosen("running", "queue")
        if not build:
            self.notify("choose a build that runs or waits first: b, then the arrow keys")
            return
        running, queue = self.shown.running or (), self.shown.queue or ()
        names = {row.id: row.workspace for row in running}
        names |= {row.id: row.workspace for row in queue}
        if build in names:
            self.ask_to_cancel(build, names[build])
        else:
            self.notify("that build is over already")

    def ask_to_cancel(self, build: str, workspace: str) -> None:
        """Ask whether to cancel a build, and do so."""
        self._ask(
            f"Cancel build {build} of {workspace}?",
            lambda: self._feed.cancel(build),
        )

    def action_drain(self) -> None:
        """Drain the chosen node."""
        self._with_node("Let {} take no new work of others?", self._feed.drain)

    def action_resume(self) -> None:
        """Let the chosen node take work again."""
        self._with_node("Let {} take work of others again?", self._feed.resume)

    def _with_node(self, question: str, do: Callable[[str], Awaitable[str]]) -> None:
        node = self._chosen("nodes")
        if not node:
            self.notify("choose a node first: w, then the arrow keys")
            return
        names = node_names(self.shown)
        self._ask(question.format(names.get(node, node)), lambda: do(node))

    def _ask(self, question: str, do: Callable[[], Awaitable[str]]) -> None:
        """Ask, do it, and tell what became of it."""

        async def done() -> None:
            try:
                self.notify(await do(), markup=False)
            except BuildNetError as error:
                told = f"{error.message}\n{error.hint or ''}".strip()
                self.notify(told, title=error.code, severity="error", markup=False)

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(done(), exit_on_error=True)

        self.push_screen(Question(question), answered)
