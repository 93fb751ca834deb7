"""Walk the containers that pictures come in: JPEG segments, PNG chunks, RIFF chunks, ISO boxes, the TIFF directory.

Decoders are lenient where this must be strict: several of them paint the missing part of a half-copied file grey or
black and say nothing. `ends_early` guarantees that a JPEG, PNG, GIF, WebP, HEIF or AVIF file that was cut anywhere is
found out, also when the copying program first stretched the file to its full length with zeros. It does not
guarantee that for uncompressed TIFF and BMP stretched with zeros (they are black pictures like any other), and it
does not decode: damage inside the compressed data is for the decoder to find. `overfull` is to be asked first: it
bounds the time that all the others, and the decoders' own walks, can take.
"""

import itertools
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

EOI, SOS = 0xD9, 0xDA
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PARTS: Final = 100_000  # a PNG of 256 MiB in libpng's pieces of 8 KiB has 32,768
MOST_FILL_BYTES: Final = 64 * 1024  # between the segments of a JPEG: Pillow reads each of them by itself
MOST_TIFF_VALUES: Final = 300_000  # of one tag that is no text: the colour map of 16 bits has 196,608
KEPT_CHUNKS: Final = frozenset({"tRNS", "eXIf"})  # that a PNG's pixels can be understood without, but not the picture

# Where a segment begins: fill bytes, stuffed bytes, restarts and TEM stand alone (ITU T.81 B.1.1.2, table B.1).
MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")

TIFF_BYTE_TYPES = frozenset({1, 2, 6, 7})  # BYTE, ASCII, SBYTE, UNDEFINED (TIFF 6.0, section 2)

# Inside entropy-coded data only these end the scan (ITU T.81 B.1.1.2, B.2.1); anything else there is damage, which
# libjpeg skips as well.
END_OF_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd9-\xdf\xe0-\xef\xfe]")


SOME_ZEROS, MANY_ZEROS = 64, 32 * 1024


class Part(NamedTuple):
    """One segment, chunk or box: its name and where its payload lies. `end` may lie beyond a file that was cut."""

    name: str
    start: int
    end: int


def jpeg_segments(data: bytes) -> Iterator[Part]:
    """Given a JPEG file, yield its segments by marker in hexadecimal ("E1", "DA", ...).

    A scan ("DA") includes its entropy-coded data. The last part is "D9" (EOI) unless the file ends early; what
    follows EOI (further pictures of an MPO, the video of a motion photo) is not looked at.
    """
    position = 2
    while found := MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == EOI:
            yield Part("D9", position, position)
            return
        length = int.from_bytes(data[position : position + 2])
        start, end = position + 2, position + max(length, 2)
        if marker == SOS:
            scan_end = END_OF_SCAN.search(data, end)
            end = scan_end.start() if scan_end else len(data)
        yield Part(f"{marker:02X}", start, end)
        if end > len(data):
            return
        position = end


def png_chunks(data: bytes) -> Iterator[Part]:
    """Given a PNG file, yield its chunks up to and including IEND, or to the one that the end of the file cuts."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        part = Part(kind.decode("latin-1"), position + 8, position + 8 + length)
        yield part
        position = part.end + 4
        if part.name == "IEND":
            return


def riff_chunks(data: bytes) -> Iterator[Part]:
    """Given a RIFF file such as WebP, yield the chunks of its form."""
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        part = Part(kind.decode("latin-1"), position + 8, position + 8 + length)
        yield part
        position = part.end + length % 2


def boxes(data: bytes) -> Iterator[Part]:
    """Given an ISO base media file (ISO 14496-12) such as HEIF or AVIF, yield its top-level boxes.

    What a phone appends without wrapping it into a box ends the walk.
    """
    position = 0
    while position + 8 <= len(data) and data[position + 4 : position + 8].isalnum():
        length, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if length == 1 and position + 16 <= len(data):
            header, length = 16, int.from_bytes(data[position + 8 : position + 16])
        end = len(data) if length == 0 else position + max(length, header)
        yield Part(kind.decode("latin-1"), position + header, end)
        position = end


WALKS: Final[Mapping[str, Callable[[bytes], Iterator[Part]]]] = {
    "jpeg": jpeg_segments,
    "png": png_chunks,
    "webp": riff_chunks,
    "heif": boxes,
    "avif": boxes,
}


def overfull(kind: str, data: bytes) -> bool:
    """Given a file's bytes and its kind (formats.py), say whether it has more parts than any picture needs.

    A file of nothing but headers keeps every program busy that walks it: decoders, and everything here.
    """
    if kind == "tiff":
        return any(count > MOST_TIFF_VALUES for count in _tiff_counts(data))
    parts = list(itertools.islice(WALKS[kind](data), MOST_PARTS + 1)) if kind in WALKS else []
    return len(parts) > MOST_PARTS or (kind == "jpeg" and _fill_bytes(parts) > MOST_FILL_BYTES)


def ends_early(kind: str, data: bytes) -> bool:
    """Given a file's bytes and its kind (formats.py), say whether bytes are missing at its end."""
    early = False  # BMP has nothing to tell it by: Pillow raises
    match kind:
        case "jpeg":
            early = [part.name for part in jpeg_segments(data)][-1:] != ["D9"]
        case "png":
            early = [(part.name, part.end + 4 <= len(data)) for part in png_chunks(data)][-1:] != [("IEND", True)]
        case "gif":
            early = data.rstrip(b"\0\r\n\t ")[-1:] != b";"
        case "webp":
            early = int.from_bytes(data[4:8], "little") + 8 > len(data) or ends_in_zeros(data)
        case "heif" | "avif":
            early = any(part.end > len(data) for part in boxes(data)) or ends_in_zeros(data)
        case "tiff":
            early = _tiff_directory_end(data) > len(data)
    return early


def ends_in_zeros(data: bytes) -> bool:
    """Given the bytes of a compressed picture, say whether its tail was never written.

    Measured: a flat 4-megapixel WebP ends in 389 zeros, 5 % of its file; AVIF, HEIC and JPEG end in none.
    """
    zeros = len(data) - len(data.rstrip(b"\0"))
    return zeros >= MANY_ZEROS or (zeros >= SOME_ZEROS and zeros * 10 > len(data))


def broken_png_chunk(data: bytes) -> bool:
    """Given a whole PNG file, say whether a chunk that every decoder needs has a wrong check sum.

    Pillow does not check those of the image data.
    """
    return any(_broken(data, part) for part in png_chunks(data) if part.name[:1].isupper())


def bare_png(data: bytes) -> bytes:
    """Given a whole PNG file, return it without texts, profiles, times and what else is no part of the picture."""
    parts = (
        data[part.start - 8 : part.end + 4]
        for part in png_chunks(data)
        if part.name[:1].isupper() or (part.name in KEPT_CHUNKS and not _broken(data, part))
    )
    return PNG_SIGNATURE + b"".join(parts)


def single_scan(data: bytes) -> bytes | None:
    """Given a whole JPEG file, return it with zeros in place of EOI if it is one Huffman-coded scan, else None.

    At a marker libjpeg fills the rest of the picture with grey and only warns, and Pillow drops the warning. Without
    the marker it has to ask for the missing data, and then Pillow raises. 32 zeros are more than the bits that the
    decoder reads ahead.
    """
    names = []
    end_of_scan = 0
    for part in jpeg_segments(data):
        names.append(part.name)
        end_of_scan = part.end if part.name == "DA" else end_of_scan
    if names.count("DA") != 1 or not {"C0", "C1"} & set(names):
        return None
    return data[:end_of_scan] + bytes(32)


def _broken(data: bytes, chunk: Part) -> bool:
    view = memoryview(data)
    return zlib.crc32(view[chunk.start - 4 : chunk.end]) != int.from_bytes(data[chunk.end : chunk.end + 4])


def _fill_bytes(parts: list[Part]) -> int:
    """Given the segments of a JPEG, return how many bytes stand between them that are no part of any."""
    headers = ((part.start - (2 if part.name == "D9" else 4), part.end) for part in parts)
    ends = itertools.chain([2], (part.end for part in parts))
    return sum(start - end for (start, _), end in zip(headers, ends, strict=False))


def _tiff_directory(data: bytes) -> tuple[str, int, int] | None:
    """Given a TIFF file, return how its numbers are read, where its first directory ends, and its entries; or None."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    pointer, counter, entry = ("Q", "Q", "HHQQ") if big else ("I", "H", "HHII")
    try:
        (offset,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
        (entries,) = struct.unpack_from(order + counter, data, offset)
    except (struct.error, OverflowError):
        return None
    return order + entry, offset + struct.calcsize(order + counter), entries


def _tiff_directory_end(data: bytes) -> int:
    """Given a TIFF file, return where its first directory ends; also BigTIFF."""
    directory = _tiff_directory(data)
    if directory is None:
        return len(data) + 1
    form, start, entries = directory
    return start + entries * struct.calcsize(form)


def _tiff_counts(data: bytes) -> Iterator[int]:
    """Given a TIFF file, yield how many values each tag of its first directory has, except texts and plain bytes."""
    directory = _tiff_directory(data)
    if directory is None:
        return
    form, start, entries = directory
    for number in range(min(entries, MOST_PARTS)):
        try:
            _, kind, count, _ = struct.unpack_from(form, data, start + number * struct.calcsize(form))
        except (struct.error, OverflowError):
            return
        if kind not in TIFF_BYTE_TYPES:
            yield count
