"""Pictures that are whole, with EXIF and colour profiles that are not: loops, garbage, lies. Made on the spot."""

import random
import struct
import zlib
from collections.abc import Iterator

from hostile_images import ACCEPTED, EITHER, SIZE, Hostile, Seed
from made_pictures import display_p3, encoded, noisy


def notes() -> Iterator[Hostile]:
    """Yield what has odd EXIF or an odd profile."""
    yield from _turned()
    yield from _profiles()


def _turned() -> Iterator[Hostile]:
    """Orientations that the standard does not know, and EXIF that is no EXIF."""
    for number, exif in enumerate(_exifs()):
        yield Seed("JPEG exif", "jpeg", jpeg_with((0xE1, exif))).spoiled(
            "odd exif", jpeg_with((0xE1, exif)), ACCEPTED, number
        )
        yield Seed("PNG exif", "png", png_with((b"eXIf", exif[6:]))).spoiled(
            "odd exif", png_with((b"eXIf", exif[6:])), ACCEPTED, number
        )
        harmless = exif_block(behind=bytes(100) + b"." * (len(exif) - len(exif_block())))
        for kind in ("WEBP", "HEIF", "AVIF"):  # written with EXIF of that length, which is replaced afterwards
            whole = encoded(noisy(*SIZE), kind, exif=harmless)
            data = whole.replace(harmless[6:], exif[6:].ljust(len(harmless) - 6, b"\0"))
            assert data != whole
            outcome = EITHER if kind == "AVIF" else ACCEPTED  # libavif refuses a file for EXIF without a beginning
            yield Seed(f"{kind} exif", kind.lower(), data).spoiled("odd exif", data, outcome, number)


def exif_block(*entries: tuple[int, int, int, bytes], following: int = 0, behind: bytes = b"") -> bytes:
    """Given entries (tag, type, count, four bytes of value or offset), return EXIF in Intel's order."""
    body = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", following) + behind


def _exifs() -> Iterator[bytes]:
    eight = struct.pack("<I", 8)
    for value in (0, 9, 65_535):
        yield exif_block((0x0112, 3, 1, struct.pack("<HH", value, 0)))
    yield exif_block((0x0112, 2, 4, b"six\0"))  # a text
    yield exif_block((0x0112, 5, 1, eight))  # a fraction, of what the header says
    yield exif_block((0x0112, 3, 0xFFFFFFFF, eight))  # four milliards of them
    yield exif_block((0x8769, 4, 1, eight), (0x8825, 4, 1, eight))  # both point to the directory that they stand in
    yield exif_block((0x0112, 3, 1, b"\x06\0\0\0"), following=8)  # the next directory is this one
    yield exif_block((0x8769, 4, 1, struct.pack("<I", 26)), behind=exif_block((0x927C, 7, 0x7FFFFFFF, eight))[14:])
    yield b"Exif\0\0" + b"\xff" * 400
    yield b"Exif\0\0MM\0*\xff\xff\xff\xff"
    yield exif_block(*[(0x010E, 2, 60_000, eight)] * 4_000)  # a directory of 48 kB whose texts all are the directory


def _profiles() -> Iterator[Hostile]:
    """Colour profiles that are garbage, cut, for another kind of picture, or large."""
    luck = random.Random(4)  # noqa: S311 - the same bits every time are the point
    whole = display_p3()
    flipped = bytearray(whole)
    for place in range(128, len(flipped), 7):
        flipped[place] ^= luck.randrange(256)
    lying_tag = whole[:132] + b"rXYZ" + b"\xff\xff\xff\xf0\xff\xff\xff\xff" + whole[144:]
    for number, icc in enumerate(
        (
            b"\0",
            b"not a profile",
            whole[:200],
            bytes(flipped),
            lying_tag,
            luck.randbytes(100_000),
            whole + bytes(3_000_000),
        )
    ):
        for kind in ("JPEG", "PNG", "TIFF", "WEBP", "HEIF", "AVIF"):
            seed = Seed(f"{kind} profile", kind.lower(), encoded(noisy(40, 30), kind, icc_profile=icc))
            yield seed.spoiled("odd profile", seed.data, EITHER if number > 5 else ACCEPTED, number)


def jpeg_with(*segments: tuple[int, bytes], size: tuple[int, int] = SIZE) -> bytes:
    """Given segments (marker, payload), return a JPEG that has them in front."""
    whole = encoded(noisy(*size), "JPEG")
    made = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return whole[:2] + made + whole[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    """Given chunks (type, payload), return a PNG that has them in front of its pixels."""
    whole = encoded(noisy(*SIZE), "PNG")
    return whole[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + whole[33:]
