"""A whole memory card at once: what a photo costs does not grow with how many there are. Counted, not timed.

`benchmarks/inbox.py` measures the same with 50,000 photos against the clock.
"""

import os
import queue
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from house import House, photo
from neural_selfie import config
from neural_selfie.config import layout
from neural_selfie.config.catalogue import Catalogue, open_catalogue
from neural_selfie.filing import Desk
from neural_selfie.inbox.settle import FileFacts, Settler
from neural_selfie.intake import Intake
from neural_selfie.ledger import open_ledger
from neural_selfie.model import Limits, Place

BYTES_PER_WAITING_PHOTO = 1500


def card(folder: Path, number: int, first: int = 0) -> None:
    """Write small photos, no two alike: each has its number in a text chunk."""
    folder.mkdir(exist_ok=True)
    data = photo(folder / "0.png", size=(40, 40)).read_bytes()
    (folder / "0.png").unlink()
    for index in range(first, first + number):
        chunk = b"tEXtnumber\0" + str(index).encode()
        whole = (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
        (folder / f"{index:05}.png").write_bytes(data[:-12] + whole + data[-12:])


@dataclass(frozen=True, slots=True)
class Desks:
    """A real intake in this process, with the queue that its inspector answers to."""

    intake: Intake
    desk: Desk
    messages: "queue.SimpleQueue[Any]"

    def admit_all(self, folder: Path) -> None:
        """Let every file of a folder be seen, settle, be inspected and admitted."""
        now = time.time()
        for path in sorted(folder.iterdir()):
            self.intake.sighted(path, now)
        while not self.intake.idle:
            self.intake.tick(time.time() + 10)  # they have been quiet for long
            self.intake.inspected(self.messages.get(timeout=60), time.time())


@pytest.fixture
def desks(house: House) -> Iterator[Desks]:
    """Return an intake with a ledger and an inspector of its own."""
    catalogue: Catalogue = open_catalogue(config.load(house.config))
    state = layout.prepare(catalogue.settings)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with open_ledger(house.state) as ledger:
        desk = Desk(catalogue.settings, state, ledger)
        intake = Intake(catalogue.kept_in(state.styles), desk, Limits(), messages.put)
        yield Desks(intake, desk, messages)
        intake.close()


def test_a_photo_among_many_costs_no_more(house: House, desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 600 photos each costs as many statements as of 200, and fewer syncs than there are photos by far."""
    counted: Counter[str] = Counter()
    really = os.fsync

    def fsync(descriptor: int) -> None:
        counted["syncs"] += 1
        really(descriptor)

    def statement(text: str) -> None:
        counted["commits" if text == "COMMIT" else "statements"] += 1

    monkeypatch.setattr(os, "fsync", fsync)
    connection = desks.desk.ledger._database._connection
    connection.set_trace_callback(statement)
    costs = []
    for first, number in [(0, 200), (200, 600)]:
        counted.clear()
        card(house.inbox / f"card-{number}", number, first)
        desks.admit_all(house.inbox / f"card-{number}")
        costs.append({name: count / number for name, count in counted.items()})
    few, many = costs
    assert len(desks.desk.ledger.photos(place=Place.STATE)) == 800
    assert list(house.inbox.rglob("*.png")) == []
    assert many["statements"] <= 1.05 * few["statements"]
    assert many["syncs"] + many["commits"] < 0.5


def test_photos_that_wait_take_little_memory(tmp_path: Path) -> None:
    """50,000 files that are still settling are a few dozen MB: each is a path and what is known of it."""
    settler = Settler(2.0, 120.0)
    number = 5000
    tracemalloc.start()
    try:
        for index in range(number):
            settler.observe(tmp_path / f"card/{index:05}.png", FileFacts(9000, 10**18 + index, index + 10**6, 66), 1.0)
        waiting, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(settler) == number
    assert waiting / number < BYTES_PER_WAITING_PHOTO
