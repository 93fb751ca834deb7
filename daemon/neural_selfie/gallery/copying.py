"""Which small copies there are, which are missing, and making these: of paintings for the wall, of style images.

The newest paintings come first. What cannot be copied is shown as it is.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from neural_selfie.gallery import small
from neural_selfie.gallery.describing import STYLE_DIGITS
from neural_selfie.gallery.entries import ASSETS
from neural_selfie.gallery.index import Hung
from neural_selfie.gallery.shards import Key
from neural_selfie.gallery.writing import replace_file

SMALL: Final = f"{ASSETS}/small"
STYLES: Final = f"{ASSETS}/styles"
_COARSE_NS: Final = 2 * 10**9  # how exactly the coarsest file systems remember times (FAT)


class Copying:
    """The small copies of one outbox."""

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox
        self._has: dict[Key, tuple[int, ...]] = {}
        self._missing: dict[Key, Hung] = {}
        self._styles: dict[str, str] = {}  # the SHA-256 of each style that is used -> its name, until it has a copy
        self._style_ids: set[str] = set()

    @property
    def pending(self) -> bool:
        """Whether copies of paintings are still to be made."""
        return bool(self._missing)

    def levels_of(self, key: Key) -> tuple[int, ...]:
        """Return the long edges (px) of the copies that a painting has."""
        return self._has.get(key, ())

    def style_ids(self) -> list[str]:
        """Return the styles of which there is a copy, each by the beginning of its SHA-256."""
        return sorted(self._style_ids)

    def add(self, hung: Hung, *, trust: bool) -> None:
        """Take note of a painting. With `trust`, copies that are as old as its picture are good enough."""
        entry = hung.entry
        for sha256, name in zip(entry.style_sha256, entry.styles, strict=True):
            if sha256[:STYLE_DIGITS] not in self._style_ids:
                self._styles.setdefault(sha256, name)
        levels = small.levels(entry.width, entry.height)
        there = trust and all(is_fresh(self._outbox / copy_of(hung, level), hung.picture_ns) for level in levels)
        self._has.pop(hung.key, None)
        self._missing.pop(hung.key, None)
        if there:
            self._has[hung.key] = levels
        elif levels:
            self._missing[hung.key] = hung

    def forget(self, hung: Hung) -> None:
        """A painting is gone: so are its copies."""
        self._missing.pop(hung.key, None)
        for level in self._has.pop(hung.key, ()):
            with suppress(OSError):
                (self._outbox / copy_of(hung, level)).unlink()

    def work(
        self, until: float, styles: Path | None, avoid: frozenset[str], about_to: Callable[[str], None]
    ) -> set[Key]:
        """Make copies until the clock (time.monotonic) says `until`, one at least; return the paintings that have new.

        `styles` is the folder of style images named by their hash. `about_to` is told each file before it is decoded;
        what is in `avoid` is not.
        """
        for sha256 in list(self._styles):
            self._copy_style(sha256, styles, avoid, about_to)
        made: set[Key] = set()
        while self._missing:
            key = max(self._missing)
            hung = self._missing.pop(key)
            with suppress(ValueError, OSError):
                self._copy(hung, avoid, about_to)
                made.add(key)
            if time.monotonic() >= until:
                break
        return made

    def _copy(self, hung: Hung, avoid: frozenset[str], about_to: Callable[[str], None]) -> None:
        path = self._outbox / hung.entry.folder / hung.entry.picture
        if str(path) in avoid:
            raise ValueError("a process died of it")
        about_to(str(path))
        levels = small.levels(hung.entry.width, hung.entry.height)
        made = small.copies(path, levels)
        (self._outbox / SMALL / hung.entry.folder).mkdir(exist_ok=True)
        for level, data in made.items():
            replace_file(self._outbox, copy_of(hung, level), data, stamp_ns=hung.picture_ns)
        self._has[hung.key] = levels

    def _copy_style(
        self, sha256: str, styles: Path | None, avoid: frozenset[str], about_to: Callable[[str], None]
    ) -> None:
        name = f"{STYLES}/{sha256[:STYLE_DIGITS]}.webp"
        target = self._outbox / name
        if target.is_file() and not target.is_symlink() and target.stat().st_size:
            del self._styles[sha256]
            self._style_ids.add(sha256[:STYLE_DIGITS])
            return
        suffix = Path(self._styles.pop(sha256)).suffix.lower()
        path = styles / f"{sha256}{suffix}" if styles is not None else None
        if path is None or str(path) in avoid or not path.is_file():
            return
        with suppress(ValueError, OSError):
            about_to(str(path))
            replace_file(self._outbox, name, small.copies(path, (small.STYLE_PX,))[small.STYLE_PX])
            self._style_ids.add(sha256[:STYLE_DIGITS])


def is_fresh(path: Path, stamp_ns: int) -> bool:
    """Given a file that was made of another and the time of that (ns), return whether it is whole and as new."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return facts.st_size > 0 and abs(facts.st_mtime_ns - stamp_ns) < _COARSE_NS


def copy_of(hung: Hung, level: int) -> str:
    """Given a painting and a long edge (px), return where its copy of that size lies, relative to the outbox."""
    return f"{SMALL}/{hung.entry.folder}/{hung.entry.record.removesuffix('.json')}.{level}.webp"
