"""Picks that were saved on the page and dropped into the inbox: done, and filed like a photo that was painted."""

from pathlib import Path

import structlog

from neural_selfie import picking
from neural_selfie.filing import Desk, departing
from neural_selfie.inbox.settle import FileFacts

log = structlog.get_logger()


def take(desk: Desk, path: Path, seen: FileFacts) -> frozenset[str]:
    """Given picks in the inbox, do them and file them as an original; return the folders of the outbox that changed.

    With `keep` they stay where they are and are done once. Raise PicksError if they cannot be understood,
    StorageUnavailableError while a folder is away.
    """
    done = picking.done_mark(desk.state.picks, path, seen.size, seen.mtime_ns, seen.inode)
    if desk.keeps and done.exists():
        return frozenset()
    desk.shares.check(desk.settings.outbox_folder)  # while it is away no painting would be found
    applied = picking.apply(desk.settings, path)
    departing.file_copy(desk, path, None)
    if desk.keeps:
        done.touch()
    log.info("picks.applied", rejected=applied.rejected, marked=applied.marked, unknown=applied.unknown)
    return applied.folders
