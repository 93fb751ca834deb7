"""Pictures and colour profiles made on the spot, for the tests of images, metadata and inspection."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from neural_selfie.engine import images

Bytes = npt.NDArray[np.uint8]
Decode = Callable[..., images.Picture]

RED, GREEN, BLUE, WHITE = (220, 30, 40), (20, 190, 60), (30, 50, 200), (240, 240, 240)
CORNERS = (RED, GREEN, BLUE, WHITE)


FORMATS: list[tuple[str, dict[str, Any], int]] = [  # how to save, and by how much lossy colours may be off
    ("JPEG", {"quality": 95}, 3),
    ("JPEG", {"quality": 95, "progressive": True}, 3),
    ("PNG", {}, 0),
    ("WEBP", {"quality": 95}, 6),
    ("WEBP", {"lossless": True}, 0),
    ("TIFF", {}, 0),
    ("TIFF", {"compression": "tiff_lzw"}, 0),
    ("TIFF", {"compression": "tiff_adobe_deflate", "big_tiff": True}, 0),
    ("TIFF", {"compression": "jpeg"}, 4),
    ("BMP", {}, 0),
    ("GIF", {}, 0),
    ("HEIF", {"quality": 95}, 5),
    ("AVIF", {"quality": 95}, 5),
]
NAMES = [" ".join([kind, *map(str, options)]) for kind, options, _ in FORMATS]


def quadrants(width: int = 96, height: int = 64) -> Bytes:
    """Return a picture that looks different from every side: red and green above, blue and white below."""
    pixels = np.empty((height, width, 3), np.uint8)
    middle, half = width // 2, height // 2
    pixels[:half, :middle], pixels[:half, middle:] = RED, GREEN
    pixels[half:, :middle], pixels[half:, middle:] = BLUE, WHITE
    return pixels


def corners(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Given pixels (H, W, C) in 0..1, return the values in the middle of the four quadrants, 0..255."""
    height, width = pixels.shape[:2]
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return np.array([pixels[row, column] for row in rows for column in columns], np.float64) * 255


def noisy(width: int = 200, height: int = 160) -> Image.Image:
    """Return a picture with detail everywhere, so that its file is long and every part of it counts."""
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width, dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Given an image, return the bytes of its file as Pillow (or pillow-heif) writes it."""
    stream = io.BytesIO()
    if kind == "HEIF":
        from pillow_heif import from_pillow  # noqa: PLC0415 - an optional dependency

        from_pillow(image).save(stream, **options)
    else:
        image.save(stream, kind, **options)
    return stream.getvalue()


def laid_on_its_side(upright: Bytes, orientation: int) -> Bytes:
    """Given upright pixels, return them as a camera stores them under an EXIF orientation (EXIF 2.32, tag 274)."""
    # The standard says where row 0 and column 0 of the stored picture lie in the upright one.
    flipped = {2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1]}
    row_is_a_column = {5: upright, 6: upright[:, ::-1], 7: upright[::-1, ::-1], 8: upright[::-1]}
    if orientation in row_is_a_column:
        turned = row_is_a_column[orientation]
        # Row 0 of 6 and 7 is the right side, of 5 and 8 the left; column 0 is top for 5 and 6, bottom for 7 and 8.
        return np.ascontiguousarray(turned.transpose(1, 0, 2))
    return np.ascontiguousarray(flipped.get(orientation, upright))


def profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """Given a colour space ("RGB ", "GRAY", "CMYK") and tags, return an ICC profile of version 4."""
    body, table = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x04000000, b"scnr", space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *_fixed(0.9642, 1.0, 0.8249))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def display_p3() -> bytes:
    """Return a profile like the Display P3 that iPhones write: P3 primaries adapted to D50, the sRGB curve."""
    curve = b"para\0\0\0\0" + struct.pack(">HH5i", 3, 0, *_fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    return profile(
        b"RGB ",
        {
            b"desc": _text("Display P3"),
            b"wtpt": _xyz(0.9642, 1.0, 0.8249),
            b"rXYZ": _xyz(0.51512, 0.24120, -0.00105),
            b"gXYZ": _xyz(0.29198, 0.69225, 0.04189),
            b"bXYZ": _xyz(0.15710, 0.06657, 0.78407),
            b"rTRC": curve,
            b"gTRC": curve,
            b"bTRC": curve,
        },
    )


def linear_grey() -> bytes:
    """Return a grey profile without gamma."""
    tags = {b"desc": _text("linear grey"), b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"kTRC": b"curv" + bytes(8)}
    return profile(b"GRAY", tags)


def odd_inks() -> bytes:
    """Return a CMYK profile of inks that are all grey: cyan is L* 50, magenta L* 75, any other mixture black."""
    lightness = dict.fromkeys(range(16), 0) | {0b0000: 255, 0b1000: 128, 0b0100: 191}
    grid = b"".join(bytes([lightness[inks], 128, 128]) for inks in range(16))
    identity = struct.pack(">9i", *_fixed(1, 0, 0, 0, 1, 0, 0, 0, 1))
    curves = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + curves * 4 + grid + curves * 3
    tags = {b"desc": _text("odd inks"), b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"A2B0": lut, b"A2B1": lut}
    return profile(b"CMYK", tags, b"Lab ")


def plain_png(
    size: tuple[int, int],
    bits: int,
    colour_type: int,
    pixel: bytes,
    *,
    rows: int | None = None,
    level: int = 6,
    last_chunk: int = 0,
) -> bytes:
    """Return a PNG of one colour, written by hand because Pillow writes no 16-bit colour.

    `rows`: how many are there, if not all; `level`: of compression; `last_chunk`: bytes in a data chunk of their own.
    """

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    width, height = size
    lines = (b"\0" + pixel * width) * (height if rows is None else rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    stream = zlib.compress(lines, level)
    cut = len(stream) - last_chunk
    parts = (b"IHDR", header), (b"IDAT", stream[:cut]), (b"IDAT", stream[cut:]), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _fixed(*numbers: float) -> list[int]:
    return [round(number * 65536) for number in numbers]


def _xyz(*numbers: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *_fixed(*numbers))


def _text(words: str) -> bytes:
    return (
        b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2 * len(words), 28) + words.encode("utf-16-be")
    )
