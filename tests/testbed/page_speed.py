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

# Pictures are told of once they are seen: what came of what was done before does not count.
_OBSERVE = """() => {
  window.took_ms = [];
  window.since = 0;
  const note = (list) => list.getEntries().forEach((each) => {
    if (each.startTime < window.since) return;
    if (each.entryType === "longtask" || each.interactionId) window.took_ms.push(each.duration);
  });
  new PerformanceObserver(note).observe({ type: "event", durationThreshold: 16 });
  new PerformanceObserver(note).observe({ type: "longtask" });
}"""
# At rest: some pictures in a row came in time, and nothing is said to be loading. A speck changes
# with the last ones: none of those is begun before what came earlier was drawn, however long that
# takes beside the page's thread.
_SETTLED = """() => new Promise((done) => {
  const began = performance.now();
  if (!window.speck) {
    window.speck = document.createElement("div");
    window.speck.style.cssText = "position:fixed;width:1px;height:1px;will-change:transform";
    window.speck.style.background = "currentcolor";
    document.body.append(window.speck);
  }
  let quiet = 0, last = began, rested = began;
  const look = (now) => {
    const busy = document.querySelector("main [aria-busy=true], main .skeleton") !== null;
    quiet = now - last < 40 && !busy ? quiet + 1 : 0;
    last = now;
    if (quiet === 1) rested = now;
    if (quiet > 2) window.speck.style.transform = `translateX(${quiet % 2}px)`;
    if (quiet < 6 && now - began < 20000) requestAnimationFrame(look);
    else setTimeout(() => done(rested), 0);
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

    def settle(self) -> float:
        """Wait until the page is at rest; return since when it is, by its own clock in ms."""
        return float(self.page.evaluate(_SETTLED))

    def answered(self, name: str, *acts: Callable[[], object], times: int = 1) -> Figure:
        """Do something in turns; return how long the page took for each. The note tells after how
        long at most all of what was asked for was there, what others had to answer included."""
        values, used, waited = [], [], []
        for _ in range(times):
            for act in acts:
                self.settle()
                since = self.page.evaluate(
                    "() => { window.took_ms = []; return window.since = performance.now(); }"
                )
                before = self._used_ms()
                act()
                waited.append(self.settle() - since)
                used.append(self._used_ms() - before)
                values.append(
                    float(self.page.evaluate(f"() => Math.max({_LEAST_MS}, ...window.took_ms)"))
                )
        return Figure(
            name,
            tuple(values),
            "ms",
            None,
            INTERACTION_MS,
            processor_ms=sum(used) / len(used),
            note=f"all there in {max(waited):.0f} ms",
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
