"""The gallery page in a real browser: what it shows, with mouse and keyboard, on a phone and on a desk."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from gallery_samples import hung, publish, refusal
from gallery_visits import DESKTOP, PHONE, Visit, chromium, visiting
from neural_selfie.gallery import build, preview_of

pytestmark = pytest.mark.browser
SCRIPT = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>\"' onfocus='window.ran = 1' autofocus x='"
EVERY_IMAGE = """async () => {
  const images = [...document.images].filter(image => image.getAttribute("src"));
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
WEIGHTS, SCALES = (0.2, 0.6, 3.8), (0.5, 1.0)
SHARD = re.compile(r"/data/[0-9a-f]{12}\.js")
both_sizes = pytest.mark.parametrize("width", [PHONE, DESKTOP])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outbox with single paintings, a sweep, every shape, hostile and very long names, and what goes on."""
    outbox = tmp_path_factory.mktemp("outbox")
    publish(outbox, "upright-abc123", photo="upright.jpg", size=(480, 960), finished_at="2026-03-09T12:00:00Z")
    publish(outbox, "panorama-abc123", photo="sea.jpg", size=(800, 200), warnings=("The photo was enlarged. " * 4,))
    for n, (weight, scale) in enumerate((weight, scale) for weight in WEIGHTS for scale in SCALES):
        publish(
            outbox,
            "sweep-abc123",
            f"s.{n}",
            photo="sweep.jpg",
            preset="swept",
            variant={"content_weight": weight, "style_scale": scale},
            finished_at=f"2026-03-05T12:0{n}:00Z",
            recipe={"size": 512, "content_weight": weight, "style_scale": scale},
            trace=300,
            size=(640, 480),
        )
    hostile = SCRIPT.replace("/", "") + "-abc123"
    publish(outbox, hostile, "#?%41", photo=SCRIPT, preset=SCRIPT, variant={SCRIPT: SCRIPT})
    publish(outbox, os.fsdecode(b"caf\xe9\xff-abc123"), photo="x" * 200 + ".jpg", preset="y" * 200)
    publish(outbox, "unseen-abc123", photo="unseen.jpg", preset="woodcut")
    (outbox / preview_of("unseen-abc123")).unlink()
    running = {"job": 1, "photo": SCRIPT, "preset": "scream", "variant": {}, "stage": "paint", "fraction": 0.42}
    now = {
        "at": 4e9,
        "counts": {"queued": 3},
        "running": [running | {"eta_seconds": 75.0}],
        "waiting": [refusal("w.jpg", "The weights are missing.")],
        "failed": [refusal(SCRIPT + "z" * 200, f"{SCRIPT}\nTry another photo.")],
    }
    build(outbox, now=now)
    return outbox


@both_sizes
@pytest.mark.parametrize("dark", [False, True])
def test_opens_from_disk_without_complaint(browser: Browser, outbox: Path, width: int, *, dark: bool) -> None:
    """Every image loads, nothing is refused or missing, and no name runs a script."""
    with visiting(browser, outbox, width=width, dark=dark) as seen:
        expect(seen.tiles).to_have_count(11)
        widths = seen.page.evaluate(EVERY_IMAGE)
        assert len(widths) == 11
        assert min(widths) > 0
        assert seen.facts() == "11 paintings of 6 photos"
        assert seen.page.evaluate("window.ran") is None
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(19, 18, 17)") == dark


def test_hostile_names_are_text_everywhere(browser: Browser, outbox: Path) -> None:
    """In every view of the painting with the worst names: its name can be read, and nothing of it runs."""
    [worst] = [each["id"] for each in hung(outbox) if each["preset"].startswith("<script")]
    for kind in ("picture", "sweep"):
        with visiting(browser, outbox, at=f"{kind}={worst}") as seen:
            expect(seen.page.get_by_role("heading", name="window.ran = 1").first).to_be_visible()
            seen.page.wait_for_timeout(300)
            assert seen.page.evaluate("window.ran") is None
            assert seen.page.evaluate("document.querySelectorAll('script, [onfocus], [onerror]').length") == 1


def test_what_is_not_ours_may_not_run(browser: Browser, outbox: Path) -> None:
    """The policy refuses inline scripts, texts as markup, and other hosts."""
    with visiting(browser, outbox) as seen:
        tried = seen.page.evaluate("""async () => {
          const refused = [];
          document.addEventListener("securitypolicyviolation", event => refused.push(event.violatedDirective));
          try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); refused.push("markup!"); } catch { }
          const script = document.createElement("script");
          try { script.text = "window.ran = 1"; document.body.append(script); } catch { }
          const image = new Image();
          image.src = "https://example.invalid/x.png";
          await new Promise(done => setTimeout(done, 300));
          return {refused, ran: window.ran};
        }""")
        assert tried["ran"] is None
        assert "markup!" not in tried["refused"]
        assert "img-src" in tried["refused"]
        assert seen.complaints != []
        seen.complaints.clear()


def test_fits_every_screen(browser: Browser, outbox: Path) -> None:
    """Nothing reaches beyond the right edge, from phones to large screens, however long a name is."""
    with visiting(browser, outbox) as seen:
        for width in (320, 390, 768, 1280, 2560):
            seen.page.set_viewport_size({"width": width, "height": 800})
            seen.page.wait_for_timeout(100)
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, width


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_legible_in_light_and_dark(browser: Browser, outbox: Path, *, dark: bool) -> None:
    """Plain and quiet text have a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    with visiting(browser, outbox, dark=dark) as seen:
        for selector in ("h1", "#facts", ".caption .title", ".caption .under", ".caption .value", ".filters label"):
            assert seen.page.evaluate(CONTRAST, selector) >= 4.5, selector


@both_sizes
def test_filters_and_search(browser: Browser, outbox: Path, width: int) -> None:
    """By words, preset, photo, date and state, alone and together; and back to all."""
    with visiting(browser, outbox, width=width) as seen:
        page = seen.page
        expect(seen.tiles).to_have_count(11)
        if width == PHONE:
            page.get_by_role("button", name="Filter").click()
        page.get_by_label("Preset").select_option("swept")
        expect(seen.tiles).to_have_count(6)
        page.get_by_label("Search").fill("0.6 STYLE_SCALE")
        expect(seen.tiles).to_have_count(2)
        page.get_by_role("button", name="Show all").click()
        expect(seen.tiles).to_have_count(11)
        page.get_by_label("Photo").select_option(label="sea.jpg")
        expect(seen.tiles).to_have_count(1)
        page.get_by_label("Photo").select_option("")
        page.get_by_label("from").fill("2026-03-05")
        page.get_by_label("to", exact=True).fill("2026-03-06")
        expect(seen.tiles).to_have_count(6)
        page.get_by_label("State").select_option("warned")
        expect(page.get_by_role("heading", name="Nothing fits.")).to_be_visible()
        page.get_by_role("button", name="Show all").click()
        page.get_by_label("State").select_option("warned")
        expect(seen.tiles).to_have_count(1)


def test_the_wall_by_keyboard(browser: Browser, outbox: Path) -> None:
    """One stop of Tab for the whole wall; arrows, Home and End move in it, and the focus is always seen."""
    with visiting(browser, outbox) as seen:
        expect(seen.tiles).to_have_count(11)
        seen.tiles.first.focus()
        assert seen.focused().startswith("upright.jpg")
        seen.keys("ArrowRight")
        assert seen.focused() == "sweep.jpg, painted with swept, content_weight 3.8, style_scale 1"
        seen.keys("End")
        last = seen.focused()
        seen.keys("ArrowRight")
        assert seen.focused() == last
        seen.keys("Home")
        assert seen.focused().startswith("upright.jpg")
        seen.keys("ArrowDown", "ArrowUp")
        assert seen.focused().startswith("upright.jpg")
        outline = "parseFloat(getComputedStyle(document.activeElement.querySelector('.frame')).outlineWidth)"
        assert seen.page.evaluate(outline) >= 3
        seen.keys("/")
        assert seen.page.evaluate("document.activeElement.type") == "search"


@both_sizes
def test_the_picture_view(browser: Browser, outbox: Path, width: int) -> None:
    """A painting opens large with its record, loss and recipe; the next ones by button, key and the address."""
    with visiting(browser, outbox, width=width) as seen:
        page = seen.page
        page.get_by_label("sweep.jpg, painted with swept, content_weight 0.6, style_scale 1").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading", name="sweep.jpg × swept")).to_be_visible()
        for text in ("content_weight", "0.6", "patch 1, cpu", "decode 0.5 s", "swept.jpg"):
            expect(dialog.get_by_text(text, exact=False).first).to_be_visible()
        expect(dialog.get_by_role("img", name=re.compile("^Loss from 9 to"))).to_be_visible()
        position = dialog.locator(".position")
        expect(position).to_have_text("4 of 11")
        seen.keys("ArrowRight")
        expect(position).to_have_text("5 of 11")
        dialog.get_by_role("button", name="Newer painting").click()
        expect(position).to_have_text("4 of 11")
        dialog.get_by_text("As a preset").click()
        expect(dialog.locator("pre")).to_contain_text("content_weight: 0.6")
        seen.keys("Escape")
        expect(dialog).to_have_count(0)
        assert seen.focused().startswith("sweep.jpg, painted with swept, content_weight 0.6, style_scale 1")
        page.go_back()


def test_back_closes_the_picture_view(browser: Browser, outbox: Path) -> None:
    """Going back from a painting leads to the wall, and forward to the painting."""
    with visiting(browser, outbox) as seen:
        expect(seen.tiles).to_have_count(11)
        seen.tiles.first.click()
        expect(seen.page.get_by_role("dialog")).to_be_visible()
        seen.page.go_back()
        expect(seen.page.get_by_role("dialog")).to_have_count(0)
        seen.page.go_forward()
        expect(seen.page.get_by_role("dialog")).to_be_visible()


@both_sizes
def test_photo_against_painting(browser: Browser, outbox: Path, width: int) -> None:
    """The slider uncovers the photo, by key too; without a photo it cannot be moved."""
    with visiting(browser, outbox, width=width, at="picture=sweep-abc123/s.1") as seen:
        slider = seen.page.get_by_role("slider")
        slider.focus()
        seen.keys("End")
        assert slider.get_attribute("aria-valuetext") == "100 % photo"
        clip = "getComputedStyle(document.querySelector('.stage .picture')).clipPath"
        assert seen.page.evaluate(clip) == "inset(0px 0px 0px 100%)"
        expect(seen.page.get_by_alt_text("The photo sweep.jpg")).to_be_visible()
        seen.page.get_by_role("heading", name="sweep.jpg").focus()
        seen.keys("b")
        assert seen.page.evaluate(clip) == "none"
    with visiting(browser, outbox, width=width, at="picture=unseen-abc123/starry-night") as seen:
        expect(seen.page.get_by_role("slider")).to_be_disabled()


def zoom_of(seen: Visit, number: int = 0) -> float:
    """Return how much a stage is zoomed."""
    matrix = "n => new DOMMatrix(getComputedStyle(document.querySelectorAll('.canvas')[n]).transform).a"
    return float(seen.page.evaluate(matrix, number))


def test_zooming(browser: Browser, outbox: Path) -> None:
    """By keys, buttons, wheel and double click; pixel for pixel is what it says; 0 fits again."""
    with visiting(browser, outbox, at="picture=upright-abc123/starry-night") as seen:
        page = seen.page
        expect(page.get_by_role("dialog")).to_be_visible()
        assert zoom_of(seen) == 1
        seen.keys("+", "+")
        assert zoom_of(seen) == pytest.approx(2.25)
        seen.keys("1")
        width = page.evaluate("document.querySelector('.stage .picture').getBoundingClientRect().width")
        assert width == pytest.approx(480, abs=0.5)
        seen.keys("0")
        assert zoom_of(seen) == 1
        stage = page.locator(".stage")
        stage.hover()
        page.mouse.wheel(0, -300)
        assert zoom_of(seen) > 2
        page.get_by_role("button", name="Whole picture").click()
        assert zoom_of(seen) == 1
        stage.dblclick()
        assert zoom_of(seen) >= 2


def swipe(seen: Visit, dx: int) -> None:
    """Draw a finger over the stage."""
    box = seen.page.locator(".stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = seen.context.new_cdp_session(seen.page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        finger.send(
            "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x + dx * step / 5, "y": y}]}
        )
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_swiping(browser: Browser, outbox: Path) -> None:
    """On a phone a finger leads to the next painting and back."""
    with visiting(browser, outbox, width=PHONE, at="picture=sweep-abc123/s.1") as seen:
        position = seen.page.locator(".position")
        expect(position).to_have_text("6 of 11")
        swipe(seen, -120)
        expect(position).to_have_text("7 of 11")
        swipe(seen, 120)
        expect(position).to_have_text("6 of 11")


@both_sizes
def test_comparing_side_by_side(browser: Browser, outbox: Path, width: int) -> None:
    """Up to four paintings, chosen by key or button; zooming one zooms the others."""
    with visiting(browser, outbox, width=width) as seen:
        page = seen.page
        expect(seen.tiles).to_have_count(11)
        seen.tiles.nth(1).focus()
        seen.keys("c")
        expect(page.get_by_role("button", name="Choose another to compare")).to_be_disabled()
        seen.keys("ArrowRight", "c", "ArrowRight", "c")
        page.get_by_role("button", name="Compare 3").click()
        expect(page.get_by_role("dialog").locator(".stage")).to_have_count(3)
        seen.keys("+")
        assert [zoom_of(seen, n) for n in range(3)] == [pytest.approx(1.5)] * 3
        place = page.get_by_role("region", name="sweep.jpg, painted with swept, content_weight 3.8, style_scale 1")
        place.focus()
        seen.keys("k", "Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("button", name="Save 1 pick")).to_be_visible()
        page.get_by_role("button", name="None").click()
        expect(page.locator(".tray")).to_be_hidden()


@both_sizes
def test_a_sweep_as_a_grid(browser: Browser, outbox: Path, width: int) -> None:
    """Rows and columns are labelled, each cell is the variant of its labels and leads to the painting."""
    with visiting(browser, outbox, width=width, at="sweep=sweep-abc123/s.0") as seen:
        page = seen.page
        table = page.get_by_role("table")
        assert table.get_by_role("columnheader").all_inner_texts() == ["content_weight", "0.2", "0.6", "3.8"]
        assert table.get_by_role("rowheader").all_inner_texts() == ["0.5", "1"]
        cell = table.get_by_role("row").nth(3).get_by_role("link").nth(1)
        expect(cell.get_by_role("img")).to_have_attribute(
            "alt", "sweep.jpg, painted with swept, content_weight 0.6, style_scale 1"
        )
        page.get_by_role("button", name="Turn the grid").click()
        assert table.get_by_role("rowheader").all_inner_texts() == ["0.2", "0.6", "3.8"]
        table.get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="sweep.jpg × swept")).to_be_visible()


@both_sizes
def test_picking(browser: Browser, outbox: Path, width: int) -> None:
    """Marks by key and by button, kept over a reload, filtered by, and saved as a file that names each painting."""
    with visiting(browser, outbox, width=width) as seen:
        page = seen.page
        expect(seen.tiles).to_have_count(11)
        seen.tiles.first.focus()
        seen.keys("k", "ArrowRight", "x", "ArrowRight", "s", "ArrowRight", "k", "u")
        seen.keys("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Keep (K)").click()
        expect(page.get_by_role("button", name="Keep (K)")).to_have_attribute("aria-pressed", "true")
        seen.keys("Escape")
        page.reload()
        expect(page.get_by_label("upright.jpg, painted with starry-night, kept")).to_be_visible()
        if width == PHONE:
            page.get_by_role("button", name="Filter").click()
        page.get_by_label("State").select_option("keep")
        expect(seen.tiles).to_have_count(2)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save 4 picks").click()
        content = json.loads(Path(saved.value.path()).read_bytes())
        assert saved.value.suggested_filename == "picks.json"
        assert {each["painting"]: each["mark"] for each in content["picks"]} == {
            "upright-abc123/starry-night": "keep",
            "sweep-abc123/s.5": "reject",
            "sweep-abc123/s.4": "star",
            "sweep-abc123/s.3": "keep",
        }


@both_sizes
def test_what_goes_on(browser: Browser, outbox: Path, width: int) -> None:
    """What is being painted with its progress, what waits and what failed, each with its reason."""
    with visiting(browser, outbox, width=width) as seen:
        page = seen.page
        page.get_by_role("button", name="1 being painted, 1 waiting, 1 failed").click()
        queue = page.get_by_role("region", name="What is going on")
        assert queue.get_by_role("progressbar").get_attribute("value") == "42"
        for text in ("42 %, 1 min 15 s left", "The weights are missing.", "Try another photo.", "3 pictures are in"):
            expect(queue.get_by_text(text)).to_be_visible()
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_goes_on_stays_unfolded(browser: Browser, tmp_path: Path) -> None:
    """Between two photos there may be nothing to tell: with the next one it is unfolded as it was."""
    publish(tmp_path)
    painting = {"at": 4e9, "running": [{"photo": "me.jpg", "preset": "scream", "fraction": 0.5}]}
    build(tmp_path, now=painting)
    with visiting(browser, tmp_path) as seen:
        bar = seen.page.get_by_role("progressbar")
        seen.page.get_by_role("button", name="1 being painted").click()
        expect(bar).to_be_visible()
        build(tmp_path, now={"at": 4e9})
        expect(bar).to_have_count(0)
        build(tmp_path, now=painting)
        expect(bar).to_be_visible()


VIEWS = {
    "wall": "",
    "picture": "picture=sweep-abc123/s.1",
    "compare": "compare=sweep-abc123/s.1,sweep-abc123/s.2,upright-abc123/starry-night",
    "sweep": "sweep=sweep-abc123/s.0",
}


@both_sizes
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("view", VIEWS)
def test_accessible_to_everybody(browser: Browser, outbox: Path, view: str, width: int, *, dark: bool) -> None:
    """axe-core finds no violation in any view, with what goes on unfolded, on a phone and on a desk, light and dark."""
    with visiting(browser, outbox, width=width, dark=dark, at=VIEWS[view], bypass_csp=True) as seen:
        if view == "wall":
            seen.tiles.first.focus()
            seen.keys("k", "c")
            seen.page.get_by_role("button", name="1 being painted").click()
            if width == PHONE:
                seen.page.get_by_role("button", name="Filter").click()
        else:
            expect(seen.page.get_by_role("dialog").get_by_role("img").first).to_be_visible()
            seen.page.wait_for_function("document.querySelectorAll('dialog').length === 1")
        if view == "picture":
            seen.page.get_by_text("Every number").click()
            seen.page.get_by_text("As a preset").click()
        found = Axe().run(seen.page)
        assert found.violations_count == 0, found.generate_report()


def test_nothing_shifts_while_pictures_arrive(browser: Browser, outbox: Path) -> None:
    """From the first tile on nothing moves by itself (Cumulative Layout Shift is nearly 0)."""
    with visiting(browser, outbox) as seen:
        shift = seen.page.evaluate("""() => new Promise(done => {
          let sum = 0;
          new PerformanceObserver(list => { for (const entry of list.getEntries()) sum += entry.value; })
            .observe({type: "layout-shift", buffered: true});
          setTimeout(() => done(sum), 700);
        })""")
        assert shift < 0.02


def test_thousands_hang_and_few_are_in_the_page(browser: Browser, tmp_path: Path) -> None:
    """However many paintings there are, the page holds those near the screen; scrolled to the end it shows the last."""
    record = publish(tmp_path, "p0-abc123").read_text()
    for n in range(1, 3000):
        folder = tmp_path / f"p{n}-abc123"
        folder.mkdir()
        (folder / "starry-night.json").write_text(record)
        os.link(tmp_path / "p0-abc123/starry-night.jpg", folder / "starry-night.jpg")
    build(tmp_path)
    with visiting(browser, tmp_path) as seen:
        expect(seen.page.locator("#facts")).to_have_text("3,000 paintings of 3,000 photos")
        assert seen.tiles.count() < 100
        seen.tiles.first.focus()
        seen.keys("End")
        expect(seen.page.locator(".tile[aria-posinset='3000'] .tile-link")).to_be_focused()
        expect(seen.page.locator(".tile[aria-posinset='3000']")).to_be_in_viewport()
        assert seen.tiles.count() < 150


def test_news_appear_by_themselves(browser: Browser, tmp_path: Path) -> None:
    """A page that is open shows a new painting, and misses one that was deleted, without being loaded again."""
    publish(tmp_path)
    build(tmp_path)
    with visiting(browser, tmp_path) as seen:
        expect(seen.tiles).to_have_count(1)
        publish(tmp_path, "new-abc123", photo="new.jpg", finished_at="2026-04-01T12:00:00Z")
        build(tmp_path)
        expect(seen.tiles).to_have_count(2)
        assert seen.tiles.first.get_attribute("href") == "#picture=new-abc123/starry-night"
        (tmp_path / "me-abc123" / "starry-night.json").unlink()
        build(tmp_path)
        expect(seen.tiles).to_have_count(1)


def test_what_comes_late_is_asked_for_again(browser: Browser, tmp_path: Path) -> None:
    """A share that hands out the new list of paintings before the paintings: they appear when they are there."""
    outbox, later = tmp_path / "outbox", tmp_path / "later"
    publish(outbox)
    build(outbox)
    publish(outbox, "new-abc123", photo="new.jpg", finished_at="2026-04-01T12:00:00Z")
    shutil.copytree(outbox, later)
    build(later)
    with visiting(browser, outbox) as seen:
        expect(seen.tiles).to_have_count(1)
        with seen.page.expect_request(SHARD):
            shutil.copy(later / "gallery/data/index.js", outbox / "gallery/data/index.js")
        with seen.page.expect_request(SHARD):
            pass
        assert seen.tiles.count() == 1
        shutil.copytree(later / "gallery", outbox / "gallery", dirs_exist_ok=True)
        expect(seen.tiles).to_have_count(2)


def test_an_empty_gallery_opens_too(browser: Browser, tmp_path: Path) -> None:
    """The page of an empty outbox says what to do, without complaint."""
    build(tmp_path)
    with visiting(browser, tmp_path, width=PHONE) as seen:
        expect(seen.page.get_by_role("heading", name="Nothing hangs here yet.")).to_be_visible()
