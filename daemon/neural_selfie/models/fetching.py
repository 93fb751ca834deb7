"""Fetch a network's weights: resumable, checked by SHA-256, whole or not there; nothing is trusted but the hash.

What has arrived lies in `.NAME.part` beside the target, with a note of the server's ETag; a break, Ctrl-C or a power
cut costs nothing, because the next fetch goes on from there if the server still has the same file. Only complete
files whose hash is right get their name. Proxies come from the environment (https_proxy, no_proxy).
"""

import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final

from neural_selfie import files
from neural_selfie.errors import StorageUnavailableError, UsageError, WeightsUnavailableError
from neural_selfie.files.names import shown
from neural_selfie.models import SUFFIXES

_CHUNK_BYTES: Final = 1 << 18
_SPARE_BYTES: Final = 64 << 20  # left free on the disk: the ledger lives there, too
_TIMEOUT_SECONDS: Final = 30.0
_TRIES: Final = 6  # in a row without a byte; whenever something has arrived, counting begins anew
_FIRST_PAUSE_SECONDS: Final = 0.5  # doubles each time
_HASH_IN_NAME: Final = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")  # as torch.hub reads it
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

Report = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Source:
    """What to fetch: where it is, what it will be called, and how its SHA-256 begins (8 to 64 hex digits)."""

    url: str
    name: str
    sha256: str


class _BrokenOffError(Exception):
    """The connection ended too early, or the server asks for patience: worth another try."""


class _OtherFileError(Exception):
    """The server has another file than the part on the disk came from."""


def official(sha256: str | None = None) -> Source:
    """Return torchvision's VGG-19 (IMAGENET1K_V1). Loads torchvision, which alone knows where it is."""
    from neural_selfie.engine.gatys import weights  # noqa: PLC0415 - see above

    return source(weights.official_url(), sha256)


def source(url: str, sha256: str | None = None) -> Source:
    """Given an address and the SHA-256 (or its first eight digits or more), return what to fetch.

    Raise UsageError if the address is none of a weights file, or neither it nor `sha256` says the hash.
    """
    parsed = urllib.parse.urlsplit(url)
    name = urllib.parse.unquote(parsed.path).rpartition("/")[2]
    if parsed.scheme not in {"http", "https"} or not parsed.netloc:
        raise UsageError(f"--url {url}: expected an address that begins with https:// or http://.")
    if Path(name).suffix.lower() not in SUFFIXES or name[0] == "." or not name.isprintable():
        raise UsageError(f"--url {url}: expected the address of a file that ends with {', '.join(SUFFIXES)}.")
    in_name = _HASH_IN_NAME.search(name)
    wanted = (sha256 or (in_name[1] if in_name else "")).lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", wanted):
        raise UsageError(
            "--sha256 HEX: expected the SHA-256 of the file, or at least its first eight digits; without it nobody "
            "can tell whether what arrives is the right file."
        )
    return Source(url, name, wanted)


def fetch(wanted: Source, folder: Path, report: Report = lambda _have, _total: None) -> Path | None:
    """Given what to fetch and the models folder, return the new file, or None if the right one was there already.

    `report` is told how many bytes are there and how many it will be (None: the server does not say). Raise
    WeightsUnavailableError when the server or the connection fails, what arrives has another hash, or another process
    is fetching the same; StorageUnavailableError or PermissionDeniedError for the folder.
    """
    with files.storage_errors(f"the folder {shown(folder)} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    target = folder / wanted.name
    with files.storage_errors(f"{shown(target)} cannot be fetched"), _part(target) as part:
        if _matches(target, wanted):
            _forget(target)
            return None
        for fresh in (False, True):
            if fresh:
                part.truncate(0)
            resumed = os.fstat(part.fileno()).st_size > 0
            _complete(wanted, target, part, report)
            if _hash(_part_path(target)).startswith(wanted.sha256):
                files.remove_if_there(target)  # of another hash: damaged
                files.move_exact(_part_path(target), target)
                _forget(target)
                return target
            if not resumed:
                break
        _forget(target)
    raise WeightsUnavailableError(
        f"What {wanted.url} sends is not the file wanted: its SHA-256 does not begin with {wanted.sha256}. It was "
        "thrown away. Something between here and there may have changed it; try again, or fetch it from elsewhere."
    )


def _part_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _note_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.part.json")


def _forget(target: Path) -> None:
    files.remove_if_there(_note_path(target))
    files.remove_if_there(_part_path(target))


@contextmanager
def _part(target: Path) -> Iterator[BinaryIO]:
    """Open the part of a file for one process alone, at its end."""
    path = _part_path(target)
    while True:
        with path.open("ab") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WeightsUnavailableError(f"Another process is fetching {shown(target)}. Wait for it.") from None
            if _is_at(path, part):
                yield part
                return
            # Between opening and locking, another process finished: what is open has the final name now.


def _is_at(path: Path, part: BinaryIO) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(part.fileno()))
    return False


def _matches(target: Path, wanted: Source) -> bool:
    return target.is_file() and _hash(target).startswith(wanted.sha256)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(wanted: Source, target: Path, part: BinaryIO, report: Report) -> None:
    """Fetch what is missing until the file is as long as the server says, over as many connections as it takes."""
    idle = 0
    while True:
        before = os.fstat(part.fileno()).st_size
        try:
            _receive(wanted, target, part, report)
        except _OtherFileError:
            part.truncate(0)
            before, reason = 0, "the file at the server changes all the time"
        except _BrokenOffError as error:
            reason = str(error)
        else:
            os.fsync(part.fileno())
            return
        idle = 1 if os.fstat(part.fileno()).st_size > before else idle + 1
        if idle >= _TRIES:
            raise WeightsUnavailableError(
                f"{wanted.url} cannot be fetched: {reason}. Look at the network, then run the same command again: it "
                f"goes on where it stopped. Or put the file into {shown(target.parent)} by other means."
            )
        time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (idle - 1))


def _receive(wanted: Source, target: Path, part: BinaryIO, report: Report) -> None:
    """Append what one connection brings; return when the file has its full length."""
    have = os.fstat(part.fileno()).st_size
    response = _answer(wanted, target, have)
    if response is None:
        return
    with response:
        have, total = _begin(response, wanted, target, part)
        _require_space(target, None if total is None else total - have)
        report(have, total)
        while chunk := _chunk(response):
            part.write(chunk)
            part.flush()
            have += len(chunk)
            report(have, total)
    if total is not None and have < total:
        raise _BrokenOffError(f"the connection ended after {have} of {total} bytes")


def _chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK_BYTES)  # what is there, without waiting for more
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _answer(wanted: Source, target: Path, have: int) -> http.client.HTTPResponse | None:
    """Ask for the bytes from `have` on; return the answer, or None if those are all. Errors of the network only."""
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310 - `source` lets only http(s) through
            _request(wanted, target, have), timeout=_TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have > 0:
                if _total_of(error.headers.get("Content-Range")) == have:
                    return None
                raise _OtherFileError from None
            if error.code in _AGAIN:
                raise _BrokenOffError(f"the server answers {error.code} {error.reason}") from None
            raise WeightsUnavailableError(
                f"{wanted.url} cannot be fetched: the server answers {error.code} {error.reason}. Fetch the file from "
                f"elsewhere (--url, --sha256), or put it into {shown(target.parent)} by other means."
            ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    return answer


def _request(wanted: Source, target: Path, have: int) -> urllib.request.Request:
    request = urllib.request.Request(wanted.url, headers={"User-Agent": "neural-selfie"})  # noqa: S310 - as in `_answer`
    note: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        note = json.loads(_note_path(target).read_text("utf-8"))
    if have and note.get("url") == wanted.url:
        request.add_header("Range", f"bytes={have}-")
        if note.get("validator"):
            request.add_header("If-Range", str(note["validator"]))
    return request


def _begin(response: http.client.HTTPResponse, wanted: Source, target: Path, part: BinaryIO) -> tuple[int, int | None]:
    """Given an answer, return from which byte it goes on and the full length; what it does not continue is dropped."""
    have = os.fstat(part.fileno()).st_size
    length = response.headers.get("Content-Length")
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        part_of = response.headers.get("Content-Range") or ""
        if not part_of.startswith(f"bytes {have}-"):
            raise _OtherFileError
        return have, _total_of(part_of) or (have + int(length) if length else None)
    part.truncate(0)  # no Range here, or another file than before: from the start
    tag = response.headers.get("ETag") or ""
    # A weak tag does not vouch for every byte; If-Range must not carry one (RFC 9110, 13.1.5).
    validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    files.write_atomic(_note_path(target), json.dumps({"url": wanted.url, "validator": validator}).encode())
    return 0, int(length) if length else None


def _total_of(content_range: str | None) -> int | None:
    match = re.match(r"bytes [^/]*/(\d+)$", content_range or "")
    return int(match[1]) if match else None


def _require_space(target: Path, missing_bytes: int | None) -> None:
    free = shutil.disk_usage(target.parent).free
    if missing_bytes is not None and free < missing_bytes + _SPARE_BYTES:
        raise StorageUnavailableError(
            f"{shown(target)} needs {missing_bytes >> 20} MB more, and only {free >> 20} MB are free there. Free some "
            "space, then run the same command again."
        )
