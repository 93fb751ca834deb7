"""Crash the real daemon at waypoints and start it again: the launcher of mortal daemons, and inboxes worth losing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from house import HERE, House, photo
from invariants import Expected, faults, sha256_of
from neural_selfie.ledger import open_ledger
from neural_selfie.model import JobState

KILLED = -signal.SIGKILL
ELSEWHERE = {  # waypoints that are only passed so; see test_crashes_elsewhere.py
    "keep": {"photo.remembered", "recovery.explained"},
    "delete": {"photo.deleted"},
    "between file systems": {"move.copied", "move.doubled", "move.claimed", "move.left", "move.twin_found"},
}
# The inbox is scanned at the start and not watched. With one attempt nothing would be painted in batches.
SETTINGS = {
    "watch": {"quiet_seconds": 0.1, "truncated_seconds": 0, "polling": "always"},
    "retry": {"attempts": 2, "backoff_seconds": 0, "waiting_seconds": 0.5, "stop_seconds": 0.5},
    "log": {"level": "debug"},
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a daemon ended: its exit code, or KILLED, and the waypoints that it passed."""

    code: int
    passed: tuple[str, ...]


class Launcher:
    """Starts mortal daemons; see mortal_daemon.py."""

    def __init__(self) -> None:
        self._process = _launched()

    def run(self, house: House, **order: Any) -> Ended:
        """Run a daemon with `--once` until it ends, by itself or as `order` (see `Fate`) says.

        One that `lives` so many seconds runs without `--once`, and is killed then.
        """
        trace = house.root.with_name(f"{house.root.name}.trace")
        fate: dict[str, Any] = {"at": None, "after": None, "passing": 1, "spare": None, "until": None, "disks": []}
        fate |= {"painter": "raises_for_poison", "lives": None}
        files = {"trace": str(trace), "log": str(house.root.with_name(f"{house.root.name}.log"))}
        once = [] if "lives" in order else ["--once"]
        called = {"arguments": ["run", *once, "--config", str(house.config)], "home": str(house.root.resolve())}
        code = self._answer(json.dumps(fate | files | called | order))
        return Ended(code, tuple(trace.read_text().split()))

    def close(self) -> None:
        """End the launcher and whatever daemon it waits for."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=60)

    def _answer(self, order: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{order}\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())
        except BaseException:  # a test that ran out of time: its answer is not to be taken for that of the next
            self.close()
            self._process = _launched()
            raise


def _launched() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(HERE / "mortal_daemon.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE)},
        start_new_session=True,
    )


@dataclass(slots=True)
class Inbox:
    """A house with things in its inbox, and what is to become of them: `action` is that of its originals."""

    house: House
    launcher: Launcher
    action: str = "move"
    files: Counter[str] = field(default_factory=Counter)
    pictures: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def drop(self, path: Path, *, pictures: int, seed: int, wish: str | None = None) -> Path:
        """Put a photo at a path, its sidecar before it, and the mask that the sidecar names before that."""
        path.parent.mkdir(exist_ok=True)
        company = []
        if wish is not None and "mask:" in wish:
            company.append(mask(path.with_suffix(".mask.png"), seed))
        if wish is not None:
            company.append(path.with_name(f"{path.name}.yaml"))
            company[-1].write_text(f"# for {path.name}\n{wish}")
        photo(path, seed=seed)
        if path.stem == "notes":
            path.write_text("no picture\n" * 30)
        if pictures:
            self.pictures[sha256_of(path)] = pictures
        else:
            self.failed.add(sha256_of(path))
        if not (pictures and self.action == "delete"):
            self.count(path, *company)
        return path

    def count(self, *paths: Path) -> None:
        """Take note of files that are not to be lost."""
        self.files.update(map(sha256_of, paths))

    def run(self, **fate: Any) -> Ended:
        """Run a daemon to its end; one that ends by itself ends as it should."""
        ended = self.launcher.run(self.house, **fate)
        assert ended.code in (0, 1, KILLED), self.log()
        return ended

    def killed_while_recovering(self) -> list[str]:
        """Kill each start at the first step of its recovery that none before it reached; return them all."""
        killed_at: list[str] = []
        while (ended := self.run(spare=killed_at, until="recovery.ended")).code == KILLED:
            killed_at.append(ended.passed[-1])
        return killed_at

    def faults(self) -> list[str]:
        """Return what is wrong now that everything should be done."""
        return faults(self.house, Expected(self.files, self.pictures, frozenset(self.failed)))

    def log(self) -> str:
        """Return what the daemons of this house said."""
        path = self.house.root.with_name(f"{self.house.root.name}.log")
        return path.read_text() if path.exists() else ""


def mask(path: Path, seed: int) -> Path:
    """Write a mask for a photo of the usual size: black, and white from a column on that depends on the seed."""
    image = Image.new("RGB", (80, 60), "black")
    image.paste("white", (10 + seed, 0, 80, 60))
    image.save(path, "PNG")
    return path


def furnish(house: House, action: str) -> None:
    """Write a configuration with a plain preset, one with regions, and one with a sweep of three in one batch."""
    weights = house.root / "vgg.pth"
    weights.write_bytes(b"numbers")  # no painter of the zoo reads them
    style = house.settings["presets"]["plain"]["style"]
    gatys = {"engine": "gatys", "weights": str(weights), "size": 64, "format": "png"}
    regions = [{"image": style, "region": "white"}, {"image": style}]
    house.settings |= SETTINGS | {"originals": {"action": action}, "default_presets": ["plain"]}
    house.settings["presets"] |= {
        "parts": gatys | {"style": regions},
        "three": gatys | {"style": style, "sweep": {"content_weight": [0.2, 0.6, 1.5]}},
    }
    house.write_config()


PLAIN = "presets: [plain]\n"


def parts(name: str) -> str:
    """Return the wish of a photo that has a mask."""
    return f"presets: [parts]\nmask: {name}.mask.png\n"


def full(house: House, launcher: Launcher, action: str = "move") -> Inbox:
    """Fill an inbox with everything that goes its own way, some of it failed yesterday, some names taken already."""
    furnish(house, action)
    inbox = Inbox(house, launcher, action)
    drop, folder = inbox.drop, house.inbox
    drop(folder / "sorry.png", pictures=1, seed=1, wish=parts("sorry"))
    worse = drop(folder / "worse.png", pictures=1, seed=2, wish=PLAIN)
    inbox.run(painter="raises")
    with open_ledger(house.state) as ledger:
        [job] = (job for job in ledger.jobs(state=JobState.FAILED) if job.plan.preset == "parts")
        ledger.retry(job.id, now=job.queued_at + 1)
    photo(worse, seed=2)  # dropped again
    if action == "move":
        inbox.count(worse)
        for number, place in enumerate([house.originals, house.failed]):
            inbox.count(photo(place / "plain.png", seed=50 + number), mask(place / "masked.mask.png", 60 + number))
        inbox.failed.add(sha256_of(house.failed / "plain.png"))
        (house.failed / "plain.png.error.json").write_text("{}")
    drop(folder / "plain.png", pictures=1, seed=3)
    drop(folder / "wished.png", pictures=1, seed=4, wish=PLAIN)
    drop(folder / "masked.png", pictures=1, seed=5, wish=parts("masked"))
    for name in ("one", "two"):  # the same photo twice, the second while the sweep of the first is painted
        drop(
            folder / "pair" / f"{name}.png",
            pictures=4,
            seed=9,
            wish=f"presets: [three, parts]\nmask: {name}.mask.png\n",
        )
    drop(folder / "poison.png", pictures=0, seed=7, wish=parts("poison"))
    drop(folder / "notes.png", pictures=0, seed=8, wish=parts("notes"))
    return inbox


@dataclass(frozen=True, slots=True)
class Prepared:
    """A house as it was before the daemon started, for as many daemons as need it."""

    inbox: Inbox
    snapshot: Path

    def again(self) -> Inbox:
        """Put everything back as it was, without removing folders that something may be mounted at."""
        house = self.inbox.house
        for path in house.root.iterdir():
            _empty(path)
        shutil.copytree(self.snapshot, house.root, symlinks=True, dirs_exist_ok=True)
        house.root.with_name("house.log").unlink(missing_ok=True)
        of = self.inbox
        return Inbox(house, of.launcher, of.action, Counter(of.files), dict(of.pictures), set(of.failed))


def prepared(inbox: Inbox) -> Prepared:
    """Given a filled inbox, keep it for later."""
    root = inbox.house.root
    shutil.copytree(root, root.with_name("snapshot"), symlinks=True)
    return Prepared(inbox, root.with_name("snapshot"))


def _empty(path: Path) -> None:
    if not path.is_dir():
        path.unlink()
        return
    for inner in path.iterdir():
        if inner.is_dir():
            shutil.rmtree(inner)
        else:
            inner.unlink()
