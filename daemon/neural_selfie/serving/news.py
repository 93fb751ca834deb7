"""What goes on, as a stream of server-sent events: progress about twice a second, and word when something new hangs.

Reads what the daemon writes down for `status` (state folder, ledger) and the page's list of shards; nobody listening,
nothing is read. Events: `now` with what goes on, as the page shows it, and `hung` when the list is another.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from neural_selfie import lock, snapshot
from neural_selfie.config import Settings
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import SelfieError
from neural_selfie.gallery import describing
from neural_selfie.gallery.hanging import DATA
from neural_selfie.ledger import open_ledger

_LOOK_SECONDS = 0.4
_BEAT_SECONDS = 15.0  # even if nothing changes: so long a silence means that the line is dead
_RETRY_MS = 2000  # after which a browser comes back that was cut off


@dataclass(frozen=True, slots=True)
class Seen:
    """How things stood at one look. `hung` is another for another list of shards."""

    now: dict[str, Any]
    hung: tuple[int, int, int]


@dataclass(slots=True)
class News:
    """What goes on in one house, for all who listen; looked at once for all of them."""

    settings: Settings
    stopping: Callable[[], bool]
    _seen: Seen | None = None
    _seen_at: float = 0.0
    _turn: anyio.Lock = field(default_factory=anyio.Lock)
    _troubles: tuple[int, tuple[snapshot.Trouble, ...]] = (-1, ())

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield events until the server stops."""
        yield f"retry: {_RETRY_MS}\n\n".encode()
        told: Seen | None = None
        told_at = 0.0
        while not self.stopping():
            seen = await self._latest()
            late = time.monotonic() - told_at >= _BEAT_SECONDS
            if told is None or late or {**seen.now, "at": 0} != {**told.now, "at": 0}:
                told_at = time.monotonic()
                yield _event("now", describing.shown(seen.now))
            if told is not None and seen.hung != told.hung:
                yield _event("hung", {})
            told = seen
            await anyio.sleep(_LOOK_SECONDS)

    async def _latest(self) -> Seen:
        async with self._turn:
            if self._seen is None or time.monotonic() - self._seen_at >= _LOOK_SECONDS:
                self._seen = await to_thread.run_sync(self._look)
                self._seen_at = time.monotonic()
            return self._seen

    def _look(self) -> Seen:
        state = StateFolder(self.settings.state)
        running = lock.holder(state.lock) is not None
        told = snapshot.read_for_page(state.progress) if running else {}
        failed = [*map(snapshot.trouble, told.pop("troubles", [])), *self._explained()]
        waiting: tuple[snapshot.Trouble, ...] = ()
        try:
            with open_ledger(self.settings.state, read_only=True) as ledger:
                told["counts"] = snapshot.all_counts(ledger)
                if told["counts"]["waiting"]:
                    waiting = snapshot.waiting(ledger)
        except (SelfieError, OSError):  # none yet, or a sick disk: the daemon says what is wrong
            pass
        now = snapshot.with_troubles({"at": time.time(), "running": [], **told, "daemon": running}, failed, waiting)
        return Seen(now, _stamp(self.settings.outbox_folder / DATA / "index.js"))

    def _explained(self) -> tuple[snapshot.Trouble, ...]:
        """Return what lies in failed/, and why; read again when something came or went there."""
        folder = self.settings.failed_folder
        stamp = _stamp(folder)[0]
        if stamp != self._troubles[0]:
            self._troubles = stamp, snapshot.troubles(folder)
        return self._troubles[1]


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        facts = os.stat(path)  # noqa: PTH116 - one call for three values
    except OSError:
        return 0, 0, 0
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _event(name: str, content: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()
