"""Is this file finished? Patience for photos that are still being copied, without a clock and without a disk.

A file is offered by `due` once size, mtime and inode stayed the same for the quiet time, or when the ceiling is
reached although it still changes. What it does not do: prove a photo whole (a full decode does), look at files (the
caller does, and tells), or lose a path: what was offered is offered again until the caller forgets it.
`now` is seconds of one monotonic clock; work per call is O(log n) for what is due, not O(n) for what waits.
"""

import heapq
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What `lstat` says about a file that is being written: size in bytes, mtime in ns, and which file it is."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Given the result of `lstat`, return the facts that settling needs."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


@dataclass(slots=True)
class _Wait:
    facts: FileFacts
    since: float  # the ceiling counts from here: first sighting, last postponement, or when it was last reached
    changed_at: float
    not_before: float = -math.inf
    truncated_since: float | None = None
    offered: bool = False
    overdue: bool = False  # offered because of the ceiling: changes no longer speak against reading it
    queued_at: float = math.inf  # time of its one valid item in the heap; never later than it is due


class Settler:
    """Given the quiet time and the ceiling in seconds, keep every path that is not yet known to be finished."""

    def __init__(self, quiet_seconds: float, ceiling_seconds: float) -> None:
        self._quiet_seconds = quiet_seconds
        self._ceiling_seconds = ceiling_seconds
        self._waits: dict[Path, _Wait] = {}
        self._heap: list[tuple[float, int, Path]] = []
        self._pushes = 0  # breaks ties in the heap: first come, first offered

    def __len__(self) -> int:
        return len(self._waits)

    def observe(self, path: Path, facts: FileFacts, now: float) -> bool:
        """Given what `path` looks like now, return whether it may be read: it was offered and nothing has changed.

        A path that `due` offered is looked at once more and told to this method before it is read: where no events
        arrive, that is how a change is noticed. Past the ceiling a change does not matter any more.
        """
        wait = self._waits.get(path)
        if wait is None:
            wait = self._waits[path] = _Wait(facts, since=now, changed_at=now)
        elif wait.facts != facts:
            wait.facts, wait.changed_at, wait.truncated_since = facts, now, None
            if not wait.overdue:
                wait.offered, wait.not_before = False, -math.inf
        self._queue(path, wait)
        return wait.offered

    def due(self, now: float) -> list[Path]:
        """Return the paths whose time has come, the longest waiting first.

        Each is offered once; unless it is forgotten or postponed, or changes, it comes again after the ceiling.
        """
        ready = []
        while (path := self._head()) is not None and self._heap[0][0] <= now:
            heapq.heappop(self._heap)
            ready.append(path)
        for path in ready:
            wait = self._waits[path]
            wait.offered, wait.overdue = True, now - wait.since >= self._ceiling_seconds
            wait.since, wait.not_before = now if wait.overdue else wait.since, now + self._ceiling_seconds
            self._requeue(path, wait)
        return ready

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds `due` will have something, 0.0 if it has now, None if nothing waits."""
        return None if self._head() is None else max(0.0, self._heap[0][0] - now)

    def postpone(self, path: Path, now: float, seconds: float) -> float:
        """Given a path that could not be read to its end, offer it again in `seconds`, or once it changed and is quiet.

        Return for how many seconds it has been found so without any change: the caller's patience is measured by it.
        """
        wait = self._waits.get(path)
        if wait is None:
            return 0.0
        wait.offered = wait.overdue = False
        wait.since, wait.not_before = now, now + seconds
        wait.truncated_since = now if wait.truncated_since is None else wait.truncated_since
        self._requeue(path, wait)
        return now - wait.truncated_since

    def forget(self, path: Path) -> None:
        """Given a path that was taken in, refused or is gone, stop waiting for it."""
        self._waits.pop(path, None)

    def _due_at(self, wait: _Wait) -> float:
        """An empty file says nothing by being quiet: it waits for the ceiling."""
        quiet_at = wait.changed_at + self._quiet_seconds if wait.facts.size > 0 else math.inf
        return max(wait.not_before, min(quiet_at, wait.since + self._ceiling_seconds))

    def _queue(self, path: Path, wait: _Wait) -> None:
        """Keep one valid item per path. One that is due later than its item says is moved when the item comes up."""
        due_at = self._due_at(wait)
        if due_at < wait.queued_at:
            wait.queued_at = due_at
            self._pushes += 1
            heapq.heappush(self._heap, (due_at, self._pushes, path))
        if len(self._heap) > 2 * len(self._waits) + 64:
            self._rebuild()

    def _requeue(self, path: Path, wait: _Wait) -> None:
        wait.queued_at = math.inf
        self._queue(path, wait)

    def _head(self) -> Path | None:
        """Return the path that is due first, after dropping or moving items that no longer say so."""
        while self._heap:
            at, _, path = self._heap[0]
            wait = self._waits.get(path)
            if wait is not None and wait.queued_at == at == self._due_at(wait):
                return path
            heapq.heappop(self._heap)
            if wait is not None and wait.queued_at == at:
                self._requeue(path, wait)
        return None

    def _rebuild(self) -> None:
        """Drop the items of forgotten paths, so that the heap stays as small as what waits."""
        self._heap = []
        for number, (path, wait) in enumerate(self._waits.items()):
            wait.queued_at = self._due_at(wait)
            self._heap.append((wait.queued_at, number, path))
        heapq.heapify(self._heap)
        self._pushes = len(self._heap)
