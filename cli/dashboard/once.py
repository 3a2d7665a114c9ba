"""``buildnet dashboard --once``: one screen as text or data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from rich.text import Text

from buildnet.cli.dashboard import overview
from buildnet.cli.dashboard.feed import Feed
from buildnet.cli.dashboard.model import Model
from buildnet.cli.dashboard.panels import PanelName, panel
from buildnet.cli.dashboard.screen import Screen

if TYPE_CHECKING:
    from buildnet.cli.client.async_pool import AsyncPool

_EVENTS = 10


def look(pool: AsyncPool) -> Screen:
    """Ask a node for all of it once.

    Raises:
        AnswerError: the node refuses.
        NodeUnreachableError: none answers.
    """
    model = Model(time.time() - time.monotonic())
    feed = Feed(pool, lambda told: model.take(told, time.monotonic()))
    asyncio.run(feed.begin())
    return model.screen(time.monotonic())


def lines(screen: Screen, width: int) -> Iterator[Text]:
    """Yield the screen as lines of text, none wider than ``width``."""
    for line in _lines(screen, width):
        line.truncate(width, overflow="ellipsis")
        yield line


def _lines(screen: Screen, width: int) -> Iterator[Text]:
    yield from overview.head(screen, width)
    left, right = overview.resources(screen, width), overview.builds(screen)
    for title, note, _ in (left, right):
        if note:
            yield Text("")
            yield Text(f"{title}, {note}", style="bold")
    yield from overview.beside(left[2], right[2], width)
    for name in get_args(PanelName):
        shown = panel(name, screen, width)
        if name == "alerts" and not shown.rows:
            continue
        yield Text("")
        yield Text(f"{shown.title}{', ' if shown.note else ''}{shown.note}", style="bold")
        rows = shown.rows[:_EVENTS] if name == "events" else shown.rows
        if shown.head is not None and rows:
            yield shown.head
        yield from (row.line for row in rows)
        if not rows:
            yield Text(shown.nothing, style="dim")
