"""Sidecars: the wishes for one photo in `<photo>.yaml` beside it, written by whoever may drop photos.

Nothing in one can stop the daemon or make it read another file: at most 16 KiB are read, links are not followed, and
whatever cannot be understood becomes a SidecarError in words of the person who wrote it.
"""

import errno
import os
import stat
from pathlib import Path

from pydantic import ValidationError

from neural_selfie.config import faults
from neural_selfie.config.presets import Sidecar
from neural_selfie.errors import ConfigError, SidecarError
from neural_selfie.files.names import NAME_BYTES

_BYTES_MAX = 16 * 1024  # read in the daemon's own loop, where the worst that YAML can say so takes a quarter second
_TOO_LONG = "the sidecar is too long: 16 KiB are the limit."


def beside(path: Path) -> Path | None:
    """Given a photo's path, return the path of its sidecar if it has one."""
    for suffix in (".yaml", ".yml"):
        candidate = path.with_name(path.name + suffix) if len(os.fsencode(path.name)) < 250 else None  # noqa: PLR2004 - NAME_MAX less the suffix
        if candidate is not None and candidate.is_file() and not candidate.is_symlink():
            return candidate
    return None


def text_of(path: Path) -> str | None:
    """Given a photo's path, return the text of its sidecar, if it has one.

    Raise SidecarError if it is longer than 16 KiB, no UTF-8 text or may not be read.
    """
    sidecar = beside(path)
    try:
        data = None if sidecar is None else beginning(sidecar, _BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise SidecarError("the daemon may not read the sidecar: make it readable for others.") from None
    if data is None:
        return None
    if len(data) > _BYTES_MAX:
        raise SidecarError(_TOO_LONG)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SidecarError("the sidecar is not UTF-8 text.") from None


def beginning(path: Path, size: int) -> bytes | None:
    """Given a path, return up to `size` bytes of the file; None, and without waiting, where it is a pipe or link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        return file.read(size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def read(text: str) -> Sidecar:
    """Given the text of a sidecar, return its wishes; raise SidecarError in words of the person who wrote it."""
    if len(text) > _BYTES_MAX:
        raise SidecarError(_TOO_LONG)
    try:
        lines = faults.Lines.of(text, "sidecar")
    except ConfigError as error:
        raise SidecarError(str(error)) from None
    try:
        wishes = Sidecar.model_validate(lines.data)
    except ValidationError as error:
        raise SidecarError(faults.explained(error, lines, {}, Sidecar)) from None
    if any(len(preset) > NAME_BYTES for preset in wishes.presets or ()):
        raise SidecarError("the sidecar asks for a preset whose name is longer than any name is.")
    if wishes.mask is not None and len(os.fsencode(wishes.mask)) > NAME_BYTES:
        raise SidecarError("the sidecar asks for a mask whose name is longer than the name of any file.")
    return wishes
