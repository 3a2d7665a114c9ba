"""How quickly the page answers whoever uses it, in a real browser in front of a real node.

    uv run python tests/benchmarks/page.py [--packages 1000] [--nodes 100] [--short] [--json FILE]

*First view*: from the request to the head of the overview, at first with an empty cache.
*Initial JavaScript*: the page's entry, compressed; views are fetched as they are looked at. Then a
build of so many packages is looked at, which the node really ran; so that it was built by so many
nodes, their names are put into the record on its way to the browser. *Interactions* are as browsers
measure them (Event Timing): from the input to the next picture, real clicks and keys. *Frames* are
those while the wheel zooms and the mouse drags: the time from one to the next. The node and the
browser share the host's cores, and the browser draws without a graphics card.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, Route, expect, sync_playwright

from buildnet.cli.testing import write_files
from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node
from testbed.visits import Visit, find_chromium, launch

FIRST_VIEW_MS, INITIAL_KB, INTERACTION_MS, FRAME_MS = 1000.0, 120.0, 100.0, 1000 / 30
_OBSERVE = """() => {
  window.interactions = new Map();
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) {
      if (!each.interactionId) continue;
      const before = window.interactions.get(each.interactionId) ?? 0;
      window.interactions.set(each.interactionId, Math.max(before, each.duration));
    }
  }).observe({ type: "event", durationThreshold: 16, buffered: false });
}"""
_FRAMES = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const next = (now) => {
    window.frames_ms.push(now - last);
    last = now;
    window.frame = requestAnimationFrame(next);
  };
  window.frame = requestAnimationFrame(next);
}"""
_SETTLED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"


def workspace(root: Path, packages: int) -> Path:
    """Write a workspace of packages in directories of fifty, each of which needs up to three of
    those before it."""
    lines, files = [f"workspace: monorepo{packages}", "packages:"], {}
    for number in range(packages):
        path = f"packages/area{number // 50}/package{number}"
        needs = {(number * 7919 + turn * 104_729) % number for turn in range(number % 4) if number}
        names = ", ".join(f"package{each}" for each in sorted(needs))
        lines.append(
            f"  - {{name: package{number}, path: {path}, dependencies: [{names}], "
            f"build_cmd: cp in.txt out.txt, outputs: [{path}/out.txt]}}"
        )
        files[f"{path}/in.txt"] = f"{number}\n"
    write_files(root, {**files, "buildnet.yaml": "\n".join(lines) + "\n"})
    return root


def built(node: Node, root: Path) -> str:
    """Build a workspace and return the build's id."""
    body = {"root": str(root), "environment": {"PATH": os.environ["PATH"]}}
    build = str(node.post("/api/build", body)["build_id"])
    while (status := node.get(f"/api/build/{build}")["status"]) == "running":
        time.sleep(0.2)
    assert status == "succeeded", status
    return build


def first_view(visit: Visit) -> tuple[float, float]:
    """Return after how many milliseconds the overview shows something, and how many kilobytes of
    scripts that fetched."""
    page = visit.page
    began = time.monotonic()
    page.goto("/")
    expect(page.locator("main h1")).to_be_visible()
    took_ms = (time.monotonic() - began) * 1000
    entry = page.evaluate(
        """() => performance.getEntriesByType("resource")
             .filter((each) => /assets\\/index-.*\\.js$/.test(each.name))
             .reduce((sum, each) => sum + each.encodedBodySize, 0)"""
    )
    return took_ms, entry / 1024


@contextmanager
def many_nodes(page: Page, build: str, nodes: int) -> Iterator[None]:
    """Tell the browser meanwhile that so many nodes ran the tasks of a build in turn."""

    def spread(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        for number, each in enumerate(told["packages"]):
            each["node"], each["node_name"] = f"{number % nodes:016x}", f"node{number % nodes}"
        route.fulfill(response=answer, json=told)

    pattern = f"**/api/build/{build}"
    page.route(pattern, spread)
    yield
    page.unroute(pattern)


def interactions(page: Page, act: Callable[[], None], times: int) -> tuple[float, ...]:
    """Return how long the slowest interaction of each turn took; what is quicker than the browser
    tells (16 ms) counts as that."""
    found = []
    for _ in range(times):
        page.evaluate("() => window.interactions.clear()")
        act()
        page.evaluate(_SETTLED)
        page.wait_for_timeout(60)
        found.append(float(page.evaluate("() => Math.max(16, ...window.interactions.values())")))
    return tuple(found)


def frames(page: Page, move: Callable[[], None]) -> tuple[float, ...]:
    """Return the milliseconds between pictures while something moves."""
    page.evaluate(_FRAMES)
    move()
    told = page.evaluate("() => { cancelAnimationFrame(window.frame); return window.frames_ms; }")
    return tuple(float(each) for each in told[1:])


def zooming(page: Page, selector: str, turns: int, key: str | None = None) -> Callable[[], None]:
    """Return what zooms in and out at the middle of an element."""

    def zoom() -> None:
        box = page.locator(selector).bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + min(box["height"], 400) / 2)
        if key is not None:
            page.keyboard.down(key)
        for turn in range(turns):
            page.mouse.wheel(0, -60 if turn % 60 < 30 else 60)
        if key is not None:
            page.keyboard.up(key)

    return zoom


def dragging(page: Page, selector: str, steps: int) -> Callable[[], None]:
    """Return what drags an element's content to and fro."""

    def drag() -> None:
        box = page.locator(selector).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + min(box["height"], 400) / 2
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(steps):
            page.mouse.move(x + 200 * ((step % 20) / 20 - 0.5), y + 60 * ((step % 10) / 10 - 0.5))
        page.mouse.up()

    return drag


def moved(name: str, page: Page, move: Callable[[], None]) -> Figure:
    """Return the figure of frames: the goal is thirty a second, most of the time."""
    values = frames(page, move)
    rate = 1000 * len(values) / sum(values)
    return Figure(name, values, "ms", FRAME_MS, None, note=f"{rate:.0f} frames a second")


def answered(name: str, page: Page, act: Callable[[], None], times: int) -> Figure:
    """Return the figure of interactions."""
    return Figure(name, interactions(page, act, times), "ms", None, INTERACTION_MS)


def graph(page: Page, build: str, turns: int) -> list[Figure]:
    """Measure the graph of a build."""
    began = time.monotonic()
    page.goto(f"/ui/builds/{build}?tab=graph")
    expect(page.locator(".graph-edges")).to_be_visible(timeout=60_000)
    laid_out = (time.monotonic() - began) * 1000
    page.wait_for_timeout(500)
    page.evaluate(_OBSERVE)
    frame = ".react-flow"
    found = [
        Figure("graph: from the address to the drawing", (laid_out,), "ms"),
        moved("graph: frames while zooming", page, zooming(page, frame, turns * 15)),
        moved("graph: frames while dragging", page, dragging(page, frame, turns * 10)),
    ]
    page.get_by_role("button", name="fit view").click()
    page.wait_for_timeout(300)
    box = page.locator(frame).bounding_box()
    assert box is not None
    turn = itertools.count()

    def choose() -> None:
        place = next(turn) % 20 / 20
        page.mouse.click(
            box["x"] + box["width"] * (0.3 + 0.3 * place),
            box["y"] + box["height"] * (0.6 - 0.2 * place),
        )

    def search() -> None:
        page.get_by_label("Find a package").press_sequentially("7")

    found.append(answered("graph: a package is chosen from afar", page, choose, turns))
    found.append(answered("graph: a letter of a search", page, search, 3))
    page.get_by_label("Find a package").fill("")
    zooming(page, frame, 25)()
    page.wait_for_timeout(500)
    found.append(answered("graph: a package is chosen from near", page, choose, turns))
    return found


def lists(page: Page, turns: int) -> list[Figure]:
    """Measure what shows tasks in rows."""

    def to(name: str, ready: str) -> None:
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(ready).first).to_be_visible()

    def to_and_fro() -> None:
        to("Tasks", "table")
        to("Timeline", "canvas")

    def sort() -> None:
        page.get_by_role("button", name="took").click()

    to_and_fro()
    canvas = ".timeline-frame canvas"
    found = [
        answered("tabs: tasks and timeline", page, to_and_fro, turns),
        moved("timeline: frames while zooming", page, zooming(page, canvas, turns * 15, "Control")),
        moved("timeline: frames while dragging", page, dragging(page, canvas, turns * 10)),
    ]
    to("Tasks", "table")
    found.append(answered("tasks: sorted", page, sort, turns))
    return found


def measure(node: Node, directory: Path, packages: int, nodes: int, turns: int) -> list[Figure]:
    """Return all figures."""
    build = built(node, workspace(directory / "monorepo", packages))
    program = find_chromium()
    assert program is not None, "there is no Chromium: apt-get install chromium"
    with (
        sync_playwright() as playwright,
        launch(playwright, program) as browser,
        Visit(browser, node) as visit,
    ):
        visit.log_in()
        views = [first_view(visit) for _ in range(turns)]
        found = [
            Figure("first view", tuple(each for each, _ in views), "ms", FIRST_VIEW_MS),
            Figure("initial JavaScript", (views[0][1],), "KB", INITIAL_KB),
        ]
        with many_nodes(visit.page, build, nodes):
            found += graph(visit.page, build, turns)
            found += lists(visit.page, turns)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packages", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=100, help="that a build's tasks are told of")
    parser.add_argument("--turns", type=int, default=20, help="how often each thing is done")
    parser.add_argument("--short", action="store_true", help="200 packages, 5 turns, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.packages, arguments.turns = 200, 5
    with tempfile.TemporaryDirectory(prefix="buildnet-page-") as found:
        directory = Path(found)
        with Cluster(directory / "nodes", 1) as cluster:
            (node,) = cluster.members
            figures = measure(node, directory, arguments.packages, arguments.nodes, arguments.turns)
    title = f"the page, {arguments.packages} packages, {arguments.nodes} nodes"
    report(title, figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
