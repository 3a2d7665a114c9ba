"""Somebody at the page: a real browser in front of a real node."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import TracebackType

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, ViewportSize, expect

from testbed.nodes import Node

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
_PATIENCE_MS = 45_000.0
"""How long anything is waited for; other tests run beside these."""


def find_chromium() -> str | None:
    """Return the browser of this host; None: it has none."""
    return next((found for name in _PROGRAMS if (found := shutil.which(name))), None)


def launch(playwright: Playwright, program: str) -> Browser:
    """Return a browser that runs, without a window."""
    expect.set_options(timeout=_PATIENCE_MS)
    return playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)


class Visit:
    """Somebody's browser at the page of ``node``, while the context is open.

    What the browser complains of (errors of scripts and of the console, among them those of the
    content security policy) fails the test in the end, unless it was forgiven. ``pictures``: where
    they are kept; None: none are taken.
    """

    def __init__(
        self,
        browser: Browser,
        node: Node,
        *,
        viewport: ViewportSize = DESKTOP,
        pictures: Path | None = None,
    ) -> None:
        self.node = node
        self.complaints: list[str] = []
        self._forgiven: list[str] = []
        self._pictures = pictures
        self._context = browser.new_context(
            base_url=node.address, viewport=viewport, reduced_motion="reduce"
        )
        self._context.grant_permissions(["clipboard-read", "clipboard-write"])
        self._context.set_default_timeout(_PATIENCE_MS)
        self.page = self.open_tab()

    def __enter__(self) -> Visit:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if error is None:
            self.require_content()

    def close(self) -> None:
        """Close the browser's windows."""
        self._context.close()

    def open_tab(self) -> Page:
        """Return another tab, with the same cookies."""
        page = self._context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))
        return page

    def log_in(self, path: str = "/", **body: object) -> None:
        """Come in by a link that the node's owner makes at its socket (``body``: as of
        ``POST /api/logins``), and go to a view."""
        link = str(self.node.post("/api/logins", body)["url"])
        self.page.goto(link)
        self.page.get_by_role("button", name="Log in").click()
        self.wait_until_live()
        if path != "/":
            self.page.goto(path)
            self.wait_until_live()

    def log_in_with_key(self, key: str) -> None:
        """Come in with a key."""
        self.page.goto("/login")
        self.page.get_by_label("The code of a link, or a key").fill(key)
        self.page.get_by_role("button", name="Log in").click()
        self.wait_until_live()

    def wait_until_live(self) -> None:
        """Wait until the page shows what happens."""
        expect(self.page.get_by_test_id("live")).to_have_text("live")

    def wait_for_pictures(self) -> None:
        """Wait until the browser has drawn what changed by now."""
        self.page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def picture(self, name: str) -> None:
        """Keep pictures of what is seen: on a desktop and a phone, in dark and light."""
        if self._pictures is None:
            return
        before = self.page.viewport_size
        for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            self.page.set_viewport_size(viewport)
            for scheme in ("dark", "light"):
                self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                path = self._pictures / f"{name}-{size}-{scheme}.png"
                self.page.screenshot(path=path, animations="disabled")
        self.page.emulate_media(color_scheme="null")
        self.page.set_viewport_size(before or DESKTOP)

    def forgive(self, pattern: str) -> None:
        """Expect complaints in which this regular expression is found."""
        self._forgiven.append(pattern)

    def require_content(self) -> None:
        """See that the browser had nothing to complain of.

        Raises:
            AssertionError: it had.
        """
        left = [
            each
            for each in self.complaints
            if not any(re.search(pattern, each) for pattern in self._forgiven)
        ]
        if left:
            raise AssertionError("\n".join(["the browser complains:", *left]))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url')})")
