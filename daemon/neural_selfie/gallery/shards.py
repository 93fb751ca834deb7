"""The data of the page, cut into small scripts so that one more painting rewrites one of them. Pure.

Entries stand in the order of their time, oldest first. Where a shard begins is decided by a hash of the entry's own
name (content-defined chunking, as in rsync and backup programs): the same outbox always gives the same shards, whoever
writes them and in whatever order its pictures came, and one entry more or less touches one shard, or two.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_USUAL = 256  # on average, entries of a shard: about 100 KiB
_MOST = 1024

Key = tuple[float, str, str]  # when (seconds since year 1), folder, record


@dataclass(frozen=True, slots=True)
class Shard:
    """Entries `start` to `end` (excluded) of all entries in order; `name` is the name of its file without `.js`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A shard as it was written last: its first and last entry, how many, and the hash of its content."""

    first: Key
    last: Key
    count: int
    version: str


@dataclass(slots=True)
class Cut:
    """Remembers where shards begin; `begins` is asked once for each entry."""

    _begins: dict[Key, bool] = field(default_factory=dict)

    def shards(self, keys: Sequence[Key]) -> Iterator[Shard]:
        """Given the keys of all entries in order, yield the shards that hold them."""
        start = 0
        for index, key in enumerate(keys):
            if index > start and (self._starts(key) or index - start >= _MOST):
                yield Shard(_name(keys[start]), start, index)
                start = index
        if keys:
            yield Shard(_name(keys[start]), start, len(keys))

    def forget(self, key: Key) -> None:
        """Forget an entry that is gone."""
        self._begins.pop(key, None)

    def _starts(self, key: Key) -> bool:
        known = self._begins.get(key)
        if known is None:
            known = self._begins[key] = zlib.crc32(_bytes(key)) % _USUAL == 0
        return known


def script(kind: str, content: Mapping[str, Any]) -> bytes:
    """Given a kind of data and its content, return the script that hands it to the page; ASCII only."""
    return f"neuralSelfie({json.dumps(kind)},{json.dumps(content, separators=(',', ':'))});\n".encode("ascii")


def shard_script(shard: Shard, lines: Sequence[str]) -> tuple[bytes, str]:
    """Given a shard and its entries, each as JSON, return its script (newest first, a line for each) and its version.

    The version, a short hash of the entries, stands in the script, too: a share may hand out an older file than listed.
    """
    content = ",\n".join(reversed(lines))
    version = hashlib.sha256(content.encode("ascii")).hexdigest()[:12]
    head = f'"name":"{shard.name}","version":"{version}"'
    return f'neuralSelfie("shard",{{{head},"entries":[\n{content}\n]}});\n'.encode("ascii"), version


def _name(key: Key) -> str:
    return hashlib.sha256(_bytes(key)).hexdigest()[:12]


def _bytes(key: Key) -> bytes:
    _, folder, record = key
    return os.fsencode(f"{folder}/{record}")
