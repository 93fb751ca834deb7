"""A daemon in a folder of its own: write its configuration, drop photos, run the real process, look at the outcome."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from neural_selfie import cli
from neural_selfie.ledger import open_ledger

HERE = Path(__file__).parent


@dataclass
class House:
    """`root` holds inbox, outbox, originals, failed, state and config.yaml."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox.mkdir(parents=True, exist_ok=True)
        style = self.root / "style.png"
        photo(style, seed=99, size=(64, 48))
        self.settings = {
            "inbox": str(self.inbox),
            "state": str(self.state),
            "presets": {"plain": {"style": str(style), "size": 64, "format": "png"}},
            "watch": {"quiet_seconds": 0.3, "truncated_seconds": 1.0, "rescan_seconds": 2.0},
            "retry": {"backoff_seconds": 0.1, "waiting_seconds": 0.5, "stop_seconds": 0.5},
            "disks": {"free_mib": 0},
            "log": {"level": "debug"},
        } | self.settings
        self.write_config()

    def write_config(self) -> None:
        """Write the settings as they are now."""
        self.config.write_text(yaml.safe_dump(self.settings), encoding="utf-8")

    @property
    def inbox(self) -> Path:
        """Where photos are dropped."""
        return self.root / "inbox"

    @property
    def outbox(self) -> Path:
        """Where pictures appear."""
        return self.root / "outbox"

    @property
    def originals(self) -> Path:
        """Where photos go that are done."""
        return self.root / "originals"

    @property
    def failed(self) -> Path:
        """Where photos go that are not."""
        return self.root / "failed"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.root / "state"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "config.yaml"

    def start(self, painter: str = "instant", *arguments: str) -> subprocess.Popen[str]:
        """Start the daemon and return its process; its log goes to daemon.log."""
        with (self.root / "daemon.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "daemon_with.py"), painter, str(self.config), *arguments],
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONPATH": str(HERE), "NEURAL_SELFIE_TEST_GATE": str(self.gate)},
            )
        self.processes.append(process)
        return process

    @property
    def gate(self) -> Path:
        """The file for which the painter `until_told` waits."""
        return self.root / "enough"

    def let_go(self) -> None:
        """Let the painter `until_told` finish, what it paints now and everything after it."""
        self.gate.touch()

    def once(self, painter: str = "instant") -> int:
        """Run `--once` to its end and return the exit code."""
        return self.start(painter, "--once").wait(timeout=60)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the real command line on this house."""
        return subprocess.run(
            [sys.executable, "-m", "neural_selfie", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """Return what `status --json` says, asked in this process: tests ask it again and again."""
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            cli.group.main(["status", "--json", "--config", str(self.config)], "neural-selfie", standalone_mode=False)
        view: dict[str, Any] = json.loads(told.getvalue())
        return view

    def kill(self) -> None:
        """End the newest daemon with -9, as the kernel's memory killer would."""
        self.processes[-1].kill()
        self.processes[-1].wait(timeout=60)

    def close(self) -> None:
        """End every daemon that still runs, once what it has painted is put away."""
        with contextlib.suppress(AssertionError):  # then `check` says so
            wait_until(lambda: self._at_rest() or not any(map(_goes_on, self.processes)), seconds=20)
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=60)

    def _at_rest(self) -> bool:
        spool = self.state / "rendered"
        return not spool.exists() or not any(spool.iterdir())

    def records(self) -> list[dict[str, Any]]:
        """Return the records in the outbox."""
        return [json.loads(path.read_bytes()) for path in sorted(self.outbox.glob("*/*.json"))]

    def log(self) -> str:
        """Return the daemon's log."""
        return (self.root / "daemon.log").read_text()

    def check(self) -> None:
        """Fail unless the ledger's invariants hold, every picture is whole and nothing half-made lies about."""
        with open_ledger(self.state) as ledger:
            assert ledger.check() == []
        # The page may be in the middle of being written when `close` kills the daemon; the next start clears that.
        page = {self.outbox, self.outbox / "gallery"}
        assert [path for path in self.outbox.glob("**/.*.part") if path.parent not in page] == []
        assert self._at_rest(), list((self.state / "rendered").iterdir())
        for path in self.outbox.glob("*/*.json"):
            picture = path.with_name(json.loads(path.read_bytes())["output"]["file"])
            with Image.open(picture) as image:
                image.load()


def _goes_on(process: subprocess.Popen[str]) -> bool:
    """Whether a process lives and is not stopped."""
    if process.poll() is not None:
        return False
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T"


def photo(path: Path, *, seed: int = 0, size: tuple[int, int] = (80, 60)) -> Path:
    """Write a small colourful photo; the suffix decides the format."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def wait_until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    """Return when the condition holds; fail when it does not within the time, which only a broken daemon needs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {condition}")
