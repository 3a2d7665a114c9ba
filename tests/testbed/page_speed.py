"""How quickly a page in Chromium answers who uses it: interactions, and frames while things move.

*Interactions* are measured as browsers do (Event Timing): from the input, a real click or key, to
the next picture. What else the page's thread does until it is at rest counts as well where one
piece of it is longer (Long Tasks): who clicks again meanwhile waits for that. The processor time is
that of the page's thread alone: scripts, styles, layout and painting.
"""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from testbed.figures import Figure

INTERACTION_MS, FRAME_MS = 100.0, 1000 / 30
_LEAST_MS = 16.0
"""What browsers tell no less than."""

_OBSERVE = """() => {
  window.took_ms = [];
  const note = (list) => list.getEntries().forEach((each) => {
    if (each.entryType === "longtask" || each.interactionId) window.took_ms.push(each.duration);
  });
  new PerformanceObserver(note).observe({ type: "event", durationThreshold: 16 });
  new PerformanceObserver(note).observe({ type: "longtask" });
}"""
# At rest: some pictures in a row came in time, and nothing is said to be loading.
_SETTLED = """() => new Promise((done) => {
  const began = performance.now();
  let quiet = 0, last = began;
  const look = (now) => {
    const busy = document.querySelector("main [aria-busy=true], main .skeleton") !== null;
    quiet = now - last < 40 && !busy ? quiet + 1 : 0;
    last = now;
    if (quiet < 6 && now - began < 20000) requestAnimationFrame(look);
    else setTimeout(done, 0);
  };
  requestAnimationFrame(look);
})"""
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


class Stopwatch:
    """Measures what is done to a page; made before the page is loaded."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.add_init_script(f"({_OBSERVE})()")

    def settle(self) -> None:
        """Wait until the page is at rest."""
        self.page.evaluate(_SETTLED)

    def answered(self, name: str, *acts: Callable[[], object], times: int = 1) -> Figure:
        """Do something in turns; return how long the page took for each."""
        values, used = [], []
        for _ in range(times):
            for act in acts:
                self.settle()
                self.page.evaluate("() => { window.took_ms = [] }")
                before = self._used_ms()
                act()
                self.settle()
                used.append(self._used_ms() - before)
                values.append(
                    float(self.page.evaluate(f"() => Math.max({_LEAST_MS}, ...window.took_ms)"))
                )
        return Figure(
            name, tuple(values), "ms", None, INTERACTION_MS, processor_ms=sum(used) / len(used)
        )

    def moved(self, name: str, move: Callable[[], None]) -> Figure:
        """Let something move; return the time from each picture to the next. The goal is thirty
        pictures a second, most of the time."""
        self.settle()
        before = self._used_ms()
        self.page.evaluate(_FRAMES)
        move()
        told = self.page.evaluate(
            "() => { cancelAnimationFrame(window.frame); return window.frames_ms; }"
        )
        used = self._used_ms() - before
        values = tuple(float(each) for each in told[1:])
        rate = 1000 * len(values) / sum(values)
        return Figure(
            name,
            values,
            "ms",
            FRAME_MS,
            processor_ms=used / len(values),
            note=f"{rate:.0f} frames a second",
        )

    def _used_ms(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return next(
            1000 * float(each["value"]) for each in metrics if each["name"] == "TaskDuration"
        )


def zooming(page: Page, selector: str, turns: int, key: str | None = None) -> Callable[[], None]:
    """Return what zooms in and out at the middle of an element by the wheel."""

    def zoom() -> None:
        _to_middle(page, selector)
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
        x, y = _to_middle(page, selector)
        page.mouse.down()
        for step in range(steps):
            page.mouse.move(x + 200 * ((step % 20) / 20 - 0.5), y + 60 * ((step % 10) / 10 - 0.5))
        page.mouse.up()

    return drag


def _to_middle(page: Page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    assert box is not None, f"{selector} is not seen"
    x, y = box["x"] + box["width"] / 2, box["y"] + min(box["height"], 400) / 2
    page.mouse.move(x, y)
    return x, y
