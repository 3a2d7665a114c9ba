"""The screen of one build: its tasks, and what they print."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.client.events import EventsEndedError
from buildnet.cli.dashboard import words
from buildnet.cli.dashboard.detail import Detail
from buildnet.cli.dashboard.output_view import OutputView
from buildnet.cli.dashboard.rows import Rows

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from buildnet.cli.client.shapes import BuildEvent
    from buildnet.cli.dashboard.feed import Feed
    from buildnet.cli.dashboard.screen import Screen as Shown

_AGAIN_S = 1.0
_DRAW_EVERY_S = 0.25


def node_names(shown: Shown) -> dict[str, str]:
    """Return the names of nodes by their ids."""
    return {node.id: node.name for node in shown.nodes or ()}


class BuildView(Screen[None]):
    """See the module's text. ``shown``: gives what is known of the pool; ``cancel``: asks a person,
    and the node."""

    DEFAULT_CSS = """
    BuildView { background: ansi_default; layout: vertical; overflow: hidden; }
    BuildView Static { height: 1; text-wrap: nowrap; }
    BuildView Rows { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,b", "back", show=False),
        Binding("c", "cancel", show=False),
        Binding("a", "all", show=False),
        Binding("tab,right,left,shift+tab", "app.focus_next", show=False),
    ]

    def __init__(
        self,
        feed: Feed,
        build: str,
        shown: Callable[[], Shown],
        cancel: Callable[[str, str], None],
    ) -> None:
        super().__init__()
        self._feed = feed
        self._shown = shown
        self._cancel = cancel
        self._detail = Detail(build)
        self._trouble = ""
        self._only = ""

    def compose(self) -> ComposeResult:
        """Tasks above, output below."""
        yield Static(id="build")
        yield Static(id="trouble")
        yield Rows("tasks")
        yield Static(id="whose")
        yield OutputView("output")
        yield Static(
            " Enter: output of a task   a: of all   c: cancel   Tab   Esc: back", id="foot"
        )

    def on_mount(self) -> None:
        """Begin to follow the build."""
        self.query_one("#tasks", Rows).focus()
        self.set_interval(_DRAW_EVERY_S, self.draw)
        self.run_worker(self._follow(), exit_on_error=True)
        self.draw()

    def draw(self) -> None:
        """Show how it is now."""
        detail, shown = self._detail, self._shown()
        line, names = detail.line(self.app.size.width), node_names(shown)
        row = next((each for each in shown.running or () if each.id == detail.id), None)
        if row is not None and not detail.is_over:
            line.append(f", {words.span(row.elapsed_s)}, {words.estimate(row)}")
        self.query_one("#build", Static).update(line)
        trouble = self.query_one("#trouble", Static)
        trouble.update(self._trouble, layout=False)
        trouble.display = bool(self._trouble)
        now = time.monotonic()
        self.query_one("#tasks", Rows).show(lambda width: detail.panel(width, now, names))
        whose = f"all of {self._only}" if self._only else "of all tasks that run"
        if detail.is_over and not self._only:
            whose = "Enter shows that of a task"
        self.query_one("#whose", Static).update(f" Output: {whose}")

    async def _follow(self) -> None:
        """Take in its events up to its end, wherever the connection breaks."""
        while not self._detail.is_over:
            try:
                events = cast(
                    "AsyncGenerator[BuildEvent]", self._feed.attach(self._detail.id).events()
                )
                async with aclosing(events) as told:
                    async for event in told:
                        self._trouble = ""
                        self._take(event)
            except (NodeUnreachableError, EventsEndedError) as error:
                self._trouble = f" {error.message}; trying again"
            except AnswerError as error:
                self._trouble = f" {error.message}" + (f"; {error.hint}" if error.hint else "")
                if not error.has_no_time:
                    return
            await asyncio.sleep(_AGAIN_S)

    def _take(self, event: Mapping[str, Any]) -> None:
        lines = self._detail.take(event, time.monotonic())
        if lines and not self._only:
            self.query_one("#output", OutputView).add(lines)

    async def on_rows_entered(self, message: Rows.Entered) -> None:
        """Show all that a task printed."""
        message.stop()
        name, _, task = message.key.partition("\0")
        self._only = name if task == "build" else f"{name}#{task}"
        view = self.query_one("#output", OutputView)
        try:
            text = await self._feed.attach(self._detail.id).log(name, task)
            view.show((self._only, line) for line in text.splitlines())
            if not text:
                view.show([("", "it printed nothing")])
        except (NodeUnreachableError, AnswerError) as error:
            kept = [(each, line) for each, line in self._detail.printed.lines if each == self._only]
            view.show([("", f"its whole output is not there: {error.message}"), *kept])
        self.draw()

    def action_all(self) -> None:
        """Show what all tasks print again."""
        self._only = ""
        self.query_one("#output", OutputView).show(self._detail.printed.lines)
        self.draw()

    def action_cancel(self) -> None:
        """Cancel the build, if a person says so."""
        if self._detail.is_over:
            self.notify("the build is over")
        else:
            self._cancel(self._detail.id, self._detail.workspace)

    def action_back(self) -> None:
        """Go back to where somebody came from."""
        self.dismiss()
