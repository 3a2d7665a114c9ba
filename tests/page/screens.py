"""Take a picture of every view of the page, and of the dashboard in a terminal.

    uv run python tests/page/screens.py [--into docs/screens] [--at /tmp/ann] [NAME ...]

Three real nodes do some work first (:mod:`testbed.studio`), which takes two minutes; then the
browser of this host looks at them, in dark and in light, as wide as a desk's and as a phone's.
NAME: only these pictures. ``--at``: where nodes and workspaces stand meanwhile, for paths are seen;
nothing may be there yet. The pictures are WebP, so that docs stay small. Look at them!
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import (
    Page,
    Playwright,
    TimeoutError,
    ViewportSize,
    expect,
    sync_playwright,
)

from buildnet.cli.client.async_pool import AsyncPool
from buildnet.cli.dashboard.app import Dashboard
from buildnet.cli.dashboard.feed import Feed
from buildnet.cli.dashboard.model import Model
from testbed.studio import Studio
from testbed.visits import DESKTOP, PHONE, Visit, find_chromium, launch

_DOCS = Path(__file__).parents[2] / "docs/screens"
_QUALITY = 70
_QUIET_MS = 3_000.0
_DASHBOARD = "dashboard"
_TERMINAL = (100, 31)
_TERMINAL_PX = 1000
_PIECES = (
    r"\d+ cores of studio to CPU",
    r"\d+ cores of attic to CPU",
    r"\d+ GiB memory of attic to Memory",
    "git of .* to Tools",
    "go of .* to Tools",
)
Scheme = Literal["dark", "light"]


@dataclass(frozen=True, slots=True)
class View:
    """What a picture is of: a path, and what is done there before the picture is taken."""

    name: str
    path: str
    phone: bool = False
    height: int = DESKTOP["height"]
    before: Callable[[Page], None] | None = None


def _shape(page: Page) -> None:
    """Put pieces into the builder, unless it has some from before."""
    if page.locator(".piece").count() == 0:
        for what in _PIECES:
            page.get_by_role("button", name=re.compile(f"^Add {what}")).first.click()
        page.get_by_role("combobox", name="Workspace").select_option(label="shop")
    expect(page.get_by_role("region", name="Estimate")).to_contain_text("Confidence")
    expect(page.locator(".estimate.waits")).to_have_count(0)
    parts = page.locator(".palette, .palette *")
    parts.evaluate_all("all => { for (const each of all) each.scrollTop = 0 }")
    page.evaluate("scrollTo(0, 0)")


def _verify(page: Page) -> None:
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_role("button", name="Verify now")).to_be_enabled()


def _open_an_entry(page: Page) -> None:
    page.locator("a[href^='/ui/ledger/']").first.click()
    page.wait_for_url("**/ui/ledger/*")
    expect(page.get_by_role("heading", name=re.compile("proof", re.IGNORECASE))).to_be_visible()


def _show_graph(page: Page) -> None:
    if page.viewport_size != PHONE:
        return  # it is in sight
    page.locator(".graph-frame").evaluate("frame => frame.scrollIntoView({block: 'end'})")


def _show_log(page: Page) -> None:
    page.locator(".log-viewer").evaluate("log => log.scrollIntoView({block: 'end'})")


def _ask_for_a_build(page: Page) -> None:
    page.get_by_role("dialog").get_by_label("Workspace").wait_for()


def live(running: str) -> tuple[View, ...]:
    """Return the views that show most while something runs."""
    return (
        View("overview", "/", phone=True),
        View("queue", "/ui/queue", phone=True),
        View("build-graph", f"/ui/builds/{running}", phone=True, height=1000, before=_show_graph),
        View("builds", "/ui/builds", phone=True),
        View("access-sessions", "/ui/access?tab=sessions", phone=True),
        View("nodes", "/ui/nodes", phone=True),
    )


def settled(studio: Studio) -> tuple[View, ...]:
    """Return the views of what is over, and of what the pool has."""
    failed, tested = f"/ui/builds/{studio.failed}", f"/ui/builds/{studio.tested}"
    first, second = studio.first, studio.second
    shop = f"root={studio.shop.root}"
    return (
        View("node", "/ui/nodes/studio", phone=True),
        View("topology", "/ui/topology", phone=True),
        View("topology-matrix", "/ui/topology?tab=matrix"),
        View("build-failed", failed, phone=True),
        View("build-log", f"{failed}?tab=log", phone=True, height=960, before=_show_log),
        View("build-timeline", f"/ui/builds/{first}?tab=timeline", phone=True),
        View("build-tasks", f"{tested}?tab=tasks", phone=True),
        View("build-review", f"/ui/builds/{second}?tab=review"),
        View("build-artifacts", f"/ui/builds/{second}?tab=artifacts"),
        View("build-new", f"/ui/builds?new=1&{shop}", before=_ask_for_a_build),
        View("builds-compared", f"/ui/builds/compare?a={first}&b={second}"),
        View("builds-trends", "/ui/builds/trends?workspace=shop"),
        View("packages", f"/ui/packages?{shop}", phone=True),
        View("package", f"/ui/packages?{shop}&package=cart"),
        View("builder", "/ui/builder", phone=True, height=1640, before=_shape),
        View("builder-kept", "/ui/builder?tab=kept"),
        View("cache", "/ui/cache", phone=True),
        View("ledger", "/ui/ledger", phone=True),
        View("ledger-entry", "/ui/ledger?type=build.completed", phone=True, before=_open_an_entry),
        View("ledger-state", "/ui/ledger?tab=state&entity=config:release-build"),
        View("ledger-verification", "/ui/ledger?tab=verification", before=_verify),
        View("access-keys", "/ui/access?tab=keys", phone=True),
        View("access-people", "/ui/access?tab=people"),
        View("logs", "/ui/logs", phone=True),
        View("settings", "/ui/settings", phone=True),
    )


class Camera:
    """Takes pictures of what a visit looks at, into a directory; only those that are ``wanted``."""

    def __init__(self, visit: Visit, into: Path, wanted: Sequence[str]) -> None:
        self._visit = visit
        self._page = visit.page
        self._developed = visit.page.context.new_cdp_session(visit.page)
        self._into = into
        self._wanted = wanted

    def take(self, view: View) -> None:
        """Go to a view and keep what it looks like."""
        if self._wanted and view.name not in self._wanted:
            return
        desktop = ViewportSize(width=DESKTOP["width"], height=view.height)
        for size, viewport in (("", desktop), ("-phone", PHONE)):
            if size and not view.phone:
                continue
            self._page.set_viewport_size(viewport)
            self._page.goto(view.path)
            self._settle()
            if view.before is not None:
                view.before(self._page)
                self._settle()
            self.develop(view.name + size)

    def develop(self, name: str) -> None:
        """Keep what is seen now, in dark and in light."""
        schemes: tuple[Scheme, ...] = ("dark", "light")
        for scheme in schemes:
            self._page.emulate_media(color_scheme=scheme)
            self.keep(f"{name}-{scheme}")

    def keep(self, name: str) -> None:
        """Keep what is seen now."""
        self._visit.wait_for_pictures()
        asked = {"format": "webp", "quality": _QUALITY}
        picture = base64.b64decode(self._developed.send("Page.captureScreenshot", asked)["data"])
        (self._into / f"{name}.webp").write_bytes(picture)
        print(f"{name}: {len(picture) / 1024:.0f} KiB", flush=True)

    def _settle(self) -> None:
        if "/login" not in self._page.url:
            self._visit.wait_until_live()
        expect(self._page.locator(".skeleton")).to_have_count(0)
        with suppress(TimeoutError):  # where something runs there is always more to ask for
            self._page.wait_for_load_state("networkidle", timeout=_QUIET_MS)
        self._visit.wait_for_pictures()


def take_all(
    studio: Studio, playwright: Playwright, program: str, into: Path, wanted: Sequence[str]
) -> None:
    """Take all pictures of a pool that has :meth:`worked <testbed.studio.Studio.work>`."""
    into.mkdir(parents=True, exist_ok=True)
    first, second, _ = studio.nodes
    with launch(playwright, program) as browser:
        with Visit(browser, first) as stranger:
            Camera(stranger, into, wanted).take(View("login", "/login", phone=True))
        with (
            Visit(browser, first) as owner,
            Visit(browser, first) as ben,
            Visit(browser, second) as cara,
            Visit(browser, first) as agent,
        ):
            owner.log_in()
            ben.log_in("/ui/builds", account="ben")
            cara.log_in("/ui/queue", account="cara")
            agent.log_in_with_key(studio.keys["review-agent"])
            camera = Camera(owner, into, wanted)
            for view in settled(studio):
                camera.take(view)
            alive = {_DASHBOARD, *(view.name for view in live(""))}
            if wanted and alive.isdisjoint(wanted):
                return
            for view in live(studio.be_busy()):
                camera.take(view)
            if not wanted or _DASHBOARD in wanted:
                _take_terminal(studio, owner, into)


def _take_terminal(studio: Studio, visit: Visit, into: Path) -> None:
    """Keep what the dashboard shows; the browser makes a picture of its drawing."""
    with ThreadPoolExecutor(1) as thread:  # the browser has the loop of this one
        drawing = thread.submit(asyncio.run, _draw_terminal(studio)).result()
    visit.page.set_viewport_size({"width": _TERMINAL_PX, "height": _TERMINAL_PX})
    visit.page.goto("about:blank")
    visit.page.set_content(f"<body style='margin:0'>{drawing}</body>")
    box = visit.page.locator("svg").bounding_box()
    assert box is not None
    visit.page.set_viewport_size({"width": round(box["width"]), "height": round(box["height"])})
    Camera(visit, into, ()).keep(_DASHBOARD)


async def _draw_terminal(studio: Studio) -> str:
    """Return the dashboard's screen as SVG that loads nothing from elsewhere."""
    pool = AsyncPool(home=studio.nodes[0].home.directory)
    model = Model(time.time() - time.monotonic())
    feed = Feed(pool, lambda told: model.take(told, time.monotonic()))
    await feed.begin()
    app = Dashboard(model, feed)
    async with app.run_test(size=_TERMINAL) as pilot:
        await pilot.pause(2.0)
        drawing = app.export_screenshot(title="buildnet dashboard")
    return re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Take pictures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these pictures")
    parser.add_argument("--into", type=Path, default=_DOCS, metavar="DIR")
    parser.add_argument("--at", type=Path, default=Path("/tmp/ann"), metavar="DIR")
    asked = parser.parse_args(arguments)
    program = find_chromium()
    if program is None:
        print("there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    if asked.at.exists():
        print(f"{asked.at} is there already: remove it, or say --at", file=sys.stderr)
        return 1
    asked.at.mkdir()
    try:
        with Studio(asked.at) as studio:
            studio.work()
            with sync_playwright() as playwright:
                take_all(studio, playwright, program, asked.into, asked.names)
    finally:
        shutil.rmtree(asked.at)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
