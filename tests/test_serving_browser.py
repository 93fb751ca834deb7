"""The live page in a real browser, beside a real daemon: progress, new pictures, picks and wishes without a reload."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from gallery_visits import DESKTOP, PHONE, Visit, chromium, visiting
from house import House, photo, wait_until
from served import Served, serving

pytestmark = pytest.mark.browser
SWEEP = {"content_weight": [0.2, 0.6], "style_scale": [0.5, 1.0]}
both_sizes = pytest.mark.parametrize("width", [PHONE, DESKTOP])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium() as browser:
        yield browser


@contextmanager
def painted(root: Path, painter: str = "in_disguise") -> Iterator[House]:
    """A house whose daemon has painted a sweep of one photo and goes on running."""
    house = House(root)
    house.settings["presets"]["swept"] = house.settings["presets"]["plain"] | {"sweep": SWEEP}
    house.settings |= {"default_presets": ["swept"], "rules": [{"match": "one/**", "presets": ["plain"]}]}
    house.write_config()
    (house.inbox / "one").mkdir()
    photo(house.inbox / "me.png", seed=1, size=(160, 120))
    house.start(painter)
    try:
        wait_until(lambda: len(house.records()) == 4)
        yield house
        house.check()
    finally:
        house.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that all tests of this file share."""
    with painted(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def server(house: House) -> Iterator[Served]:
    """Its live page."""
    with serving(house) as server:
        yield server


def without_reload(seen: Visit) -> None:
    """Leave a mark in the page that a reload would remove."""
    seen.page.evaluate("window.stayed = true")


def drop(house: House, name: str, seed: int) -> None:
    """Drop a photo that gets one picture."""
    photo(house.root / name, seed=seed, size=(160, 120)).rename(house.inbox / "one" / name)


@both_sizes
def test_new_pictures_appear_by_themselves(browser: Browser, house: House, server: Served, width: int) -> None:
    """A photo is dropped while the page is open: its picture hangs there, nobody having asked every few seconds."""
    with visiting(browser, server.address, width=width) as seen:
        asked: list[str] = []
        without_reload(seen)
        seen.page.on("request", lambda request: asked.append(request.url))
        drop(house, f"new-{width}.png", seed=10_000 + width)
        expect(seen.page.locator(".tile-link", has_text=f"new-{width}.png")).to_be_visible()
        assert seen.page.evaluate("window.stayed")
        assert not [url for url in asked if "now.js" in url]
        assert len([url for url in asked if "index.js" in url]) <= 5


@both_sizes
def test_picks_are_done_at_once(browser: Browser, house: House, server: Served, width: int) -> None:
    """A key marks the record within seconds; a reject moves away, and can be taken back before; no file is saved."""
    name, gone = f"keep-{width}.png", f"gone-{width}.png"
    for number, each in enumerate((name, gone)):
        drop(house, each, seed=1000 * number + width)
    with visiting(browser, server.address, width=width) as seen:
        tile = seen.page.locator(".tile", has_text=name)
        expect(tile).to_be_visible()
        expect(seen.page.locator(".tile", has_text=gone)).to_be_visible()
        tile.locator("a").focus()
        seen.keys("x", "s")  # a reject that is taken back by another mark
        wait_until(lambda: f"{name}: star" in marks(house))
        expect(seen.page.get_by_role("button", name="Save")).to_be_hidden()
        seen.page.locator(".tile", has_text=gone).locator("a").click()
        seen.page.get_by_role("button", name="Reject (X)").click()
        wait_until(lambda: len(list(house.root.glob("rejected/*/plain.json"))) == (1 if width == PHONE else 2))
        expect(seen.page.locator(".tile", has_text=gone)).to_have_count(0)
        seen.page.get_by_role("button", name="Close").click()
        tile.locator("a").focus()
        seen.keys("u")
        wait_until(lambda: f"{name}: star" not in marks(house))


def marks(house: House) -> list[str]:
    """Return what the records say that somebody thought of them."""
    return [f"{each['photo']['name']}: {each['review']['mark']}" for each in house.records() if each.get("review")]


@both_sizes
def test_again_with_other_values(browser: Browser, house: House, server: Served, width: int) -> None:
    """The form in the picture view queues the photo once more; the new picture hangs beside the old, which stays."""
    weight = 1.25 if width == PHONE else 2.5
    with visiting(browser, server.address, width=width) as seen:
        seen.page.locator(".tile-link", has_text="me.png").first.click()
        seen.page.get_by_text("Again, with other values").click()
        field = seen.page.get_by_label("content_weight", exact=True)
        expect(field).to_have_attribute("min", "0")
        seen.page.get_by_role("button", name="Paint it").click()
        expect(seen.page.get_by_text("change one")).to_be_visible()
        seen.complaints.clear()  # the browser tells of every answer that is a refusal
        field.fill(str(weight))
        seen.page.get_by_label("seed", exact=True).fill("7")
        assert Axe().run(seen.page).response["violations"] == []
        field.press("Enter")
        expect(seen.page.get_by_text("In the line as job")).to_be_visible()
        wait_until(
            lambda: [each["seed"] for each in house.records() if each["recipe"]["content_weight"] == weight] == [7]
        )
        seen.page.get_by_role("button", name="Close").click()
        seen.page.get_by_role("searchbox").fill(f"content_weight {weight}")
        expect(seen.tiles).to_have_count(1)
    [made] = [each for each in house.records() if each["recipe"]["content_weight"] == weight]
    assert made["variant"]["seed"] == 7
    assert (house.originals / "me.png").exists()


def test_what_cannot_be_painted_again_says_why(browser: Browser, house: House, server: Served) -> None:
    """A photo that its owner took away: the page says so, and nothing is queued."""
    drop(house, "away.png", seed=77)
    with visiting(browser, server.address) as seen:
        tile = seen.page.locator(".tile-link", has_text="away.png")
        expect(tile).to_be_visible()
        wait_until((house.originals / "away.png").exists)
        (house.originals / "away.png").rename(house.root / "elsewhere.png")
        tile.click()
        seen.page.get_by_text("Again, with other values").click()
        seen.page.get_by_label("content_weight", exact=True).fill("3")
        seen.page.get_by_role("button", name="Paint it").click()
        expect(seen.page.get_by_text("was not kept. Drop it again")).to_be_visible()
        seen.complaints.clear()
    assert house.status()["queued"] == []


def test_progress_is_seen_as_it_happens(browser: Browser, tmp_path: Path) -> None:
    """While a slow painter works, the bar goes on without a reload; then the tile is there."""
    with painted(tmp_path) as house:
        house.kill()
        house.start("until_told")
        with serving(house) as server, visiting(browser, server.address) as seen:
            without_reload(seen)
            drop(house, "slow.png", seed=5)
            expect(seen.page.get_by_role("button", name="1 being painted")).to_be_visible()
            seen.page.get_by_role("button", name="1 being painted").click()
            bar = seen.page.get_by_role("progressbar", name="slow.png painted with plain")
            fractions = {0.0}
            for _ in range(3):
                seen.page.wait_for_function(
                    "low => document.querySelector('progress')?.value > low", arg=max(fractions)
                )
                fractions.add(float(bar.evaluate("bar => bar.value")))
            house.let_go()
            expect(seen.page.locator(".tile-link", has_text="slow.png")).to_be_visible()
            assert seen.page.evaluate("window.stayed")


def test_the_page_outlives_server_and_daemon(browser: Browser, tmp_path: Path) -> None:
    """It says when no daemon runs; when the server goes it asks as from a disk, and when it is back hears again."""
    with painted(tmp_path) as house, serving(house) as first, visiting(browser, first.address) as seen:
        without_reload(seen)
        house.kill()
        expect(seen.page.get_by_role("button", name="No daemon runs")).to_be_visible()
        port = first.host.rpartition(":")[2]
        assert first.stop() == 0
        with seen.page.expect_event("requestfailed", lambda request: "index.js" in request.url):
            pass
        with serving(house, "--port", port):
            house.start("in_disguise")
            expect(seen.page.get_by_role("button", name="No daemon runs")).to_be_hidden()
            drop(house, "later.png", seed=6)
            expect(seen.page.locator(".tile-link", has_text="later.png")).to_be_visible()
            assert seen.page.evaluate("window.stayed")
        seen.complaints.clear()  # of the time without a server


@both_sizes
def test_axe_finds_nothing(browser: Browser, server: Served, width: int) -> None:
    """No violation on the live wall and in its picture view, in light and dark."""
    for dark in (False, True):
        with visiting(browser, server.address, width=width, dark=dark) as seen:
            assert Axe().run(seen.page).response["violations"] == []
            seen.tiles.first.click()
            seen.page.get_by_text("Again, with other values").click()
            expect(seen.page.get_by_role("button", name="Paint it")).to_be_visible()
            assert Axe().run(seen.page).response["violations"] == []


def test_the_page_from_disk_has_nothing_of_it(browser: Browser, house: House) -> None:
    """Where there is no server, nothing asks for one."""
    with visiting(browser, house.outbox) as seen:
        seen.tiles.first.click()
        expect(seen.page.get_by_text("Copy as preset")).to_be_visible()
        expect(seen.page.get_by_text("Again, with other values")).to_have_count(0)
    assert b"EventSource" not in (house.outbox / "index.html").read_bytes()


def test_strangers_see_only_a_sentence(browser: Browser, house: House) -> None:
    """With a token asked for, the address with it opens the page and the one without does not, until then."""
    token = house.root / "token"
    token.write_text(json.dumps("a-token-of-our-own").strip('"'))
    with serving(house, "--token-file", str(token)) as server:
        plain = server.address.partition("?")[0]
        context = browser.new_context()
        page = context.new_page()
        answer = page.goto(plain)
        assert answer is not None
        assert answer.status == 401
        page.goto(server.address)
        page.locator(".tile-link").first.wait_for()
        assert page.url == plain
        assert page.evaluate("document.cookie") == ""
        page.goto(plain)
        page.locator(".tile-link").first.wait_for()
        context.close()
