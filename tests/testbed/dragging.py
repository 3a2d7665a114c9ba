"""Dragging on a page: dnd-kit goes by the pointer's moves, so it has to be moved in steps."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

_STEPS = 12
_INSIDE_PX = 24.0
"""So far from the corner of what is dropped on."""


def take(page: Page, source: Locator, target: Locator) -> None:
    """Pick something up with the mouse and hold it over something else; :func:`drop` lets go."""
    target.evaluate("element => element.scrollIntoView({block: 'center'})")
    source.scroll_into_view_if_needed()
    x, y = _middle(source)
    page.mouse.move(x, y)
    page.mouse.down()
    box = target.bounding_box()
    assert box is not None, "what is dropped on is not shown"
    to_x, to_y = box["x"] + min(_INSIDE_PX, box["width"] / 2), box["y"] + box["height"] / 2
    page.mouse.move(to_x, to_y, steps=_STEPS)
    page.mouse.move(to_x + 1, to_y, steps=2)


def drop(page: Page) -> None:
    """Let go of what was picked up."""
    page.mouse.up()


def _middle(element: Locator) -> tuple[float, float]:
    box = element.bounding_box()
    assert box is not None, "what is dragged is not shown"
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
