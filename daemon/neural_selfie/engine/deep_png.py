"""PNG with 16 bits for each colour, which Pillow cannot write: in its file of 8 bits the pixels are replaced."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = 8  # bytes
_ROWS = 256  # deflated at a time: a whole picture of 24 MP would be 300 MB of filtered bytes
_LEFT = 1  # PNG's filter of this number: each byte less the one of the pixel to its left


def deepened(encoded: bytes, pixels: NDArray[np.uint16]) -> bytes:
    """Given a PNG of 8 bits and the same picture (H, W, 3 or 4) with 16, return the PNG with 16 and all else as it is.

    PNG specification, third edition, sections 5 and 9: big-endian, every row with its filter.
    """
    parts = [encoded[:_SIGNATURE]]
    written = False
    for kind, data in _chunks(encoded):
        if kind == b"IHDR":
            parts.append(_chunk(kind, data[:8] + b"\x10" + data[9:]))
        elif kind != b"IDAT":
            parts.append(_chunk(kind, data))
        elif not written:
            parts.append(_chunk(kind, _deflated(pixels)))
            written = True
    return b"".join(parts)


def _chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = _SIGNATURE
    while place < len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, place)
        yield kind, encoded[place + 8 : place + 8 + length]
        place += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _deflated(pixels: NDArray[np.uint16]) -> bytes:
    height, width, channels = pixels.shape
    stream, parts = zlib.compressobj(6), []
    for top in range(0, height, _ROWS):
        rows = pixels[top : top + _ROWS].astype(">u2").view(np.uint8).reshape(-1, width, 2 * channels)
        rows[:, 1:] -= rows[:, :-1].copy()
        filtered = np.empty((len(rows), 1 + rows[0].size), np.uint8)
        filtered[:, 0] = _LEFT
        filtered[:, 1:] = rows.reshape(len(rows), -1)
        parts.append(stream.compress(filtered.tobytes()))
    return b"".join([*parts, stream.flush()])
