"""Events where they can be trusted, polling where not: keeps one live watch over the inbox, or says why there is none.

Guarantees: a watch that died, went deaf or looks at a folder that is no longer the inbox is replaced when `renewed` is
next called; the choice between events and polling is made anew each time. Scanning is done in inbox.py.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from neural_selfie.files.names import shown
from neural_selfie.files.storage import file_system_type, may_miss_events
from neural_selfie.inbox.watching import Watch, watched_folders

_PROBE_SECONDS = 60.0  # how often a watch has to prove that it hears, and polling looks whether events would do
_LIMIT_MEND = "Raise fs.inotify.max_user_watches and max_user_instances; until then scans find what is dropped there."


class Guard:
    """Given the inbox, auto, always or never (polling), and what to call with (kind, path, is_folder), stand guard.

    `mode` is events or polling, `why` the reason for polling, `trouble` a sentence or None, `file_system` its type.
    """

    def __init__(
        self, inbox: Path, polling: Literal["auto", "always", "never"], told: Callable[[str, Path, bool], None]
    ) -> None:
        self.mode: Literal["events", "polling"] = "events"
        self.why: str | None = None
        self.trouble: str | None = None
        self.file_system = "unknown"
        self._inbox = inbox
        self._polling = polling
        self._told = told
        self._watch: Watch | None = None
        self._next_probe_at = 0.0  # monotonic
        self._was_patchy = False
        self._stopping = threading.Event()

    def alive(self) -> bool:
        """Return whether what the mode needs is running."""
        watch = self._watch
        return self.mode == "polling" or (watch is not None and watch.alive())

    def stop(self) -> None:
        """End the watch for good, from any thread."""
        self._stopping.set()
        self._drop()

    def renewed(self) -> bool:
        """Replace the watch if need be; return whether events may have been missed, so that a scan is due."""
        if self._stopping.is_set() or not self._needs_renewal():
            return False
        self._drop()
        self._next_probe_at = time.monotonic() + _PROBE_SECONDS
        self.file_system = file_system_type(self._inbox)
        if self._polling == "always":
            self._poll("The configuration says so.")
        elif self._polling == "auto" and may_miss_events(self._inbox):
            self._poll(f"{self.file_system} does not tell what other machines write.")
        else:
            return self._use_events()
        return True

    def misses(self, folders: int) -> bool:
        """Given how many folders a scan found, return whether the kernel watches fewer of them.

        Once may be a folder that came or went meanwhile; twice in a row becomes a trouble.
        """
        watched = watched_folders() if self._watch is not None else None
        patchy = watched is not None and watched < folders
        if self._watch is not None:
            both = patchy and self._was_patchy
            self.trouble = f"Only {watched} of {folders} folders can be watched. {_LIMIT_MEND}" if both else None
        self._was_patchy = patchy
        return patchy

    def _needs_renewal(self) -> bool:
        now = time.monotonic()
        watch = self._watch
        if watch is None:
            return self.mode == "events" or now >= self._next_probe_at
        if not (watch.stands() and watch.alive()):
            return True
        if now < self._next_probe_at or self._polling == "never":
            return False
        self._next_probe_at = now + _PROBE_SECONDS
        return watch.hears() is False

    def _use_events(self) -> bool:
        try:
            watch = self._watch = Watch(self._inbox, self._told)
        except (FileNotFoundError, NotADirectoryError):
            self.mode, self.why = "events", None  # tried again at every call
            self.trouble = f"The inbox {shown(self._inbox)} is gone. Make or mount it again; the daemon then goes on."
            return False
        except OSError as error:
            trouble = f"The inbox cannot be watched: {error.strerror}. {_LIMIT_MEND}"
            self._poll(f"The kernel does not watch it: {error.strerror}.", trouble)
            return True
        self.mode, self.why, self.trouble = "events", None, None
        if self._stopping.is_set():
            self._drop()
        elif self._polling == "auto" and watch.hears() is False:
            self._drop()
            self._poll(f"No events arrive from {self.file_system}.")
        return True

    def _poll(self, why: str, trouble: str | None = None) -> None:
        self.mode, self.why, self.trouble = "polling", why, trouble

    def _drop(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()
