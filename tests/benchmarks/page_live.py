"""How soon the page is there, how soon it shows what happens, and whether it grows.

    uv run python tests/benchmarks/page_live.py [--rounds 20] [--minutes 30] [--short] [--json FILE]

Chromium at the page of the first of three real nodes, on loopback; ``npm run build`` comes first if
the page was changed. *First view*: a browser that has nothing of the page yet opens it, logged in;
from the start of its navigation until the pool's name stands there and the events are live.
*JavaScript*: what that took, compressed, as the browser counts it. *Event*: from before a request
that writes a note into the ledger until its text stands on the screen. *Memory*: builds run and
notes come all the time, and somebody goes from view to view, a second or so in each; every half
minute, always in the same view, what is left after collecting garbage: the heap of JavaScript, the
browser's nodes of the page, also those that are in no document any more, and listeners. How much
more the last third of the time had than the first (medians).
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node
from testbed.visits import Visit, find_chromium, launch

FIRST_VIEW_MS, SCRIPTS_KB, EVENT_MS = 1_000.0, 120.0, 250.0
GROWTH_MB, GROWTH_NODES, GROWTH_LISTENERS = 2.0, 500.0, 50.0
_LOOKS_A_MINUTE, _LEAST_LOOKS = 2, 6
_VIEWS = (
    *("Nodes", "Topology", "Builds", "Packages", "Builder", "Queue"),
    *("Cache", "Ledger", "Access", "Logs", "Settings", "Overview"),
)
_NOTES_A_SECOND = 4
# Notes when a text first stands in the page; what is there already counts at once.
_WATCH = """
(text) => {
  const noted = document.documentElement.dataset;
  delete noted.seenAt;
  const look = () => {
    if (noted.seenAt === undefined && document.body.textContent.includes(text)) {
      noted.seenAt = Date.now();
    }
  };
  new MutationObserver(look).observe(document.body, {
    childList: true, characterData: true, subtree: true,
  });
  look();
}
"""
_FIRST = """
() => {
  const look = () => {
    const live = document.querySelector("[data-testid=live]")?.textContent === "live";
    const noted = document.documentElement.dataset;
    if (noted.firstView === undefined && live && document.querySelector("main h1")) {
      noted.firstView = performance.now();
    }
  };
  new MutationObserver(look).observe(document, {
    childList: true, characterData: true, subtree: true,
  });
}
"""
_SCRIPT_BYTES = """
() => performance.getEntriesByType("resource")
  .filter((each) => new URL(each.name).pathname.endsWith(".js"))
  .reduce((sum, each) => sum + each.encodedBodySize, 0)
"""


def first_views(browser: Browser, node: Node, rounds: int) -> tuple[list[float], list[float]]:
    """Return milliseconds and kilobytes of scripts of each first view."""
    took_ms, scripts_kb = [], []
    for _ in range(rounds):
        with Visit(browser, node) as visit:
            visit.log_in()
            cookies = visit.page.context.cookies()
        context = browser.new_context(base_url=node.address)
        try:
            context.add_cookies([{**one} for one in cookies])  # type: ignore[typeddict-item]
            page = context.new_page()
            page.add_init_script(f"({_FIRST})()")
            page.goto("/")
            took_ms.append(_noted(page, "first-view"))
            scripts_kb.append(float(page.evaluate(_SCRIPT_BYTES)) / 1000)
        finally:
            context.close()
    return took_ms, scripts_kb


def _noted(page: Page, name: str) -> float:
    """Wait for what a script of this program notes at the document, and return it. (The page's
    policy lets nothing wait inside of it.)"""
    noted = page.locator(f"html[data-{name}]")
    noted.wait_for(state="attached")
    return float(noted.get_attribute(f"data-{name}") or 0)


def events(visit: Visit, rounds: int) -> list[float]:
    """Return how many milliseconds each of some notes took to the screen."""
    took_ms = []
    for number in range(rounds):
        text = f"seen-{number}-{time.time_ns()}"
        visit.page.evaluate(_WATCH, text)
        began = time.time() * 1000
        visit.node.post("/api/ledger/entries", {"text": text})
        took_ms.append(_noted(visit.page, "seen-at") - began)
    return took_ms


@contextmanager
def busy(node: Node, directory: Path) -> Iterator[None]:
    """Let builds run and notes come until the context ends."""
    root = directory / "shop"
    names = ("shared", "api", "web")
    packages = "".join(
        f"  - {{name: {name}, path: {name}, build_cmd: 'cat in.txt; cp in.txt out.txt',"
        f" outputs: [{name}/out.txt]{', dependencies: [shared]' if name != 'shared' else ''}}}\n"
        for name in names
    )
    write_files(root, {"buildnet.yaml": f"workspace: shop\npackages:\n{packages}"})
    over = threading.Event()

    def build() -> None:
        number = 0
        while not over.wait(0.5):
            number += 1
            write_files(root, {f"{name}/in.txt": f"{number}\n" for name in names})
            Building(node, root).report()

    def note() -> None:
        number = 0
        while not over.wait(1 / _NOTES_A_SECOND):
            number += 1
            node.post("/api/ledger/entries", {"text": f"note {number}"})

    threads = [threading.Thread(target=each) for each in (build, note)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()


@dataclass(frozen=True, slots=True)
class Left:
    """What a page holds after its garbage was collected."""

    heap_mb: float
    nodes: float
    listeners: float


def memory(visit: Visit, minutes: float) -> list[Left]:
    """Return what the page held, over the time."""
    page = visit.page
    session = page.context.new_cdp_session(page)
    views = itertools.cycle(_VIEWS)
    found = []
    looks = max(_LEAST_LOOKS, round(minutes * _LOOKS_A_MINUTE))
    each_s = minutes * 60 / looks
    for look in range(looks):
        end = time.monotonic() + each_s
        while time.monotonic() < end or look == 0:
            view = next(views)
            page.locator(".side").get_by_role("link", name=view).click()
            page.wait_for_timeout(1000 * min(1.0, each_s / 2))
            if look == 0 and view == _VIEWS[-1]:
                break  # each was fetched once: that stays
        page.locator(".side").get_by_role("link", name="Overview").click()
        page.wait_for_timeout(100)
        session.send("HeapProfiler.collectGarbage")
        used = session.send("Runtime.getHeapUsage")
        counted = session.send("Memory.getDOMCounters")
        found.append(Left(used["usedSize"] / 1e6, counted["nodes"], counted["jsEventListeners"]))
    return found


def growth(values: list[float]) -> float:
    """Return by how much the last third of some values is above the first (medians)."""
    third = max(1, len(values) // 3)
    return statistics.median(values[-third:]) - statistics.median(values[:third])


def grown(name: str, values: list[float], unit: str, goal: float, minutes: float) -> Figure:
    """Return the figure of what may not grow; a run of seconds says nothing of that."""
    note = f"{values[0]:.4g} at first, {values[-1]:.4g} at last, {minutes:g} min"
    goal_p99 = goal if minutes >= 1 else None
    return Figure(name, (growth(values),), unit, goal_p99=goal_p99, note=note)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--short", action="store_true", help="a few rounds, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    rounds = 3 if arguments.short else arguments.rounds
    minutes = 0.1 if arguments.short else arguments.minutes
    program = find_chromium()
    if program is None:
        print("there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 0 if arguments.short else 1
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-page-") as name,
        Cluster(Path(name), 3, bare=True) as cluster,
        sync_playwright() as playwright,
        launch(playwright, program) as browser,
    ):
        node = cluster.members[0]
        took_ms, scripts_kb = first_views(browser, node, rounds)
        with Visit(browser, node) as visit:
            visit.log_in()
            delays_ms = events(visit, rounds)
            with busy(node, Path(name)):
                left = memory(visit, minutes)
            visit.require_content()
    figures = [
        Figure("first view", tuple(took_ms), "ms", goal_p99=FIRST_VIEW_MS),
        Figure("JavaScript of it, gzip", tuple(scripts_kb), "kB", goal_p99=SCRIPTS_KB),
        Figure("event on the screen", tuple(delays_ms), "ms", goal_p99=EVENT_MS),
        *(
            grown(name, [getattr(each, part) for each in left], unit, goal, minutes)
            for name, part, unit, goal in (
                ("growth of the heap", "heap_mb", "MB", GROWTH_MB),
                ("growth of the page", "nodes", "nodes", GROWTH_NODES),
                ("growth of its listeners", "listeners", "listeners", GROWTH_LISTENERS),
            )
        ),
    ]
    report("page", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
