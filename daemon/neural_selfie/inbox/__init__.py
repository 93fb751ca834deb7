"""One stream of sightings from the inbox: "something is at this path". Events are hints, the scan is the truth.

Guarantees: whatever lies in the inbox is told at the start and every `rescan_seconds`, and at once after lost events or
a new folder; a blind observer is replaced within seconds; where events do not arrive, the scans come faster instead.
What it does not do: judge whether a file is finished, a photo, or known already, or open any file.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neural_selfie.files.names import is_ignored, shown
from neural_selfie.inbox.guarding import Guard
from neural_selfie.inbox.walking import Walk, walk
from neural_selfie.inbox.watching import OverflowListener, sweep_cookies

__all__ = ["Inbox", "InboxHealth", "ScanDone", "Sighting", "walk"]

_TICK_SECONDS = 0.5  # how soon a dead observer or a replaced folder is noticed
_POLL_SECONDS = 5.0  # between scans where events do not arrive; at least ten times as long as a scan takes
_FOLDERS_MAX = 100  # more new folders than this at once are one scan of everything


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something is, or was a moment ago, at `path`. `kind`: created, modified, closed, moved or scanned."""

    path: Path
    kind: str


@dataclass(frozen=True, slots=True)
class ScanDone:
    """A scan of the whole inbox ended; its sightings came before. Seconds since the epoch, and seconds it took.

    With `troubles` (sentences) part of the inbox could not be read: what was not seen may still be there.
    """

    seen: int
    started_at: float
    seconds: float
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InboxHealth:
    """How well the inbox is watched. `trouble` is a sentence for people, `why` the reason for polling."""

    observer_alive: bool
    last_scan_at: float | None
    last_scan_seconds: float
    mode: Literal["events", "polling"]
    overflows: int
    trouble: str | None
    file_system: str
    why: str | None = None


class Inbox:
    """Given the inbox folder, globs to ignore, the longest time between scans, and where to post, watch it.

    `polling`: auto (where events do not arrive), always or never. `post` gets Sighting and ScanDone from several
    threads and must only put them on a queue.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ignore: Sequence[str] = (),
        rescan_seconds: float = 60.0,
        polling: Literal["auto", "always", "never"] = "auto",
        post: Callable[[Sighting | ScanDone], None],
    ) -> None:
        self._folder = folder
        self._ignore = tuple(ignore)
        self._rescan_seconds = rescan_seconds
        self._post = post
        self._wishes: queue.SimpleQueue[Path | None] = queue.SimpleQueue()  # a folder to look into, None: wake up
        self._scan_wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._listener = OverflowListener(self._warned)
        self._guard = Guard(folder, polling, self._told)
        self._troubles: dict[str, str] = {}  # by what found them, so that each can take its own back
        self._overflows = 0
        self._last_scan_at: float | None = None
        self._last_scan_seconds = 0.0
        self._next_scan_at = self._no_scan_before = 0.0  # monotonic

    def start(self) -> None:
        """Begin: watch, then scan, both in a thread of their own."""
        sweep_cookies(self._folder)
        self._listener.attach()
        self.request_scan()
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; nothing is posted afterwards. May be called again, and without a start."""
        self._listener.detach()
        self._stopping.set()
        self._wishes.put(None)
        self._guard.stop()
        if self._thread is not None:
            self._thread.join()

    def request_scan(self) -> None:
        """Scan the whole inbox soon, from whatever thread this is called."""
        self._scan_wanted.set()
        self._wishes.put(None)

    def scan(self) -> Iterator[Path]:
        """Yield every entry of the inbox that is not ignored and no folder; what cannot be read becomes a trouble."""
        found = Walk(self._folder, self._ignore)
        yield from found.entries()
        self._judge(found)

    def health(self) -> InboxHealth:
        """Return how well the inbox is watched at this moment."""
        guard = self._guard
        running = self._thread is not None and self._thread.is_alive()
        troubles = [trouble for trouble in (guard.trouble, *self._troubles.copy().values()) if trouble]
        return InboxHealth(
            observer_alive=running and guard.alive(),
            last_scan_at=self._last_scan_at,
            last_scan_seconds=self._last_scan_seconds,
            mode=guard.mode,
            overflows=self._overflows,
            trouble=" ".join(troubles) or None,
            file_system=guard.file_system,
            why=guard.why,
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
                self._troubles.pop("supervisor", None)
            except Exception as error:  # noqa: BLE001 - this thread watches the others: it must outlive everything
                self._troubles["supervisor"] = f"Watching the inbox hit an error and goes on: {error!r}."
                self._scan_wanted.set()
                self._stopping.wait(_TICK_SECONDS)
        self._guard.stop()

    def _turn(self) -> None:
        if self._guard.renewed():
            self._scan_wanted.set()  # what happened meanwhile was told to nobody
        now = time.monotonic()
        if now >= self._next_scan_at or (self._scan_wanted.is_set() and now >= self._no_scan_before):
            self._scan_all()
        soon = self._no_scan_before if self._scan_wanted.is_set() else self._next_scan_at
        with suppress(queue.Empty):
            wish = self._wishes.get(timeout=min(_TICK_SECONDS, max(0.0, soon - time.monotonic())))
            self._look_into(wish)

    def _scan_all(self) -> None:
        self._scan_wanted.clear()  # before, not after: a wish during the scan counts
        started_at, started, seen = time.time(), time.monotonic(), 0
        found = Walk(self._folder, self._ignore)
        for path in found.entries():
            if self._stopping.is_set():
                return
            self._post(Sighting(path, "scanned"))
            seen += 1
        now = time.monotonic()
        seconds = now - started
        self._judge(found)
        self._troubles.pop("event", None)
        patchy = self._guard.misses(found.folders)
        self._last_scan_at, self._last_scan_seconds = started_at, seconds
        self._no_scan_before = now + seconds  # many wishes must not keep the disk busy all the time
        pause = max(_POLL_SECONDS, 10 * seconds) if patchy or self._guard.mode == "polling" else self._rescan_seconds
        self._next_scan_at = now + min(pause, self._rescan_seconds)
        self._post(ScanDone(seen, started_at, seconds, tuple(found.troubles)))

    def _judge(self, found: Walk) -> None:
        self._troubles.pop("scan", None)
        if found.troubles:
            self._troubles["scan"] = " ".join(found.troubles[:3])

    def _look_into(self, wish: Path | None) -> None:
        """Given one wish, take all that wait, and look into each new folder once."""
        wishes = {wish}
        with suppress(queue.Empty):
            while True:
                wishes.add(self._wishes.get_nowait())
        folders = {folder for folder in wishes if folder is not None}
        if len(folders) > _FOLDERS_MAX:
            self._scan_wanted.set()
            return
        for folder in sorted(folders):
            if folders.isdisjoint(folder.parents):
                for path in Walk(self._folder, self._ignore).entries(folder):
                    self._post(Sighting(path, "scanned"))

    def _told(self, kind: str, path: Path, is_folder: bool) -> None:  # noqa: FBT001 - a callback
        """Pass an event on. Runs in watchdog's thread, which an exception would end for good and in silence."""
        try:
            if is_ignored(path.relative_to(self._folder), self._ignore):
                return
            if is_folder:
                self._wishes.put(path)
            elif not self._stopping.is_set():
                self._post(Sighting(path, kind))
        except Exception as error:  # noqa: BLE001 - see above; the scan tells the path again
            self._troubles["event"] = f"The event of {shown(path)} could not be passed on: {error!r}."
            self.request_scan()

    def _warned(self, message: str) -> None:
        if "events were lost" in message:  # the other warning of the same overflow speaks of watches
            self._overflows += 1
        self.request_scan()
