"""The gallery page in a real browser, opened from disk as people open it from a share."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from gallery_samples import Refusal, publish
from neural_selfie.gallery import build, preview_of

pytestmark = pytest.mark.browser
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SCRIPT = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>\"' onfocus='window.ran = 1' autofocus x='"
LOAD_ALL = """async () => {
  const images = [...document.images];
  for (const image of images) image.loading = "eager";
  await Promise.allSettled(images.map(image => image.decode()));
  return images.map(image => image.naturalWidth);
}"""
CONTRAST = r"""selector => {
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\d.]+/g).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const text = luminance(getComputedStyle(document.querySelector(selector)).color);
  const wall = luminance(getComputedStyle(document.body).backgroundColor);
  return (Math.max(text, wall) + 0.05) / (Math.min(text, wall) + 0.05);
}"""


@dataclass(slots=True)
class Visit:
    """A page that was opened, and what the browser complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; without one the tests are skipped, except where CI promises it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is not installed, and these tests must run here.")
        pytest.skip("Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def visit(browser: Browser, outbox: Path, *, width: int = 1280, dark: bool = False) -> Visit:
    """Open the page of an outbox from disk."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light")
    seen = Visit(page)
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("requestfailed", lambda request: seen.complaints.append(request.url))
    page.goto((outbox / "index.html").as_uri())
    return seen


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outbox with single paintings, a sweep, every shape, hostile and very long names, and troubles."""
    tmp_path = tmp_path_factory.mktemp("outbox")
    publish(tmp_path, "upright-abc123", size=(48, 96))
    publish(tmp_path, "panorama-abc123", size=(200, 50), warnings=("The photo was enlarged. " * 4,))
    for n in range(5):
        publish(tmp_path, "sweep-abc123", f"s.{n}", preset="sweep", variant={"content_weight": n / 3, "mode": "w" * 90})
    publish(
        tmp_path, SCRIPT.replace("/", "") + "-abc123", "#?%41", photo=SCRIPT, preset=SCRIPT, variant={SCRIPT: SCRIPT}
    )
    publish(tmp_path, os.fsdecode(b"caf\xe9\xff-abc123"), photo="x" * 200 + ".jpg", preset="y" * 200)
    publish(tmp_path, "unseen-abc123")
    (tmp_path / preview_of("unseen-abc123")).unlink()
    build(
        tmp_path, troubles=[Refusal(photo=SCRIPT + "z" * 200, reason=SCRIPT)], waiting=[Refusal(photo="w", reason="w")]
    )
    return tmp_path


@pytest.mark.parametrize("dark", [False, True])
def test_opens_from_disk_without_complaint(browser: Browser, outbox: Path, *, dark: bool) -> None:
    """Every image loads, nothing is refused or missing, and no name runs a script."""
    seen = visit(browser, outbox, dark=dark)
    widths = seen.page.evaluate(LOAD_ALL)
    assert len(widths) == 10 + 5
    assert min(widths) > 0
    assert seen.complaints == []
    assert seen.page.evaluate("window.ran") is None
    assert seen.page.evaluate("document.scripts.length") == 0
    seen.page.close()


def test_fits_every_screen(browser: Browser, outbox: Path) -> None:
    """Nothing reaches beyond the right edge, from phones to large screens, however long a name is."""
    seen = visit(browser, outbox)
    for width in (320, 390, 768, 1280, 2560):
        seen.page.set_viewport_size({"width": width, "height": 800})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    seen.page.close()


def test_nothing_shifts_while_pictures_arrive(browser: Browser, outbox: Path) -> None:
    """The page has its final height before any lazy picture was loaded."""
    seen = visit(browser, outbox)
    before = seen.page.evaluate("document.documentElement.scrollHeight")
    seen.page.evaluate(LOAD_ALL)
    assert seen.page.evaluate("document.documentElement.scrollHeight") == before
    seen.page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_photo_stays_beside_its_paintings(browser: Browser, outbox: Path, width: int) -> None:
    """However far one scrolls through a sweep, its photo is in view."""
    seen = visit(browser, outbox, width=width)
    wall = seen.page.locator("article", has=seen.page.get_by_role("heading", name="sweep")).first
    last = wall.locator("figure").last
    last.evaluate("figure => figure.scrollIntoView({block: 'end'})")
    photo = wall.locator(".photo img").bounding_box()
    assert photo is not None
    assert 0 <= photo["y"] < 800
    seen.page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_legible_in_light_and_dark(browser: Browser, outbox: Path, *, dark: bool) -> None:
    """Plain and quiet text have a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3); the schemes differ."""
    seen = visit(browser, outbox, dark=dark)
    for selector in (
        "h1",
        "h2",
        "h3",
        "figcaption p",
        "dt",
        "dd",
        ".links a",
        ".note",
        ".notices li p + p",
        "footer p",
    ):
        assert seen.page.evaluate(CONTRAST, selector) >= 4.5, selector
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 18, 17)") == dark
    seen.page.close()


def test_the_keyboard_shows_where_it_is(browser: Browser, outbox: Path) -> None:
    """Every link that Tab reaches has a visible outline."""
    seen = visit(browser, outbox)
    for _ in range(6):
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.tagName") == "A"
        assert seen.page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 3
    seen.page.close()


def test_an_empty_gallery_opens_too(browser: Browser, tmp_path: Path) -> None:
    """The page of an empty outbox says what to do, without complaint."""
    build(tmp_path)
    seen = visit(browser, tmp_path, width=390)
    assert seen.page.get_by_role("heading", name="Nothing hangs here yet.").is_visible()
    assert seen.complaints == []
    seen.page.close()
