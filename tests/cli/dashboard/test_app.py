"""The live screen: what keys do, on a terminal that is none, with a feed that is made up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from tests.cli.dashboard.told_values import (
    WHOLE_QUEUE,
    build,
    event,
    node,
    queued,
    resources,
    told_now,
)
from textual.filter import NoColor
from textual.pilot import Pilot
from textual.widgets import Input, Static

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.client.events import EventsEndedError
from buildnet.cli.dashboard.app import Dashboard
from buildnet.cli.dashboard.build_view import BuildView
from buildnet.cli.dashboard.dialogs import Help, Question
from buildnet.cli.dashboard.model import Model
from buildnet.cli.dashboard.output_view import OutputView
from buildnet.cli.dashboard.rows import Rows
from buildnet.cli.dashboard.told import Failed, Happened

PATIENCE_S = 60.0
OUTPUT = {"type": "task_output", "name": "api", "task": "build", "text": "compiling\n"}


class FakeBuild:
    def __init__(self, *events: dict[str, Any]) -> None:
        self._events = events

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        for each in self._events:
            yield each
        await asyncio.Event().wait()

    async def log(self, name: str, task: str) -> str:
        if name == "elsewhere":
            raise AnswerError({"detail": "not here"})
        return f"all of {name}\n"


class FakeFeed:
    """Feeds nothing by itself; remembers what keys asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.ended: asyncio.Future[None] | None = None
        self.events: list[dict[str, Any]] = []
        self.printed: asyncio.Queue[dict[str, Any]] | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self.ended = asyncio.get_running_loop().create_future()
            group.create_task(self._wait(self.ended))

    async def _wait(self, ended: asyncio.Future[None]) -> None:
        await ended

    async def _done(self, what: str, which: str) -> str:
        self.asked.append((what, which))
        if self.error is not None:
            raise self.error
        return f"{what} of {which}"

    async def cancel(self, build: str) -> str:
        return await self._done("cancel", build)

    async def drain(self, node: str) -> str:
        return await self._done("drain", node)

    async def resume(self, node: str) -> str:
        return await self._done("resume", node)

    def attach(self, build: str) -> FakeBuild:
        return FakeBuild(*self.events)

    async def output(self) -> AsyncIterator[dict[str, Any]]:
        self.printed = asyncio.Queue()
        while True:
            yield {"type": "build_output", "data": {"build_id": "b1", **await self.printed.get()}}


class Screen:
    """The screen while a test presses keys."""

    def __init__(self, app: Dashboard, pilot: Pilot[Any], feed: FakeFeed) -> None:
        self.app, self.pilot, self.feed = app, pilot, feed

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    def text(self) -> str:
        """All that is to be seen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips[: self.app.size.height])

    async def until(self, is_it: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_it():
                await self.pilot.pause(0.01)

    def has_keys(self) -> str | None:
        focused = self.app.focused
        return None if focused is None else focused.id


Play = Callable[[Screen], Coroutine[Any, Any, None]]


def play(
    what: Play, model: Model | None = None, size: tuple[int, int] = (80, 24)
) -> tuple[Dashboard, FakeFeed]:
    feed = FakeFeed()
    app = Dashboard(model or told_now(), feed)  # type: ignore[arg-type]

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await what(Screen(app, pilot, feed))

    asyncio.run(run())
    return app, feed


def test_the_overview_fits_a_small_terminal() -> None:
    seen: list[str] = []

    async def look(screen: Screen) -> None:
        seen.extend(screen.text().splitlines())

    play(look)
    text = "\n".join(seen)
    assert seen[0].startswith(" BUILDNET CLUSTER: studio")
    assert "Status: HEALTHY" in seen[0]
    for words in (
        *("Coordinator: node1, term 4, with a quorum", "3/3 active", "3/12 cores (25%), 50% busy"),
        *("6.0/24.0 GiB (25%)", "2.0/10.0 GiB, 75% hits", "1; in progress: 1", "1 (last hour)"),
        *("███░░░░░░░░░ 3/12", "b2", "anna", "watches", "Build failed: build b8", "[?]Help"),
    ):
        assert words in text
    assert len(seen) == 24


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_long_names_leave_room_for_what_else_is_told_at_any_width(width: int) -> None:
    long = "a-name-of-a-hundred-characters-" + "x" * 69
    nodes = [node(1, name=f"{long}-one"), node(2, name=f"{long}-two", status="suspect")]
    model = told_now(nodes=nodes, builds=[build("b1", workspace=f"{long}-shop", node=long)])
    seen: list[str] = []

    async def look(screen: Screen) -> None:
        seen.extend(screen.text().splitlines())
        await screen.press("w")
        seen.extend(screen.text().splitlines())

    play(look, model, (width, 30))
    assert len(seen) == 60
    assert "▇" not in "".join(seen)  # no bar to scroll with
    assert seen[[line[:9] for line in seen].index(" Workers:") + 1].startswith(" CPU:")
    for words in (
        *("Status: HEALTHY", "Version: 0.2.0", "Coordinator: node1", "1/4 cores (25%)"),
        *("in progress: 1", "-shop", "3/12", "[?]Help"),
    ):
        assert any(words in line for line in seen)
    (two,) = (line for line in seen if "suspect" in line)
    assert "-two" in two


def test_where_not_even_the_head_has_room_nothing_scrolls_as_a_whole() -> None:
    seen: list[str] = []

    async def look(screen: Screen) -> None:
        seen.extend(screen.text().splitlines())

    play(look, size=(40, 4))
    assert seen[0] == f"{' BUILDNET CLUSTER: studio':<40}"
    assert not set("▁▂▃▄▅▆▇█") & set("".join(seen))


def test_in_a_low_terminal_panels_come_before_figures() -> None:
    seen: list[str] = []

    async def look(screen: Screen) -> None:
        seen.extend(screen.text().splitlines())

    play(look, size=(40, 12))
    text = "\n".join(seen)
    assert "Running builds (1)" in text
    assert "3/12" in text
    assert "Workers:" not in text


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60)])
def test_a_hundred_nodes_and_builds_have_room_in_any_terminal(size: tuple[int, int]) -> None:
    builds = [build(f"b{each}") for each in range(100)]
    model = told_now(100, builds=builds, queue=[WHOLE_QUEUE])
    seen: list[str] = []

    async def look(screen: Screen) -> None:
        seen.append(screen.text())
        await screen.press("w", "end")
        seen.append(screen.text())

    play(look, model, size)
    assert "100" in seen[0]
    assert "node100" in seen[1]  # the last by name and number
    assert "of 100 ↕" in seen[1]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("b", ["Running builds (1)", "Queue (1)", "Ended in the last hour (2)"]),
        ("w", ["Nodes (3)", "node3", "2.0/8.0 GiB", "worker, coordinator"]),
        ("s", ["Active sessions (1)", "anna"]),
        ("e", ["Recent events", "Build failed: build b8"]),
        ("l", ["what commands print:"]),
    ],
)
def test_each_view_has_its_key_and_escape_leads_back(key: str, words: list[str]) -> None:
    seen: list[str] = []

    async def look(screen: Screen) -> None:
        await screen.press(key)
        seen.append(screen.text())
        await screen.press("escape")
        seen.append(screen.text())

    play(look)
    assert all(each in seen[0] for each in words)
    assert "Resources" not in seen[0]
    assert "Resources" in seen[1]


def test_tab_and_arrows_go_from_panel_to_panel_and_from_row_to_row() -> None:
    found: list[str | None] = []

    async def go(screen: Screen) -> None:
        for key in ("tab", "right", "tab", "tab", "left", "shift+tab"):
            found.append(screen.has_keys())
            await screen.press(key)
        await screen.press("w", "down", "j", "up")
        rows = screen.app.query_one("#nodes", Rows)
        found.append(rows.key)

    play(go)
    assert found == ["running", "queue", "sessions", "events", "running", "events", f"{2:016x}"]


def test_what_is_told_is_on_the_screen_soon() -> None:
    model = told_now()

    async def go(screen: Screen) -> None:
        await screen.pilot.pause()
        assert "░ 3/12" in screen.text()
        model.take(Happened(event("builds", time.time(), id="b1", done=11)), time.monotonic())
        await screen.until(lambda: "░ 3/12" not in screen.text())
        assert "░ 11/12" in screen.text()

    play(go, model)


def test_while_paused_what_is_shown_stands_still() -> None:
    model = told_now()

    async def go(screen: Screen) -> None:
        await screen.press("p")
        assert "PAUSED" in screen.text()
        model.take(Happened(event("builds", time.time(), id="b1", done=11)), time.monotonic())
        screen.app.draw()
        await screen.pilot.pause()
        assert "░ 3/12" in screen.text()
        await screen.press("p")
        assert "░ 11/12" in screen.text()
        assert "PAUSED" not in screen.text()

    play(go, model)


def test_a_filter_leaves_rows_with_its_words() -> None:
    async def go(screen: Screen) -> None:
        await screen.press("w", "slash", *"node2")
        await screen.press("enter")
        assert screen.has_keys() == "nodes"
        assert screen.app.query_one("#nodes", Rows).key == f"{2:016x}"
        assert "only what has 'node2'" in screen.text()
        assert "node3" not in screen.text()
        await screen.press("escape")
        assert "node3" in screen.text()
        assert "Nodes (3)" in screen.text()  # the first Escape takes the filter, not the view
        await screen.press("slash", "x", "escape")
        assert not screen.app.query_one("#filter", Input).display
        assert "only what" not in screen.text()
        assert "Nodes (3)" in screen.text()

    play(go)


def test_help_names_the_keys() -> None:
    async def go(screen: Screen) -> None:
        await screen.press("question_mark")
        assert isinstance(screen.app.screen, Help)
        text = screen.text()
        for key in ("q, Ctrl-C", "cancel the chosen build", "drain the chosen node", "pause", "/"):
            assert key in text
        await screen.press("q")
        assert not isinstance(screen.app.screen, Help)
        assert screen.app.is_running

    play(go)


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130)])
def test_two_keys_quit(key: str, code: int) -> None:
    async def go(screen: Screen) -> None:
        await screen.press(key)

    app, _ = play(go)
    assert app.return_value == code


def test_a_build_is_cancelled_once_that_was_said() -> None:
    async def go(screen: Screen) -> None:
        await screen.press("c")
        assert isinstance(screen.app.screen, Question)
        assert "Cancel build b1 of shop?" in screen.text()
        await screen.press("n")
        assert screen.feed.asked == []
        await screen.press("tab", "c", "y")
        await screen.until(lambda: "cancel of b2" in screen.text())

    _, feed = play(go)
    assert feed.asked == [("cancel", "b2")]


def test_a_build_that_ended_since_it_was_drawn_is_not_cancelled() -> None:
    async def go(screen: Screen) -> None:
        for gone in (event("builds", id="b1", gone=True), event("queue", id="b1", gone=True)):
            screen.app._model.take(Happened(gone), time.monotonic())
        screen.app.action_cancel()
        await screen.until(lambda: "over already" in screen.text())

    _, feed = play(go)
    assert feed.asked == []


@pytest.mark.parametrize(("key", "what"), [("d", "drain"), ("r", "resume")])
def test_a_node_is_drained_and_resumed_once_that_was_said(key: str, what: str) -> None:
    async def go(screen: Screen) -> None:
        await screen.press("w", "down", key)
        assert "Let node2 take " in screen.text()
        await screen.press("y")
        await screen.until(lambda: screen.feed.asked)

    _, feed = play(go)
    assert feed.asked == [(what, f"{2:016x}")]


def test_without_a_choice_it_is_said_how_to_choose() -> None:
    async def go(screen: Screen) -> None:
        await screen.press("d")
        await screen.until(lambda: "choose a node first" in screen.text())
        await screen.press("w", "c")
        await screen.until(lambda: "choose a build that" in screen.text())

    _, feed = play(go)
    assert feed.asked == []


def test_what_a_node_refuses_is_told_with_what_to_do() -> None:
    async def go(screen: Screen) -> None:
        problem = {"detail": "only admins may", "code": "NOT_ALLOWED", "hint": "ask [an] admin"}
        screen.feed.error = AnswerError(problem)
        await screen.press("c", "y")
        await screen.until(lambda: "ask [an] admin" in screen.text())
        assert "NOT_ALLOWED" in screen.text()
        assert screen.app.is_running

    play(go)


def test_enter_shows_a_build_with_its_tasks_and_output() -> None:
    async def go(screen: Screen) -> None:
        task = {"name": "api", "task": "build"}
        done = {"name": "elsewhere", "task": "test", "status": "failed", "duration_ms": 20.0}
        screen.feed.events = [
            {"type": "build_started", "workspace": "shop", "tasks": 12},
            {"type": "task_started", **task},
            {"type": "task_finished", "node": f"{2:016x}", **done},
            OUTPUT,
        ]
        await screen.press("enter")
        await screen.until(lambda: "api │ compiling" in screen.text())
        await screen.until(lambda: " Build b1 of shop: running, 1/12 tasks, " in screen.text())
        assert "about " in screen.text()
        assert "node2" in screen.text()
        await screen.press("enter")
        await screen.until(lambda: "api │ all of api" in screen.text())
        await screen.press("down", "enter")
        await screen.until(lambda: "its whole output is not there: not here" in screen.text())
        await screen.press("a")
        await screen.until(lambda: "api │ compiling" in screen.text())
        await screen.press("c", "y")
        await screen.until(lambda: screen.feed.asked == [("cancel", "b1")])
        await screen.press("escape")
        assert not isinstance(screen.app.screen, BuildView)

    play(go)


def test_a_build_that_can_not_be_seen_is_told_so() -> None:
    async def go(screen: Screen) -> None:
        class Gone(FakeBuild):
            async def events(self) -> AsyncIterator[dict[str, Any]]:
                raise AnswerError({"detail": "no build b8", "hint": "ask node2", "status": 404})
                yield {}

        screen.feed.attach = lambda build: Gone()  # type: ignore[method-assign]
        await screen.press("b", "tab", "tab", "enter")
        await screen.until(lambda: "no build b8" in screen.text())
        assert "no build b8; ask node2" in screen.text()

    play(go)


def test_output_of_all_builds_is_shown_as_it_comes() -> None:
    async def go(screen: Screen) -> None:
        await screen.press("l")
        await screen.until(lambda: screen.feed.printed is not None)
        assert screen.feed.printed is not None
        for text in ("first\n", "second\n"):
            screen.feed.printed.put_nowait({"name": "api", "task": "build", "text": text})
        await screen.until(lambda: "b1 api │ second" in screen.text())
        await screen.press("slash", *"first", "enter")
        assert "second" not in screen.text()
        assert "b1 api │ first" in screen.text()
        await screen.press("escape")
        assert "second" in screen.text()

    play(go)


def test_a_lost_connection_is_said_and_the_rest_stays() -> None:
    model = told_now()

    async def go(screen: Screen) -> None:
        model.take(Failed("events", NodeUnreachableError("the node hung up")), time.monotonic())
        await screen.until(lambda: "CONNECTION LOST: the node hung up" in screen.text())
        assert "Status: UNKNOWN" in screen.text()
        assert "░ 3/12" in screen.text()

    play(go, model)


def test_alerts_have_a_place_while_there_are_some() -> None:
    paused = {**WHOLE_QUEUE, "paused": True, "paused_by": "ann"}
    model = told_now(queue=[paused, queued("b2", 1)])

    async def go(screen: Screen) -> None:
        assert "! the queue is paused by ann" in screen.text()
        model.take(Happened(event("queue", time.time(), **WHOLE_QUEUE)), time.monotonic())
        await screen.until(lambda: "Alerts" not in screen.text())

    play(go, model)


def test_it_ends_with_the_credential() -> None:
    error = EventsEndedError("the key was revoked")

    async def go(screen: Screen) -> None:
        await screen.until(lambda: screen.feed.ended is not None)
        assert screen.feed.ended is not None
        screen.feed.ended.set_exception(error)
        await screen.until(lambda: not screen.app.is_running)

    app, _ = play(go)
    assert app.return_value is error


def test_without_colours_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Dashboard(told_now(), FakeFeed())  # type: ignore[arg-type]
    assert any(isinstance(each, NoColor) for each in app._filters)


def test_widgets_are_those_of_the_views() -> None:
    async def go(screen: Screen) -> None:
        assert screen.app.query_one("#keys", Static)
        assert not screen.app.query_one("#logs", OutputView).display
        assert {rows.id for rows in screen.app.query(Rows) if rows.display} == {
            *("running", "queue", "sessions", "events"),
        }

    play(go, told_now(nodes=[node(1)], resources=[resources(1)]))
