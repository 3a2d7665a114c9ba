"""How quickly the page answers in a large pool, in a real browser in front of a real node.

    uv run python tests/benchmarks/page_scale.py [--packages 1000] [--nodes 100] [--turns 20]
        [--only PART] [--short] [--json FILE]

The node is one process and really runs a build of so many packages. That many nodes do not fit on
one host: the node hears of the others though none of them runs, and each says something new every
5 s; what it answers and tells of them is its own. So that the build was built by all of them, their
names are put into its record on its way to the browser. *Interactions*: the longer of the time from
an input, a real click or key, to the next picture (Event Timing), and the longest piece of work of
the page's thread until it is at rest (Long Tasks). *Frames*: the time from one picture to the next
while the wheel zooms and the mouse drags. ``cpu ms`` is of the page's thread, for each interaction
or picture. The node and the browser share the host's cores; the browser draws without a graphics
card.
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
from functools import partial
from pathlib import Path

from playwright.sync_api import Page, Route, expect, sync_playwright

from buildnet.cli.testing import write_files
from testbed.crowded_node import crowded_node
from testbed.figures import Figure, report
from testbed.nodes import Node
from testbed.page_speed import Stopwatch, dragging, zooming
from testbed.visits import Visit, find_chromium, launch

VIEWS = (
    *("Overview", "Nodes", "Topology", "Builds", "Packages", "Builder"),
    *("Queue", "Cache", "Ledger", "Access", "Logs", "Settings"),
)
SOME = "package99"
"""A package that needs three others."""


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
    """Build a workspace here and return the build's id."""
    body = {"root": str(root), "environment": {"PATH": os.environ["PATH"]}, "local_only": True}
    build = str(node.post("/api/build", body)["build_id"])
    while (status := node.get(f"/api/build/{build}")["status"]) == "running":
        time.sleep(0.2)
    assert status == "succeeded", status
    return build


@contextmanager
def spread(page: Page, build: str, nodes: int) -> Iterator[None]:
    """Tell the browser meanwhile that so many nodes ran the tasks of a build in turn."""

    def fulfil(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        for number, each in enumerate(told["packages"]):
            each["node"], each["node_name"] = f"{number % nodes:016x}", f"node{number % nodes}"
        route.fulfill(response=answer, json=told)

    pattern = f"**/api/build/{build}"
    page.route(pattern, fulfil)
    yield
    page.unroute(pattern)


class Person:
    """Somebody at the page of a pool of so many nodes; ``build``: of all packages; ``turns``: about
    how often each thing is done."""

    def __init__(self, page: Page, build: str, pool: int, turns: int) -> None:
        self.page = page
        self.build = build
        self.pool = pool
        self.turns = turns
        self.watch = Stopwatch(page)

    def go(self, address: str) -> None:
        """Load a view."""
        self.page.goto(address)
        expect(self.page.locator("main h1")).to_be_visible()
        self.watch.settle()

    def side(self, view: str) -> Callable[[], None]:
        """Return what opens a view by the list at the side."""
        return self.page.locator(".side").get_by_role("link", name=view).click

    def tab(self, name: str) -> Callable[[], None]:
        """Return what opens a part of a view."""
        return self.page.locator(".tabs").get_by_role("link", name=name, exact=True).click

    def button(self, name: str) -> Callable[[], None]:
        """Return what presses a button of the view."""
        return self.page.locator("main").get_by_role("button", name=name).first.click

    def typing(self, label: str, text: str) -> tuple[Callable[[], None], ...]:
        """Return what types letters and takes them back."""
        box = self.page.get_by_label(label)
        return tuple(partial(box.press, key) for key in (*text, *("Backspace" for _ in text)))

    def choosing(self, label: str) -> tuple[Callable[[], None], ...]:
        """Return what goes to a list's next choice and back."""
        box = self.page.get_by_label(label, exact=True)
        return partial(box.press, "ArrowDown"), partial(box.press, "ArrowUp")

    def in_turn(self, selector: str) -> Callable[[], None]:
        """Return what clicks some of those elements, one after the other."""
        found, turn = self.page.locator(selector), itertools.count()
        return lambda: found.nth(next(turn) * 7 % min(40, found.count())).click()

    def answered(self, name: str, *acts: Callable[[], object], times: int = 0) -> Figure:
        """Measure interactions, as often as given, or as many as there are turns."""
        return self.watch.answered(name, *acts, times=times or -(-self.turns // len(acts)))


def opening(person: Person) -> list[Figure]:
    """Open each view from another one, at first and again."""
    person.go("/ui/queue")
    acts = {view: person.side(view) for view in VIEWS}
    first = [person.answered(f"opens {view}, at first", acts[view], times=1) for view in VIEWS]
    return [*first, person.answered("opens a view again", *acts.values())]


def nodes(person: Person) -> list[Figure]:
    """Look for nodes."""
    person.go("/ui/nodes")
    search = person.typing("Name, tag, CPU…", "er-07")
    as_cards = reversed(person.choosing("Shown as"))
    row = person.in_turn("main table a")
    return [
        person.answered("nodes: a letter of a search", *search),
        person.answered("nodes: filtered", *person.choosing("Status")),
        person.answered("nodes: sorted", person.button("name"), person.button("memory")),
        person.answered("nodes: as cards, as a table", *as_cards),
        person.answered("nodes: one is opened, and left", row, person.side("Nodes")),
    ]


def topology(person: Person) -> list[Figure]:
    """Look at the links between all nodes."""
    page, watch, turns = person.page, person.watch, person.turns
    person.go("/ui/topology")
    zoom = zooming(page, ".react-flow", turns * 15, "Control")
    drag = dragging(page, ".react-flow", turns * 10)
    closer, wider = person.button("zoom in"), person.button("zoom out")
    return [
        person.answered("topology: a node is chosen", person.in_turn("a.graph-node")),
        person.answered("topology: closer, wider", closer, wider),
        watch.moved("topology: zooming", zoom),
        watch.moved("topology: dragging", drag),
        person.answered("topology: matrix, graph", person.tab("Matrix"), person.tab("Graph")),
    ]


def packages(person: Person) -> list[Figure]:
    """Look at the packages of the workspace."""
    turns = person.turns
    person.go("/ui/packages?view=table")
    search = person.typing("Find a package", "e77")
    sort = person.button("needed by"), person.button("path")
    return [
        person.answered("packages: a letter of a search", *search),
        person.answered("packages: sorted", *sort),
        person.answered("packages: one is chosen", person.in_turn("main table .link")),
        person.answered("packages: fifty more", person.button("Show 50"), times=min(3, turns)),
        *graph(person, "packages", "/ui/packages"),
        person.answered("packages: as a table, a drawing", *person.choosing("Shown as")),
    ]


def graph(person: Person, name: str, address: str) -> list[Figure]:
    """Use a drawing of packages."""
    page, watch, turns = person.page, person.watch, person.turns
    person.go(address)
    frame, edges = ".react-flow", page.locator(".graph-edges")
    expect(edges).to_be_visible(timeout=60_000)
    watch.settle()
    zoom, drag = zooming(page, frame, turns * 15), dragging(page, frame, turns * 10)
    closer = zooming(page, frame, 25)
    found = [watch.moved(f"{name}, graph: zooming", zoom)]
    found.append(watch.moved(f"{name}, graph: dragging", drag))
    page.get_by_role("button", name="fit view").click()
    watch.settle()
    box = page.locator(frame).bounding_box()
    assert box is not None
    turn = itertools.count()

    def choose() -> None:
        place = next(turn) % 20 / 20
        page.mouse.click(
            box["x"] + box["width"] * (0.3 + 0.3 * place),
            box["y"] + box["height"] * (0.6 - 0.2 * place),
        )

    search = person.typing("Find a package", "e77")
    found.append(person.answered(f"{name}, graph: one is chosen from afar", choose))
    found.append(person.answered(f"{name}, graph: a letter of a search", *search))
    closer()
    found.append(person.answered(f"{name}, graph: one is chosen from near", choose))
    found.append(watch.moved(f"{name}, graph: dragging from near", drag))
    person.go(f"{address}{'&' if '?' in address else '?'}package={SOME}")
    expect(edges).to_be_visible(timeout=60_000)
    fold = person.button("Fold what it needs"), person.button("Unfold what it needs")
    focus = person.button("Only what is related"), person.button("Show all, not only")
    found.append(person.answered(f"{name}, graph: folded, unfolded", *fold))
    found.append(person.answered(f"{name}, graph: relatives, all", *focus))
    found.append(person.answered(f"{name}, graph: by directory", *person.choosing("Directories")))
    return found


def builder(person: Person) -> list[Figure]:
    """Shape a build of what the pool has."""
    page, watch = person.page, person.watch
    person.go("/ui/builder")
    piece, zones = page.locator(".offer-handle:enabled"), page.locator(".zone")
    amount = page.get_by_label("Number of cores of").first

    def pick() -> None:
        piece.first.hover()
        page.mouse.down()

    def carry() -> None:
        places = [each.bounding_box() for each in zones.all()]
        for step in range(person.turns * 10):
            box = places[step // 10 % len(places)]
            assert box is not None
            page.mouse.move(box["x"] + 20 + 10 * (step % 10), box["y"] + 20 + 3 * (step % 10))

    def drop() -> None:
        zones.first.hover()
        page.mouse.up()

    found = [
        person.answered("builder: a letter of a search", *person.typing("Find a node", "er-07")),
        person.answered("builder: a piece is picked up", pick, times=1),
        watch.moved("builder: a piece is dragged over the zones", carry),
        person.answered("builder: it is dropped", drop, times=1),
    ]
    pieces = min(5, person.turns)
    added = page.locator(".palette button[aria-label^=Add]:enabled").first.click
    found.append(person.answered("builder: a piece is added", added, times=pieces))
    change = partial(amount.press, "ArrowDown"), partial(amount.press, "ArrowUp")
    found.append(person.answered("builder: an amount is changed", *change))
    undone = partial(page.keyboard.press, "Control+z"), partial(page.keyboard.press, "Control+y")
    page.locator("main h1").click()
    found.append(person.answered("builder: undone, done again", *undone))
    found.append(person.answered("builder: shows more", person.button("Show more"), times=pieces))
    found.append(person.answered("builder: added with all shown", added, times=pieces))
    return found


def build_parts(person: Person) -> list[Figure]:
    """Look at a build's parts."""
    page, watch, turns = person.page, person.watch, person.turns
    person.go(f"/ui/builds/{person.build}?tab=tasks")
    canvas = ".timeline-frame canvas"
    tabs = [
        person.tab(each) for each in ("Timeline", "Review", "Artifacts", "Log", "Graph", "Tasks")
    ]
    sort = person.button("took"), person.button("task")
    found = [
        person.answered("build: a part at first", *tabs, times=1),
        person.answered("build: a part again", *tabs),
        person.answered("tasks: sorted", *sort),
        person.answered("tasks: a letter of a search", *person.typing("Find a task", "e77")),
        person.answered("tasks: filtered", *person.choosing("Node")),
    ]
    person.go(f"/ui/builds/{person.build}?tab=timeline")
    expect(page.locator(canvas)).to_be_visible()
    found.append(watch.moved("timeline: zooming", zooming(page, canvas, turns * 15, "Control")))
    found.append(watch.moved("timeline: dragging", dragging(page, canvas, turns * 10)))
    return found


def others(person: Person) -> list[Figure]:
    """Look into the lists of what happened."""
    person.go("/ui/ledger")
    words = person.typing("Words in an entry", "e77")
    found = [
        person.answered("ledger: a letter of a search", *words),
        person.answered("ledger: filtered", *person.choosing("About")),
    ]
    person.go("/ui/cache")
    return [*found, person.answered("cache: sorted", person.button("size"))]


def built_by_all(person: Person) -> list[Figure]:
    """Look at the build of all packages, as if all nodes had run it."""
    with spread(person.page, person.build, person.pool):
        drawn = graph(person, "build", f"/ui/builds/{person.build}?tab=graph")
        as_list = person.button("As a list"), person.button("As a drawing")
        drawn.append(person.answered("build, graph: as a list, a drawing", *as_list))
        return [*drawn, *build_parts(person)]


PARTS: dict[str, Callable[[Person], list[Figure]]] = {
    "views": opening,
    "nodes": nodes,
    "topology": topology,
    "packages": packages,
    "builder": builder,
    "build": built_by_all,
    "others": others,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--turns", type=int, default=20, help="how often each thing is done")
    parser.add_argument("--only", choices=PARTS, help="measure this part alone")
    parser.add_argument("--short", action="store_true", help="120 packages, one turn, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.packages, arguments.turns = 120, 1
    program = find_chromium()
    if program is None:
        print("there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 0 if arguments.short else 1
    with tempfile.TemporaryDirectory(prefix="buildnet-page-") as found:
        directory = Path(found)
        with (
            crowded_node(directory / "node", arguments.nodes) as node,
            sync_playwright() as playwright,
            launch(playwright, program) as browser,
            Visit(browser, node) as visit,
        ):
            build = built(node, workspace(directory / "monorepo", arguments.packages))
            person = Person(visit.page, build, arguments.nodes, arguments.turns)
            visit.log_in()
            parts = [PARTS[arguments.only]] if arguments.only else PARTS.values()
            figures = [figure for part in parts for figure in part(person)]
    title = f"the page, {arguments.packages} packages, {arguments.nodes} nodes"
    report(title, figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
