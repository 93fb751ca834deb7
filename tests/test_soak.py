"""Photos keep coming, in every way, while the daemon is killed with -9 again and again at no particular moment.

The waypoints of test_crashes.py are the moments that somebody thought of; here it is the clock that decides. The
schedule of drops and deaths comes from a seed, which the name of the test says.
"""

import os
import random
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from crashes import KILLED, PLAIN, Inbox, Launcher, furnish
from house import House, photo
from invariants import sha256_of
from neural_selfie.ledger import open_ledger
from neural_selfie.model import JobState

SCHEDULES = ((1, 40, 20), (2, 200, 100))  # seed, photos, kills
LIVES_SECONDS = (0.0, 1.0)
COPIES = 10  # one in so many photos is dropped a second time, one has a sidecar, one lies in a folder that is moved in


class Droppers:
    """People who drop photos, one every now and then, each in another way; `files` says what they dropped."""

    def __init__(self, house: House, count: int, pause_seconds: float, rng: random.Random) -> None:
        self.inbox = house.inbox
        self.outside = house.root.with_name("camera")
        self.outside.mkdir()
        self.photos = [photo(self.outside / f"{number}.png", seed=number) for number in range(count)]
        self.pictures = {sha256_of(path): 1 for path in self.photos}
        self.files: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        self._pause_seconds = pause_seconds
        self._rng = rng
        self._thread = threading.Thread(target=self._drop_all)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _drop_all(self) -> None:
        for number, path in enumerate(self.photos):
            time.sleep(self._rng.uniform(0, 2 * self._pause_seconds))
            if number % COPIES == 1:
                self._sidecar(path)
                self._drop(path, self.inbox / path.name, folders=False)
            else:
                self._drop(path, self.inbox / path.name)
            if number % COPIES == 2:
                again = self._rng.choice(self.photos[: number + 1])
                self._drop(again, self.inbox / f"again-{number}.png")

    def _sidecar(self, path: Path) -> None:
        wish = self.outside / "wish.yaml"
        wish.write_text(f"# for {path.name}\n{PLAIN}")
        self.files[sha256_of(wish)] += 1
        wish.rename(self.inbox / f"{path.name}.yaml")

    def _drop(self, source: Path, target: Path, *, folders: bool = True) -> None:
        ways = [self._copy, self._move, self._link, self._in_pieces]
        way = self._rng.choice([*ways, self._in_a_folder] if folders else ways)
        self.ways[way.__name__] += 1
        self.files[sha256_of(source)] += 1
        way(source, target)

    def _copy(self, source: Path, target: Path) -> None:
        shutil.copyfile(source, target)

    def _move(self, source: Path, target: Path) -> None:
        shutil.copyfile(source, self.outside / "moving").rename(target)

    def _link(self, source: Path, target: Path) -> None:
        """As a client that finishes an upload by a hard link."""
        part = shutil.copyfile(source, target.with_name(f"{target.name}.filepart"))
        os.link(part, target)
        part.unlink()

    def _in_pieces(self, source: Path, target: Path) -> None:
        data = source.read_bytes()
        with target.open("wb", buffering=0) as file:
            for start in range(0, len(data), len(data) // 3 + 1):
                file.write(data[start : start + len(data) // 3 + 1])
                time.sleep(self._rng.uniform(0, 0.4))

    def _in_a_folder(self, source: Path, target: Path) -> None:
        album = self.outside / f"album-{target.stem}"
        album.mkdir()
        shutil.copyfile(source, album / target.name)
        album.rename(self.inbox / album.name)


def tried_again(house: House) -> int:
    """Try the photos again of which the daemon seems to die, as a person does who knows better; return how many."""
    with open_ledger(house.state) as ledger:
        given_up = [job for job in ledger.jobs(state=JobState.FAILED) if job.cause == "daemon_died"]
        for job in given_up:
            ledger.retry(job.id, now=time.time())
    return len(given_up)


@pytest.mark.parametrize(
    ("seed", "photos", "kills"),
    [
        pytest.param(*SCHEDULES[0], marks=pytest.mark.timeout(400)),
        pytest.param(*SCHEDULES[1], marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_killed_at_random_moments(seed: int, photos: int, kills: int, launcher: Launcher, tmp_path: Path) -> None:
    """At the end every photo is in exactly one place and painted exactly once, whenever the daemon died."""
    rng = random.Random(seed)  # noqa: S311 - no secret, a schedule
    inbox = Inbox(House(tmp_path / "house"), launcher)
    furnish(inbox.house, "move")
    inbox.house.settings["watch"] = {"quiet_seconds": 0.1, "truncated_seconds": 60, "rescan_seconds": 1}
    inbox.house.write_config()
    lives = [rng.uniform(*LIVES_SECONDS) for _ in range(kills)]
    with Droppers(inbox.house, photos, sum(lives) / photos, random.Random(rng.random())) as droppers:  # noqa: S311
        for life in lives:
            assert inbox.run(painter="instant", lives=life).code == KILLED, inbox.log()
    code = inbox.run(painter="instant").code
    if tried_again(inbox.house):
        code = inbox.run(painter="instant").code
    assert code == 0, inbox.log()
    inbox.files, inbox.pictures = droppers.files, droppers.pictures
    assert inbox.faults() == [], f"seed {seed}\n{inbox.log()}"
    assert len(droppers.ways) == 5
