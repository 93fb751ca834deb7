"""Hangs the pictures: brings the page and its data up to date with an outbox, a bounded piece of work at a time.

Runs in a process of its own (or a command's), because small copies are made of files that others may have put there.
Guarantees that whoever reads the page meanwhile finds it whole, and that one more painting costs the same whatever the
number of those that hang. All that it writes, except the pictures of photos, can be made again from the records.
"""

import functools
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_selfie import files
from neural_selfie.files.names import shown
from neural_selfie.files.storage import folder_errors
from neural_selfie.gallery import copying, describing, page, shards, sheets
from neural_selfie.gallery.entries import ASSETS
from neural_selfie.gallery.index import GalleryIndex, Hung
from neural_selfie.gallery.writing import HALF_MADE, replace_file, replace_if_other
from neural_selfie.record import Record

DATA = f"{ASSETS}/data"
DETAILS = f"{ASSETS}/details"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One piece of work: what the daemon knows to be new, what is going on now, and how long it may take.

    `styles`: the folder of style images named by their hash. `touched`: folders with new pictures. `ended`: those to
    which no more will come. `sweep`: look also for what others changed. `now`: what goes on, as the page shows it; None
    leaves what it says. `avoid`: pictures that killed a process.
    """

    outbox: Path
    styles: Path | None = None
    touched: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    sweep: bool = True
    now: Mapping[str, Any] | None = None
    avoid: frozenset[str] = frozenset()
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order: how many paintings hang, and whether there is more to do at once."""

    paintings: int
    more: bool


def hang(order: Order, about_to: Callable[[str], None]) -> Outcome:
    """Given an order, do it; what was learnt about an outbox is remembered for the next one.

    `about_to` is told each file before it is decoded. Raise StorageUnavailableError or PermissionDeniedError if the
    outbox cannot be read or written now.
    """
    return _wall(order.outbox).work(order, about_to)


@functools.lru_cache(maxsize=1)
def _wall(outbox: Path) -> "Wall":
    return Wall(outbox)


class Wall:
    """The page of one outbox and all that belongs to it."""

    def __init__(self, outbox: Path) -> None:
        self.index = GalleryIndex(outbox)
        self._outbox = outbox
        self._copying = copying.Copying(outbox)
        self._sheets = sheets.Sheets(self.index)
        self._cut = shards.Cut()
        self._written: dict[str, shards.Written] = {}
        self._dirty: set[shards.Key] = set()
        self._to_look: deque[str] = deque()
        self._complete = False  # every folder has been read once
        self._unwritten = True

    def work(self, order: Order, about_to: Callable[[str], None]) -> Outcome:
        """Do an order; raise as `hang` does."""
        until = time.monotonic() + order.seconds
        self._make_folders()
        for name in order.touched:
            self._look(name, trust_copies=False)
        if (order.sweep or not self._complete) and not self._to_look:  # a new process knows nothing yet
            self._to_look.extend(self.index.outdated(self.index.folders()))
        while self._to_look and time.monotonic() < until:
            self._look(self._to_look.popleft(), trust_copies=not self._complete)
        if not self._to_look and not self._complete:
            self._complete = True
            self._sweep_up()
        if self._complete:
            self._dirty |= self._copying.work(until, order.styles, order.avoid, about_to)
            self._write()
            self._sheets.begin(None if order.sweep else order.ended)
            self._sheets.work(time.monotonic, until, order.avoid, about_to)
        if order.now is not None or not (self._outbox / DATA / "now.js").exists():
            data = shards.script("now", describing.shown(order.now or {}))
            replace_if_other(self._outbox, f"{DATA}/now.js", data)
        replace_if_other(self._outbox, page.NAME, page.html())
        return Outcome(len(self.index.keys), bool(self._to_look or self._copying.pending or self._sheets.pending))

    def _make_folders(self) -> None:
        with folder_errors(self._outbox, f"The gallery in {shown(self._outbox)} cannot be brought up to date"):
            for name in (ASSETS, DATA, DETAILS, copying.SMALL, copying.STYLES):
                folder = self._outbox / name
                if folder.is_symlink() or not folder.is_dir():
                    files.make_folder(folder)  # which refuses links

    def _look(self, name: str, *, trust_copies: bool) -> None:
        changes = self.index.look(name)
        for hung in changes.gone:
            self._cut.forget(hung.key)
            self._copying.forget(hung)
            self._sheets.changed(hung)
            self._unwritten = True
            with suppress(OSError):
                (self._outbox / detail_of(hung)).unlink()
        for hung, record in changes.new:
            self._dirty.add(hung.key)
            self._copying.add(hung, trust=trust_copies)
            self._sheets.changed(hung)
            self._describe(hung, record, trust=trust_copies)
        if not (self._outbox / name).is_dir():
            for room in (DETAILS, copying.SMALL):
                shutil.rmtree(self._outbox / room / name, ignore_errors=True)

    def _describe(self, hung: Hung, record: Record, *, trust: bool) -> None:
        target = detail_of(hung)
        if trust and copying.is_fresh(self._outbox / target, hung.record_ns):
            return
        with suppress(FileExistsError):
            (self._outbox / target).parent.mkdir()
        data = shards.script("detail", describing.detail(hung.entry, record))
        replace_file(self._outbox, target, data, stamp_ns=hung.record_ns)

    def _write(self) -> None:
        """Write the shards that hold something new, then the list of shards, then remove those that it had before."""
        if not (self._dirty or self._unwritten):
            return
        keys, before = self.index.keys, self._written
        after: dict[str, shards.Written] = {}
        listed = []
        for shard in self._cut.shards(keys):
            known = before.get(shard.name)
            ends = keys[shard.start], keys[shard.end - 1], shard.end - shard.start
            same = known is not None and (known.first, known.last, known.count) == ends
            if known is None or not same or not self._dirty.isdisjoint(keys[shard.start : shard.end]):
                known = self._write_shard(shard, keys[shard.start : shard.end])
            after[shard.name] = known
            listed.append({"name": shard.name, "version": known.version, "count": known.count})
        content = {
            "total": len(keys),
            "shards": listed[::-1],
            "styles": self._copying.style_ids(),
        }
        replace_file(self._outbox, f"{DATA}/index.js", shards.script("index", content))
        for name in before.keys() - after.keys():
            with suppress(OSError):
                (self._outbox / DATA / f"{name}.js").unlink()
        self._written, self._dirty, self._unwritten = after, set(), False

    def _write_shard(self, shard: shards.Shard, keys: Sequence[shards.Key]) -> shards.Written:
        lines = [describing.line(self.index.hung[key].entry, self._copying.levels_of(key)) for key in keys]
        data, version = shards.shard_script(shard, lines)
        replace_if_other(self._outbox, f"{DATA}/{shard.name}.js", data)
        return shards.Written(first=keys[0], last=keys[-1], count=len(keys), version=version)

    def _sweep_up(self) -> None:
        """After everything was read once: remove what belongs to nothing that hangs, and what was left half-made."""
        folders = {key[1] for key in self.index.keys}
        for room in (DETAILS, copying.SMALL):
            for path in (self._outbox / room).iterdir():
                if path.name not in folders:
                    shutil.rmtree(path, ignore_errors=True)
        wanted = {f"{shard.name}.js" for shard in self._cut.shards(self.index.keys)} | {"now.js", "index.js"}
        stale = [path for path in (self._outbox / DATA).iterdir() if path.name not in wanted]
        for path in [*stale, *(self._outbox / ASSETS).glob(HALF_MADE)]:
            with suppress(OSError):
                path.unlink()


def build(outbox: Path, *, styles: Path | None = None, now: Mapping[str, Any] | None = None) -> int:
    """Given an outbox, make its page and all that belongs to it; return the number of paintings on it.

    `styles` and `now` as in `Order`. Raise as `hang` does.
    """
    wall, first = Wall(outbox), True
    while True:
        order = Order(outbox=outbox, styles=styles, sweep=first, now=now, seconds=10.0)
        done = wall.work(order, lambda _path: None)
        if not done.more:
            return done.paintings
        first = False


def detail_of(hung: Hung) -> str:
    """Given a painting, return where all that the page tells about it lies, relative to the outbox."""
    return f"{DETAILS}/{hung.entry.folder}/{hung.entry.record.removesuffix('.json')}.js"
