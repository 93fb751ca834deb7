"""For tests of the inbox: what it posted, and waiting for it with a deadline instead of sleeping."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neural_selfie.inbox import Inbox, ScanDone, Sighting

HOUR = 3600.0
PATIENCE = 10.0  # seconds until a test fails; none waits that long when all is well
NOBODY = 65534


class Told:
    """What an inbox posted, and waiting for it."""

    def __init__(self) -> None:
        self.messages: list[Sighting | ScanDone] = []
        self._news = threading.Condition()

    def __call__(self, message: Sighting | ScanDone) -> None:
        """Take a message, from any thread."""
        with self._news:
            self.messages.append(message)
            self._news.notify_all()

    def until(self, what: Callable[[], bool]) -> None:
        """Wait until `what` holds, or fail."""
        with self._news:
            assert self._news.wait_for(what, PATIENCE), f"waited in vain; told: {self.messages[-20:]}"

    @property
    def scans(self) -> list[ScanDone]:
        """The scans that ended."""
        return [message for message in self.messages if isinstance(message, ScanDone)]

    def kinds(self, path: Path) -> set[str]:
        """How a path was told."""
        return {message.kind for message in self.messages if isinstance(message, Sighting) and message.path == path}


def eventually(what: Callable[[], bool]) -> None:
    """Wait until `what` holds without being told, or fail."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextmanager
def watched(folder: Path, told: Told, **options: Any) -> Iterator[Inbox]:
    """Yield an inbox that has looked around once and hears events."""
    inbox = Inbox(folder, post=told, **{"rescan_seconds": HOUR, **options})
    inbox.start()
    try:
        told.until(lambda: bool(told.scans))
        yield inbox
    finally:
        inbox.stop()
