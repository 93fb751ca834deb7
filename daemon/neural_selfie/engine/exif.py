"""What the camera wrote beside the pixels: read the turn and the time, keep what may be kept, write it again.

Only tags on a list are carried over, and each one only if it can be written again by itself: thumbnails, maker notes
(they contain positions, faces, serial numbers) and anything that describes the layout of the old file are left behind.
Nothing in EXIF can make a photo unreadable: what cannot be understood is dropped.
"""

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

LARGEST_VALUE_BYTES: Final = 4096
LARGEST_EXIF_BYTES: Final = 60_000  # an APP1 segment of a JPEG holds 65,533

# Values of the type UNDEFINED, which Pillow writes as BYTE (EXIF 2.32, tables 7 to 15)
UNDEFINED_TAGS: Final = frozenset(
    {Base.UserComment, Base.ComponentsConfiguration, Base.FileSource, Base.SceneType, Base.CFAPattern}
    | {GPS.GPSProcessingMethod, GPS.GPSAreaInformation}
)
BYTE, UNDEFINED = 1, 7
SRGB: Final = 1  # of ColorSpace

KEPT_TEXTS: Final = (
    Base.Make, Base.Model, Base.HostComputer, Base.DateTime, Base.Artist, Base.Copyright, Base.ImageDescription,
)  # fmt: skip
KEPT_TAGS: Final = (
    *KEPT_TEXTS, Base.Rating, Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords, Base.XPSubject,
)  # fmt: skip
DROPPED_EXIF_TAGS: Final = frozenset(
    {Base.MakerNote, Base.ExifInteroperabilityOffset, Base.UserComment, Base.ExifImageWidth, Base.ExifImageHeight}
)


def orientation(exif: Image.Exif) -> int:
    """Given the EXIF of a picture, return how it has to be turned: 1 (not at all) to 8, as the standard numbers it."""
    value = exif.get(Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004 - the standard's numbers


def taken_at(exif: Image.Exif) -> str | None:
    """Given the EXIF of a picture, return when it was taken in ISO 8601, with the offset if the camera knew it."""
    tags = exif.get_ifd(IFD.Exif)
    try:
        taken = datetime.strptime(str(tags.get(Base.DateTimeOriginal, "")).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - the offset is a tag of its own
    except ValueError:
        return None
    offset = str(tags.get(Base.OffsetTimeOriginal, "")).strip("\0 ")
    try:
        return datetime.fromisoformat(taken.isoformat() + offset).isoformat()
    except ValueError:
        return taken.isoformat()


def kept(exif: Image.Exif) -> bytes | None:
    """Given the EXIF of a picture, return what may be carried over, position included; None if that is nothing."""
    cleaned = Image.Exif()
    for tag in KEPT_TAGS:
        value = _as_stored(exif.get(tag))
        if isinstance(value, bytes) or (value is not None and tag not in KEPT_TEXTS):
            cleaned.update({tag: value} if _is_writable({tag: value}, None) else {})
    for group, dropped in ((IFD.Exif, DROPPED_EXIF_TAGS), (IFD.GPSInfo, frozenset[int]())):
        tags = exif.get_ifd(group)
        fitting = {
            tag: value for tag, value in tags.items() if tag not in dropped and _is_writable({tag: value}, group)
        }
        if fitting:
            cleaned.get_ifd(group).update(fitting)
    if not len(cleaned) and not any(cleaned.get_ifd(group) for group in (IFD.Exif, IFD.GPSInfo)):
        return None
    written = cleaned.tobytes()
    return written if len(written) <= LARGEST_EXIF_BYTES else None


def painted(
    camera: bytes | None, *, keep_gps: bool, software: str, description: str, size: tuple[int, int] | None
) -> bytes:
    """Given what `kept` returned, return the EXIF of the painting; `size` is its width and height in pixels.

    The position stays only with `keep_gps`. `description` (the preset, in words) becomes the user comment, and the
    image description unless the photo has one of its own.
    """
    source, result = Image.Exif(), Image.Exif()
    if camera is not None:
        source.load(camera)
    for tag in KEPT_TAGS:
        if tag in source:
            result[tag] = _as_stored(source[tag])
    result[Base.Orientation] = 1
    result[Base.Software] = software
    if not result.get(Base.ImageDescription, b"").strip(b"\0 "):
        result[Base.ImageDescription] = description.encode()
    tags = result.get_ifd(IFD.Exif)
    tags.update(source.get_ifd(IFD.Exif))
    tags[Base.UserComment] = _comment(description)
    tags[Base.ColorSpace] = SRGB
    tags.setdefault(Base.ExifVersion, b"0232")
    if size is not None:
        tags[Base.ExifImageWidth], tags[Base.ExifImageHeight] = size
    if keep_gps and source.get_ifd(IFD.GPSInfo):
        result.get_ifd(IFD.GPSInfo).update(source.get_ifd(IFD.GPSInfo))
    return _with_types(result.tobytes())


def _comment(text: str) -> bytes:
    """Given a text, return it as EXIF 2.32 4.6.5 writes comments: eight bytes that name the code, then the text."""
    if text.isascii():
        return b"ASCII\0\0\0" + text.encode()
    # The byte order is that of the EXIF block: Pillow writes new ones big-endian.
    return b"UNICODE\0" + text.encode("utf-16-be")


def _as_stored(value: Any) -> Any:
    """Given a value as Pillow read it, return its text as the bytes that stood in the file: UTF-8 stays UTF-8."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def _with_types(exif: bytes) -> bytes:
    """Given EXIF as Pillow wrote it, return it with the types by which some readers know what a value is."""
    patched = bytearray(exif)
    start = len(b"Exif\0\0")
    directories = [struct.unpack_from(">I", exif, start + 4)[0]]
    for directory in directories:
        (entries,) = struct.unpack_from(">H", exif, start + directory)
        for entry in range(start + directory + 2, start + directory + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(">HHII", exif, entry)
            if tag in {IFD.Exif, IFD.GPSInfo}:
                directories.append(value)
            elif tag in UNDEFINED_TAGS and kind == BYTE:
                struct.pack_into(">H", patched, entry + 2, UNDEFINED)
    return bytes(patched)


def _is_writable(tags: Mapping[int, Any], group: IFD | None) -> bool:
    trial = Image.Exif()
    (trial.get_ifd(group) if group else trial).update(tags)
    try:
        return len(trial.tobytes()) <= LARGEST_VALUE_BYTES
    except Exception:  # noqa: BLE001 - whatever a camera wrote that cannot be written is not carried over
        return False
