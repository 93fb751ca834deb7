"""Walk the containers that pictures come in: JPEG segments, PNG chunks, RIFF chunks, ISO boxes, the TIFF directory.

Decoders are lenient where this must be strict: several of them paint the missing part of a half-copied file grey or
black and say nothing. `ends_early` guarantees that a JPEG, PNG, GIF, WebP, HEIF or AVIF file that was cut anywhere is
found out, also when the copying program first stretched the file to its full length with zeros. It does not
guarantee that for uncompressed TIFF and BMP stretched with zeros (they are black pictures like any other), and it
does not decode: damage inside the compressed data is for the decoder to find.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
RESTARTS_AND_SINGLES = frozenset({0x01, *range(0xD0, 0xD9)})

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
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            return
        while data[position + 1 : position + 2] == b"\xff":  # fill bytes
            position += 1
        if position + 2 > len(data):
            return
        marker = data[position + 1]
        position += 2
        if marker == EOI:
            yield Part("D9", position, position)
            return
        if marker == 0 or marker in RESTARTS_AND_SINGLES:
            continue
        length = int.from_bytes(data[position : position + 2])
        start, end = position + 2, position + max(length, 2)
        if marker == SOS:
            found = END_OF_SCAN.search(data, end)
            end = found.start() if found else len(data)
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
    view = memoryview(data)
    critical = (part for part in png_chunks(data) if part.name[:1].isupper())
    return any(
        zlib.crc32(view[part.start - 4 : part.end]) != int.from_bytes(data[part.end : part.end + 4])
        for part in critical
    )


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


def _tiff_directory_end(data: bytes) -> int:
    """Given a TIFF file, return where its first directory ends; also BigTIFF."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    pointer, counter, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    try:
        (offset,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
        (entries,) = struct.unpack_from(order + counter, data, offset)
    except (struct.error, OverflowError):
        return len(data) + 1
    return int(offset + struct.calcsize(order + counter) + entries * entry)
