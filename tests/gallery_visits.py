"""Opens the gallery in a headless Chromium, from a share or a server, and hears what the browser complains of."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect, sync_playwright

from promised import lacking

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
PHONE, DESKTOP = 390, 1280
_PATIENCE_MS = 60_000  # a busy machine is no failure
expect.set_options(timeout=_PATIENCE_MS)


@dataclass  # without slots: playwright keeps something beside a method that listens
class Visit:
    """A page that was opened, and what the browser complained about."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    @property
    def tiles(self) -> Locator:
        """The links of the paintings that are in the page now."""
        return self.page.locator(".tile-link")

    def lost(self, request: Request) -> None:
        """Take note of something that could not be had, unless the page itself was left meanwhile."""
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(request.url)

    def facts(self) -> str:
        """Return the line that says how many paintings are shown."""
        return self.page.locator("#facts").inner_text()

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def focused(self) -> str:
        """Return the label, or else the text, of what has the focus."""
        label: str = self.page.evaluate(
            "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
        )
        return label


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless Chromium; without one the test is skipped, except where CI promises it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        lacking("Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Browser,
    where: Path | str,
    *,
    width: int = DESKTOP,
    dark: bool = False,
    at: str = "",
    bypass_csp: bool = False,
) -> Iterator[Visit]:
    """Open the page of an outbox from disk, or one that is served; fail if the browser complained meanwhile."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
        has_touch=width == PHONE,
        bypass_csp=bypass_csp,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    seen = Visit(page, context)
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("requestfailed", seen.lost)
    try:
        address = where if isinstance(where, str) else (where / "index.html").as_uri()
        page.goto(address + (f"#{at}" if at else ""))
        page.locator(".tile-link, #empty h2").first.wait_for()
        yield seen
        assert seen.complaints == []
    finally:
        context.close()
