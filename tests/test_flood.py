"""A whole memory card at once: what a photo costs does not grow with how many there are. Counted, not timed.

`benchmarks/inbox.py` measures the same with 50,000 photos against the clock.
"""

import os
import re
import time
import tracemalloc
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from house import House, photo
from neural_selfie.inbox.settle import FileFacts, Settler
from neural_selfie.model import Place
from own_intake import own_intake

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


def test_a_photo_among_many_costs_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 600 photos each costs as many statements as of 200, and fewer syncs than there are photos by far."""
    counted: Counter[str] = Counter()
    really = os.fsync

    def fsync(descriptor: int) -> None:
        counted["syncs"] += 1
        really(descriptor)

    def statement(text: str) -> None:
        counted["commits" if text == "COMMIT" else "statements"] += 1

    costs = []
    with own_intake(house) as own:
        monkeypatch.setattr(os, "fsync", fsync)
        own.desk.ledger._database._connection.set_trace_callback(statement)
        for first, number in [(0, 200), (200, 600)]:
            counted.clear()
            card(house.inbox / f"card-{number}", number, first)
            own.admit_all(house.inbox / f"card-{number}")
            costs.append({name: count / number for name, count in counted.items()})
        few, many = costs
        assert len(own.desk.ledger.photos(place=Place.STATE)) == 800
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


@pytest.mark.long
@pytest.mark.timeout(900)
def test_all_of_a_card_are_painted(house: House) -> None:
    """A thousand photos at once through the real daemon: all are painted and filed, and its own process stays small."""
    card(house.inbox, 1000)
    daemon = house.start("instant", "--once")
    peak = 0
    while daemon.poll() is None:
        with suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{daemon.pid}/status").read_text()
            peak = max([peak, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
        time.sleep(0.2)
    assert daemon.returncode == 0
    assert len(house.records()) == len(list(house.originals.iterdir())) == 1000
    assert 0 < peak < 120 * 1024  # in KiB
