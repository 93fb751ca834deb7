"""Does the inbox deliver events, and are the kernel's limits of watches enough? Runs in a process of its own.

It watches the inbox alone, not what is below: beside a running daemon it takes one watch and gives it back.
"""

import errno
import time
from pathlib import Path

from neural_selfie.doctor.apart import in_order
from neural_selfie.doctor.finding import Finding, ok, warning, wrong
from neural_selfie.files import storage
from neural_selfie.files.names import shown
from neural_selfie.inbox.walking import Walk
from neural_selfie.inbox.watching import Watch, sweep_cookies

_WALK_SECONDS = 3.0
_LIMITS = Path("/proc/sys/fs/inotify")


def look(inbox: Path, polling: str, ignore: tuple[str, ...]) -> list[Finding]:
    """Given the inbox and `watch.polling` and `watch.ignore`, return how photos in it are noticed."""
    kind = storage.file_system_type(inbox)
    if polling == "always":
        return [ok("events", "The inbox is polled, as the configuration says.")]
    if storage.may_miss_events(inbox):
        says = f"{kind} does not tell what other machines write"
        if polling == "never":
            return [wrong("events", f"{says}, and `watch.polling` is never.", "Set `watch.polling: auto`.")]
        return [ok("events", f"{says}; the inbox is looked over every few seconds instead.")]
    try:
        return [*_listened(inbox, kind, polling), *_enough(inbox, ignore)]
    except (FileNotFoundError, NotADirectoryError):
        return []  # said of the folder already
    except OSError as error:
        return [_refused(error)]


def _listened(inbox: Path, kind: str, polling: str) -> list[Finding]:
    watch = Watch(inbox, lambda *_: None, recursive=False)
    with in_order():
        try:
            heard = watch.hears()
        except BaseException:
            sweep_cookies(inbox)
            raise
        finally:
            watch.stop()
    if heard is None:
        return []  # nothing can be written there: said of the folder already
    if heard:
        return [ok("events", f"The kernel tells at once what is dropped into {shown(inbox)}.")]
    mend = "Set `watch.polling: always`, or move the inbox to a local disk."
    says = f"No events arrive from {shown(inbox)} ({kind})."
    return [wrong("events", says, mend) if polling == "never" else warning("events", f"{says} It is polled.", mend)]


def _refused(error: OSError) -> Finding:
    if error.errno == errno.EMFILE:
        says = "No more programs of this user may watch folders: fs.inotify.max_user_instances is used up."
        return wrong("events", says, raised("max_user_instances", 1024))
    if error.errno == errno.ENOSPC:
        says = "No more folders may be watched by this user: fs.inotify.max_user_watches is used up."
        return wrong("events", says, raised("max_user_watches", 524288))
    return wrong("events", f"The kernel does not watch the inbox: {error.strerror}.", "Set `watch.polling: always`.")


def _enough(inbox: Path, ignore: tuple[str, ...]) -> list[Finding]:
    walk, until = Walk(inbox, ignore), time.monotonic() + _WALK_SECONDS
    for _ in walk.entries():
        if time.monotonic() > until:
            break
    try:
        limit = int((_LIMITS / "max_user_watches").read_text())
    except (OSError, ValueError):
        return []
    return watches(walk.folders, limit)


def watches(folders: int, limit: int) -> list[Finding]:
    """Given how many folders the inbox has, and fs.inotify.max_user_watches, return whether each can be watched.

    Every folder takes a watch, and other programs of the same user take theirs from the same number.
    """
    says = f"Folders in the inbox: {folders}; fs.inotify.max_user_watches is {limit}."
    mend = raised("max_user_watches", max(524288, 4 * folders))
    if folders >= limit:
        return [wrong("watches", says, mend)]
    return [warning("watches", says, mend)] if 2 * folders >= limit else [ok("watches", says)]


def raised(limit: str, number: int) -> str:
    """Given the name of a limit of inotify and a number, return the command that raises it for good."""
    file = "/etc/sysctl.d/60-neural-selfie.conf"
    return f"`echo fs.inotify.{limit}={number} | sudo tee -a {file} && sudo sysctl --system`."
