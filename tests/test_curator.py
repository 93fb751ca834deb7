"""The curator: the page follows what the daemon does, whatever happens to the process that makes it."""

import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest

from gallery_samples import data_of, dies_of_poison, hung, publish
from house import House, photo, wait_until
from neural_selfie.curator import Curator


def test_what_goes_on_is_on_the_page(house: House) -> None:
    """A picture that is being painted is told with its progress while it is, and hangs when it is done."""
    photo(house.inbox / "me.png")
    house.start("until_told")
    now = house.outbox / "gallery/data/now.js"
    wait_until(lambda: now.exists() and bool(data_of(house.outbox, "data/now.js").get("running")))
    assert data_of(house.outbox, "data/now.js")["running"][0]["photo"] == "me.png"
    house.let_go()
    wait_until(lambda: len(hung(house.outbox)) == 1)
    wait_until(lambda: data_of(house.outbox, "data/now.js")["running"] == [])
    (house.inbox / "notes.jpg").write_text("no photo\n" * 50)
    wait_until(lambda: bool(data_of(house.outbox, "data/now.js")["failed"]))


def test_a_sweep_has_its_sheet_when_the_daemon_has_ended(house: House) -> None:
    """With `--once` everything hangs at the end: paintings, details, and the contact sheet of the sweep."""
    house.settings["presets"]["plain"]["sweep"] = {"content_weight": [0.2, 0.6]}
    house.write_config()
    photo(house.inbox / "me.png")
    assert house.once() == 0
    assert len(hung(house.outbox)) == 2
    assert len(list(house.outbox.glob("*/plain.sheet.jpg"))) == 1


class Clockwork:
    """A curator of an outbox, driven as the daemon's loop does."""

    def __init__(self, outbox: Path, tmp_path: Path) -> None:
        self.curator = Curator(outbox, tmp_path / "styles", lambda: None)
        self.orders = 0

    def now(self) -> dict[str, Any]:
        """Say what goes on, and count how often it was asked."""
        self.orders += 1
        return {"at": self.orders}

    def until(self, what: Any, *, seconds: float = 30) -> None:
        """Tick until something holds, or fail."""
        deadline = time.monotonic() + seconds
        while not what():
            self.curator.tick(set(), set(), self.now, changed=False)
            time.sleep(0.02)
            assert time.monotonic() < deadline, "waited in vain"


def test_a_sheet_hangs_as_soon_as_its_photo_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with each new picture of the sweep, and not only with the next look at what others did."""
    monkeypatch.setattr("neural_selfie.curator._SWEEP_SECONDS", 1e6)
    outbox = tmp_path / "outbox"
    publish(outbox)
    clockwork = Clockwork(outbox, tmp_path)
    sheet = outbox / "two-abc123" / "swept.sheet.jpg"
    try:
        clockwork.until((outbox / "index.html").exists)
        for number in range(2):
            publish(outbox, "two-abc123", f"swept.{number}", preset="swept", variant={"content_weight": number})
        clockwork.curator.tick({"two-abc123"}, set(), clockwork.now, changed=True)
        clockwork.until(lambda: len(hung(outbox)) == 3)
        assert not sheet.exists()
        clockwork.curator.tick(set(), {"two-abc123"}, clockwork.now, changed=True)
        clockwork.until(sheet.exists)
    finally:
        clockwork.curator.close()


def test_an_outbox_that_is_away_delays_the_page(tmp_path: Path) -> None:
    """While the outbox cannot be read the curator tries again; when it is back, the page is there."""
    outbox = tmp_path / "outbox"
    clockwork = Clockwork(outbox, tmp_path)
    try:
        clockwork.until(lambda: clockwork.orders >= 2)
        publish(outbox)
        clockwork.until((outbox / "index.html").exists)
    finally:
        clockwork.curator.close()
    assert len(hung(outbox)) == 1


def test_a_curator_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """Whoever kills the process delays the page, and nothing that hung is missing afterwards."""
    outbox = tmp_path / "outbox"
    publish(outbox)
    clockwork = Clockwork(outbox, tmp_path)
    others = set(multiprocessing.active_children())
    try:
        clockwork.until((outbox / "index.html").exists)
        [process] = set(multiprocessing.active_children()) - others
        process.kill()
        publish(outbox, "two-abc123")
        clockwork.curator.tick({"two-abc123"}, set(), clockwork.now, changed=True)
        clockwork.until(lambda: len(hung(outbox)) == 2)
    finally:
        clockwork.curator.close()


def test_a_picture_of_which_the_process_dies_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that kills the decoder costs a process once; it hangs as it is, and the others have their copies."""
    monkeypatch.setattr("neural_selfie.curator.hang_here", dies_of_poison)
    outbox = tmp_path / "outbox"
    publish(outbox, "poison-abc123", size=(900, 600), finished_at="2026-03-03T12:00:00Z")
    publish(outbox, "good-abc123", size=(900, 600))
    clockwork = Clockwork(outbox, tmp_path)
    try:
        clockwork.until((outbox / "gallery/small/good-abc123/starry-night.640.webp").exists)
        clockwork.curator.finish(set(), clockwork.now)
    finally:
        clockwork.curator.close()
    assert {each["folder"]: each.get("small") for each in hung(outbox)} == {
        "poison-abc123": None,
        "good-abc123": [320, 640],
    }
