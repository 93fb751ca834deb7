"""Events of the kernel as hints that something is in the inbox: one observer, and the means to catch it lying.

watchdog goes blind without saying so: after an error in a handler, when its queue overflows, when the folder is
replaced, at the limit of watches, and on shares where others write. `alive`, `stands`, `hears`, `watched_folders` and
`OverflowListener` notice; what to do then is decided in guarding.py. Handlers here only pass on.
"""

import logging
import os
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

COOKIE = ".neural-selfie-cookie-"
_JOIN_SECONDS = 5.0
# Without opening and reading: our own decoding would fill the kernel's queue.
_EVENTS: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileModifiedEvent, FileAttribEvent, FileClosedEvent, FileMovedEvent),
    *(DirCreatedEvent, DirMovedEvent),
]


class Watch:
    """Given the inbox and what to call with (kind, path, is_folder), watch it from now on; `stop` ends it.

    `recursive`: what is below it, too, with a watch of the kernel for each folder.
    `kind` is created, modified, closed or moved. Raise OSError where the kernel cannot watch: the folder is gone,
    or fs.inotify.max_user_watches or max_user_instances is used up.
    """

    def __init__(self, inbox: Path, told: Callable[[str, Path, bool], None], *, recursive: bool = True) -> None:
        self._inbox = inbox
        self._resolved = inbox.resolve()  # inotify would watch a link instead of the folder it points to
        self._told = told
        self._cookie = ""
        self._heard = threading.Event()
        self._identity = _identity(inbox)
        self._observer = Observer()
        try:
            handler = _Handler(self._on_event)
            self._observer.schedule(handler, str(self._resolved), recursive=recursive, event_filter=_EVENTS)
            self._observer.start()
        except BaseException:
            self._observer.stop()
            raise

    def stop(self) -> None:
        """Stop watching; returns at once when a probe waits."""
        self._heard.set()
        self._observer.stop()
        if self._observer.is_alive() and self._observer is not threading.current_thread():
            self._observer.join(_JOIN_SECONDS)

    def alive(self) -> bool:
        """Return whether the observer and each of its emitters run. True does not prove that they hear anything."""
        emitters = list(self._observer.emitters)
        return self._observer.is_alive() and bool(emitters) and all(emitter.is_alive() for emitter in emitters)

    def stands(self) -> bool:
        """Return whether the path still leads to the folder that is watched: not replaced and not unmounted."""
        return self._identity is not None and _identity(self._inbox) == self._identity

    def hears(self, patience_seconds: float = 2.0) -> bool | None:
        """Touch a hidden file in the inbox and return whether its event came; None where the file cannot be made.

        On a share this proves nothing about what others write: see `storage.may_miss_events`.
        """
        self._heard.clear()
        self._cookie = f"{COOKIE}{uuid.uuid4().hex}"
        cookie = self._inbox / self._cookie
        try:
            cookie.touch(exist_ok=False)
        except OSError:
            return None
        with suppress(OSError):  # before the wait: the event comes all the same, and a kill now leaves nothing behind
            cookie.unlink()
        return self._heard.wait(patience_seconds)

    def _on_event(self, event: FileSystemEvent) -> None:
        path = Path(os.fsdecode(event.dest_path or event.src_path))
        if path.name.startswith(COOKIE):
            if path.name == self._cookie:
                self._heard.set()
            return
        with suppress(ValueError):  # an event about the inbox itself, after it was moved away
            kind = "modified" if event.event_type == "attrib" else event.event_type
            self._told(kind, self._inbox / path.relative_to(self._resolved), event.is_directory)


def sweep_cookies(inbox: Path) -> None:
    """Remove the cookies that a daemon left which was killed in the middle of a probe; those of another one, too.

    That does no harm: a cookie is heard when it is made, and it is meant to be gone at once.
    """
    for cookie in inbox.glob(f"{COOKIE}*"):
        with suppress(OSError):
            cookie.unlink()


class _Handler(FileSystemEventHandler):
    def __init__(self, on_event: Callable[[FileSystemEvent], None]) -> None:
        self._on_event = on_event

    def dispatch(self, event: FileSystemEvent) -> None:
        self._on_event(event)


class OverflowListener(logging.Handler):
    """Given what to call, call it when watchdog warns: since 7.1 that is the only sign of lost events."""

    def __init__(self, warned: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warned = warned

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the message on; called by logging in the thread that warns."""
        self._warned(record.getMessage())

    def attach(self) -> None:
        """Begin to listen to everything that watchdog's observers log."""
        logger = logging.getLogger("watchdog.observers")
        if not logger.isEnabledFor(logging.WARNING):
            logger.setLevel(logging.WARNING)  # a quieter log must not make us deaf
        logger.addHandler(self)

    def detach(self) -> None:
        """Stop listening."""
        logging.getLogger("watchdog.observers").removeHandler(self)


def watched_folders() -> int | None:
    """Return how many folders the kernel watches for this process, or None where it does not say (proc(5), fdinfo).

    At the limit of watches watchdog leaves folders out without a word; this number tells.
    """
    count = 0
    try:
        for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is needed
            with suppress(FileNotFoundError):
                if "inotify" in os.readlink(f"/proc/self/fd/{descriptor}"):  # noqa: PTH115 - a link to no file
                    count += Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().count(b"inotify wd:")
    except OSError:
        return None
    return count


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
