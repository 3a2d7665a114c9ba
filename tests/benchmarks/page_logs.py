"""How soon a log of 200,000 lines is there in a browser, and how the page answers meanwhile.

    uv run python tests/benchmarks/page_logs.py [--lines 200000] [--runs 5] [--short] [--json FILE]

One real node, its built page, and Chromium without a window; all of them share the host's cores. A
command printed the lines, in colours. *Open*: from the click on the build's tab until the first
rows are drawn; *whole*: until all lines are there. *Jump*: from a key until the other end is drawn.
*Scroll*: from one picture to the next while each shows other rows. *Search*: from the last letter
until all matches are counted; *stall*: the longest time for which the page did not answer while
that lasted. *Hostile*: the same of a log of one line of 4 MB, and of 4 MB of escape sequences.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node
from testbed.visits import Visit, find_chromium, launch

OPEN_MS, INTERACTION_MS, FRAME_MS = 1000.0, 100.0, 1000 / 30
_PICTURES = 60
_BYTES = 4_000_000

_LINES = """awk 'BEGIN { for (i = 1; i <= %d; i++) printf
"\\033[2m12:00:00\\033[0m \\033[32mok\\033[0m module %%d in %%d ms\\n", i, i %% 97 }'
"""
_LONG = f"head -c {_BYTES} /dev/zero | tr '\\0' x; echo\n"
_ESCAPES = f"head -c {_BYTES // 5} /dev/zero | sed 's/\\x0/\\x1b[31m/g'; echo; echo end\n"

_BEGIN = """() => {
  window.stall = 0;
  let last = performance.now();
  const beat = () => {
    const now = performance.now();
    window.stall = Math.max(window.stall, now - last);
    last = now;
    window.beating = setTimeout(beat, 0);
  };
  beat();
}"""
_END = "() => { clearTimeout(window.beating); return window.stall }"
_UNTIL = """([act, done]) => new Promise((resolve) => {
  const run = new Function(act), isDone = new Function("return " + done);
  const began = performance.now();
  run();
  const look = () => {
    if (isDone()) resolve(performance.now() - began);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""
_SCROLL = """(pictures) => new Promise((resolve) => {
  const log = document.querySelector("[role=log]"), times = [];
  let last = performance.now();
  const step = () => {
    const now = performance.now();
    times.push(now - last);
    last = now;
    if (times.length > pictures) return resolve(times.slice(1));
    log.scrollTop = ((times.length * 7919) % 1000) / 1000 * log.scrollHeight;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
_FIRST = "document.querySelector('.log-row') !== null"


def built(node: Node, root: Path, package: str) -> str:
    """Build a package; return the build's id."""
    building = Building(node, root, packages=[package], local_only=True)
    building.until("build_finished", 1)
    return str(building.events[0]["build_id"])


def until(page: Page, act: str, done: str) -> float:
    """Return how many milliseconds pass from an act until something is so, picture by picture."""
    return float(page.evaluate(_UNTIL, [act, done]))


def opened(page: Page, build_id: str, whole: str) -> tuple[float, float]:
    """Open a log by a click; return how long its first rows and all of it take."""
    page.goto(f"/ui/builds/{build_id}?tab=review")
    page.get_by_role("link", name="Log", exact=True).wait_for()
    click = "[...document.querySelectorAll('.tabs a')].find(a => a.text === 'Log').click()"
    first = until(page, click, _FIRST)
    return first, first + until(page, "", f"document.body.innerText.includes('{whole}')")


def pressed(page: Page, key: str, row: str) -> float:
    """Press a key in the log; return how long it takes until a row is there."""
    act = (
        "document.querySelector('[role=log]').focus(); document.activeElement.dispatchEvent("
        f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true, cancelable: true}}))"
    )
    return until(page, act, f"document.querySelector('[role=log]').innerText.includes('{row}')")


def searched(page: Page, needle: str) -> tuple[float, float]:
    """Search; return how long that takes, and for how long the page stalls."""
    page.get_by_label("Search the log").fill(needle[:-1])
    page.evaluate(_BEGIN)
    act = (
        "const box = document.querySelector('.log-search input'); const set = Object"
        ".getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;"
        f"set.call(box, '{needle}'); box.dispatchEvent(new Event('input', {{bubbles: true}}))"
    )
    output = "document.querySelector('.log-search output').textContent"
    took = until(page, act, f"/^[\\d,]+ found$/.test({output})")
    return took, float(page.evaluate(_END))


def measure(visit: Visit, node: Node, root: Path, lines: int, runs: int) -> list[Figure]:
    """Measure all of it."""
    page = visit.page
    many, long, escapes = (built(node, root, each) for each in ("many", "long", "escapes"))
    opening = [opened(page, many, f"{lines:,} lines") for _ in range(runs)]
    jumps = []
    for _ in range(runs):
        jumps += [pressed(page, "G", f"module {lines} "), pressed(page, "g", "module 1 ")]
    frames = page.evaluate(_SCROLL, _PICTURES)
    searches = [searched(page, "module") for _ in range(runs)]
    hostile, hostile_jumps = [], []
    for build_id, whole in ((long, "1 line,"), (escapes, "2 lines")):
        for _ in range(runs):
            hostile.append(opened(page, build_id, whole)[1])
            page.evaluate(_BEGIN)
            until(page, "document.querySelector('[role=log]').scrollTop = 1e9", _FIRST)
            until(page, "document.querySelector('[role=log]').scrollTop = 0", _FIRST)
            hostile_jumps.append(float(page.evaluate(_END)))
    return [
        Figure("open", tuple(each[0] for each in opening), "ms", goal_p50=OPEN_MS),
        Figure("whole", tuple(each[1] for each in opening), "ms", goal_p50=OPEN_MS),
        Figure("jump", tuple(jumps), "ms", goal_p50=INTERACTION_MS),
        Figure("scroll, a picture", tuple(frames), "ms", goal_p50=FRAME_MS),
        Figure("search", tuple(each[0] for each in searches), "ms", goal_p50=OPEN_MS),
        Figure("search, stall", tuple(each[1] for each in searches), "ms", goal_p50=INTERACTION_MS),
        Figure("hostile, whole", tuple(hostile), "ms", goal_p50=OPEN_MS),
        Figure("hostile, stall", tuple(hostile_jumps), "ms", goal_p50=INTERACTION_MS),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="20,000 lines, two runs, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.lines, arguments.runs = 20_000, 2
    program = find_chromium()
    if program is None:
        print("there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="buildnet-page-logs-") as found:
        root = Path(found) / "workspace"
        scripts = {"many": _LINES % arguments.lines, "long": _LONG, "escapes": _ESCAPES}
        packages = [
            f"  - {{name: {name}, path: {name}, build_cmd: sh ./run.sh}}\n" for name in scripts
        ]
        files = {
            f"{name}/run.sh": script.replace("printf\n", "printf ")
            for name, script in scripts.items()
        }
        files["buildnet.yaml"] = "workspace: printing\npackages:\n" + "".join(packages)
        write_files(root, files)
        with (
            Cluster(Path(found) / "nodes", 1, bare=False) as cluster,
            sync_playwright() as playwright,
            launch(playwright, program) as browser,
        ):
            (node,) = cluster.members
            with Visit(browser, node) as visit:
                visit.log_in()
                figures = measure(visit, node, root, arguments.lines, arguments.runs)
    report(f"a log of {arguments.lines:,} lines in Chromium", figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
