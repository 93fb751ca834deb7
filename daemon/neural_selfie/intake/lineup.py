"""In which order finished files are inspected: as they come; one of which the inspector may have died goes alone."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_CRASHES_MAX = 2  # once may be chance, twice is the file


@dataclass(slots=True)
class Lineup:
    """The files whose turn comes next."""

    _ready: OrderedDict[Path, None] = field(default_factory=OrderedDict)  # found quickly among 50,000
    _suspects: set[Path] = field(default_factory=set)
    _crashes: dict[Path, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many files are in it."""
        return len(self._ready)

    def __contains__(self, path: Path) -> bool:
        """Return whether a file is in it."""
        return path in self._ready

    def add(self, paths: Iterable[Path]) -> None:
        """Given finished files, put them at the end."""
        self._ready.update(dict.fromkeys(paths))

    def next(self, *, after: int) -> Path | None:
        """Take out the next file; None if there is none, or if it has to go alone and `after` others go now."""
        path = next(iter(self._ready), None)
        if path is None or (after and path in self._suspects):
            return None
        del self._ready[path]
        return path

    def alone(self, path: Path) -> bool:
        """Return whether a file has to be inspected alone."""
        return path in self._suspects

    def again(self, paths: Sequence[Path], *, died: bool) -> None:
        """Given files that got no answer, put them at the front; if the inspector `died`, one by one."""
        for path in reversed(paths):
            self._ready[path] = None
            self._ready.move_to_end(path, last=False)
        if died:
            self._suspects.update(paths)

    def answered(self, path: Path) -> None:
        """The inspector survived this file."""
        self._suspects.discard(path)

    def deadly(self, path: Path) -> bool:
        """Given a file of which alone the inspector died, return whether that has happened often enough."""
        self._crashes[path] = self._crashes.get(path, 0) + 1
        if self._crashes[path] < _CRASHES_MAX:
            return False
        del self._crashes[path]
        self._suspects.discard(path)
        return True
