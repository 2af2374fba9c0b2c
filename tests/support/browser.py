"""A real browser: Debian's Chromium, without a window, and what it asks for and complains of."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_ALONE = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
"""Without these it asks for things of its own, and needs another user than root."""


@dataclass
class Looking:
    """A page that somebody looks at."""

    page: "Page"
    requests: list[str] = field(default_factory=list)
    """The URLs of all that it has asked for."""
    complaints: list[str] = field(default_factory=list)
    """What the browser's console has shown."""

    def open(self, url: str) -> None:
        """Open a page, and wait until all of its data is there."""
        self.page.goto(url)
        self.page.wait_for_selector("html[data-loaded]")

    def until(self, condition: str, within: float = 20) -> None:
        """Wait until an expression holds.

        The page's own policy forbids the way in which Playwright waits for that.
        """
        deadline = time.monotonic() + within
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(20)

    def by_id(self, name: str) -> "Locator":
        """Return an element."""
        return self.page.locator(f"#{name}")

    def titles(self) -> list[str]:
        """Return the titles of the tiles that exist, as they are placed."""
        js = """tiles => tiles
            .map(tile => [Number(tile.getAttribute('aria-posinset')),
                          tile.querySelector('.caption-title').textContent])
            .sort((a, b) => a[0] - b[0]).map(pair => pair[1])"""
        titles: list[str] = self.page.locator(".tile").evaluate_all(js)
        return titles

    def facts(self) -> dict[str, str]:
        """Return the details beside a video."""
        js = """rows => rows.map(row => [row.querySelector('dt').textContent,
                                        row.querySelector('dd > span').textContent])"""
        return dict(self.page.locator(".fact").evaluate_all(js))


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Run the browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ALONE)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def looking(browser: "Browser", **settings: Any) -> Iterator[Looking]:
    """Open an empty page with these settings; it must not complain of anything."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **settings})
    context.set_default_timeout(20_000)
    here = Looking(context.new_page())
    here.page.on("request", lambda request: here.requests.append(request.url))
    here.page.on("console", lambda message: here.complaints.append(message.text))
    here.page.on("pageerror", lambda error: here.complaints.append(str(error)))
    try:
        yield here
    finally:
        context.close()


def axe() -> str:
    """Return the script of axe-core, as the package that brings it has it."""
    import axe_playwright_python  # noqa: PLC0415

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
