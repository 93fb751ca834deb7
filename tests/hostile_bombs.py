"""Image files that are small and ask for much: for pixels, for memory, for time, for patience. Made on the spot."""

import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache

from PIL import Image

from hostile_images import ACCEPTED, EITHER, ENDINGS, REFUSED, SIDE, SIZE, Hostile, animated, pictures
from hostile_notes import exif_block, jpeg_with, notes, png_chunk, png_with
from made_pictures import encoded, noisy, plain_png

MIB = 1 << 20


@cache
def everything() -> tuple[Hostile, ...]:
    """Return the whole corpus, bombs and all."""
    return (*pictures(), *notes(), *bombs())


def bombs() -> Iterator[Hostile]:
    """Yield every bomb."""
    for kind, made in (
        ("pixel bomb", _pixels()),
        ("compression bomb", _compressed()),
        ("many frames", _frames()),
        ("many parts", _parts()),
        ("slow decoding", _slow()),
        ("endless directory", _directories()),
    ):
        for number, (format_, data, outcome) in enumerate(made):
            yield Hostile(kind, format_, f"{kind} {number}.{ENDINGS.get(format_, format_)}", data, outcome)


def _pixels() -> Iterator[tuple[str, bytes, str]]:
    """Headers of 60,000 × 60,000 with nothing behind them, and honest pictures that are too large."""
    corners = struct.pack("<HHHHB", 0, 0, SIDE, SIDE, 0)
    yield "png", plain_png((SIDE, SIDE), 8, 2, b"", rows=0), REFUSED
    yield "png", plain_png((0x7FFFFFFF, 0x7FFFFFFF), 16, 6, b"", rows=0), REFUSED
    yield "png", encoded(Image.new("1", (3_010, 3_010)), "PNG"), REFUSED
    yield "gif", b"GIF89a" + corners[4:8] + b"\x80\0\0" + bytes(6) + b"," + corners + b"\x02\x02\x4c\x01\0;", REFUSED
    yield (
        "gif",
        b"GIF89a\x10\0\x10\0\x80\0\0" + bytes(6) + b"," + corners + b"\x02\x02\x4c\x01\0;",
        REFUSED,
    )  # the frame is larger
    yield "jpeg", encoded(Image.new("L", (3_010, 3_010)), "JPEG"), REFUSED
    yield "webp", encoded(Image.new("RGB", (3_010, 3_010)), "WEBP", method=0), REFUSED
    yield "webp", b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2 + bytes(8), REFUSED
    yield "avif", encoded(Image.new("RGB", (3_010, 3_010)), "AVIF", speed=10), REFUSED
    yield "heif", encoded(Image.new("RGB", (3_010, 3_010)), "HEIF"), REFUSED
    for sign in (1, -1):
        yield (
            "bmp",
            b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, SIDE, sign * SIDE, 1, 24, 0, 0, 0, 0, 0, 0),
            REFUSED,
        )
    yield (
        "bmp",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, -(2**31), -(2**31), 1, 24, 0, 0, 0, 0, 0, 0),
        REFUSED,
    )
    yield "tiff", tiff({256: SIDE, 257: SIDE, 259: 1, 278: SIDE}, bytes(64)), REFUSED
    yield (
        "tiff",
        tiff(
            {256: 64, 257: 64, 259: 8, 322: SIDE - SIDE % 16, 323: SIDE - SIDE % 16, 324: 0, 325: 64},
            zlib.compress(bytes(MIB)),
        ),
        REFUSED,
    )  # one tile of 3,600 megapixels
    yield "tiff", tiff({256: 64, 257: 64, 259: 1, 277: 65_535, 278: 64}, bytes(4_096)), REFUSED  # samples in each pixel


def _compressed() -> Iterator[tuple[str, bytes, str]]:
    """A few kilobytes that become many megabytes."""
    zeros = zlib.compress(bytes(64 * MIB), 9)
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    whole = signature + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zeros) + png_chunk(b"IEND", b"")
    yield "png", whole, EITHER  # far more rows than the header speaks of
    texts = (
        (b"zTXt", b"a\0\0" + zeros),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros),
        (b"iCCP", b"p\0\0" + zeros),
    )
    for chunk in texts:
        yield "png", png_with(chunk), ACCEPTED
    yield "png", png_with(*[(b"zTXt", b"a%d\0\0" % n + zlib.compress(bytes(MIB - 1))) for n in range(80)]), ACCEPTED
    yield "png", png_with((b"tEXt", b"Comment\0" + b"x" * 5 * MIB)), ACCEPTED
    strip = zlib.compress(bytes(64 * MIB), 9)
    yield "tiff", tiff({256: 64, 257: 64, 259: 8, 278: 64}, strip), EITHER
    yield "tiff", tiff({256: 2_900, 257: 2_900, 259: 8, 278: 2_900}, zlib.compress(bytes(2_900**2), 9)), ACCEPTED
    yield "webp", encoded(Image.new("RGB", (2_900, 2_900), (3, 200, 90)), "WEBP", lossless=True, method=0), EITHER
    yield "gif", encoded(Image.new("L", (2_900, 2_900)), "GIF"), ACCEPTED
    yield "jpeg", jpeg_with(*_extended_xmp(4 * MIB)), ACCEPTED
    yield (
        "jpeg",
        jpeg_with(*[(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(60_000)) for n in range(1, 256)]),
        EITHER,
    )
    yield (
        "jpeg",
        jpeg_with((0xE1, b"Exif\0\0" + bytes(65_000)), (0xE1, exif_block(*[(0x010E, 2, 65_000, bytes(4))] * 5_000))),
        ACCEPTED,
    )
    yield "webp", _webp_with(b"XMP ", b"<x:xmpmeta>" * 400_000), ACCEPTED
    yield "webp", _webp_with(b"ICCP", bytes(8 * MIB)), ACCEPTED


def _frames() -> Iterator[tuple[str, bytes, str]]:
    """Moving pictures of many frames that are played for ever; the first is the photo."""
    for kind in ("GIF", "PNG", "WEBP"):
        yield kind.lower(), animated(kind, 400, (40, 32)), ACCEPTED
    endless = b"GIF89a\x20\0\x20\0\x80\0\0" + bytes(6) + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    frame = (
        b"," + struct.pack("<HHHHB", 0, 0, 32, 32, 0) + encoded(Image.new("P", (32, 32)), "GIF").split(b",", 1)[1][9:-1]
    )
    yield "gif", endless + frame * 20_000 + b";", ACCEPTED
    yield "gif", endless + frame * 20_000, REFUSED  # and no end
    pages = [Image.new("L", (32, 32), shade % 256) for shade in range(300)]
    yield "tiff", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), ACCEPTED


def _parts() -> Iterator[tuple[str, bytes, str]]:
    """Hundreds of thousands of segments, chunks, blocks and boxes: nothing in each of them."""
    many = 400_000
    yield "jpeg", jpeg_with(*[(0xEC, b"")] * many), REFUSED
    yield "jpeg", b"\xff\xd8" + b"\xff" * 8 * MIB + jpeg_with()[2:], EITHER
    yield "jpeg", b"\xff\xd8" + b"\xff\0" * 4 * MIB + jpeg_with()[2:], EITHER
    yield "png", png_with(*[(b"aaAa", b"")] * many), REFUSED
    yield "png", png_with(*[(b"tEXt", b"a\0")] * many), REFUSED
    yield "webp", _webp_with(*[b"JUNK", b""] * many), REFUSED
    boxes = b"\0\0\0\x08free"
    yield "heif", encoded(noisy(*SIZE), "HEIF") + boxes * many, REFUSED
    yield "avif", encoded(noisy(*SIZE), "AVIF") + boxes * many, REFUSED
    gif = encoded(noisy(*SIZE), "GIF")
    start = 13 + 3 * 2 ** ((gif[10] & 7) + 1)  # behind the palette
    assert gif[start : start + 1] == b","
    yield "gif", gif[:start] + b"!\xfe" + (b"\xff" + b"a" * 255) * (8 * MIB // 256) + b"\0" + gif[start:], EITHER
    yield "gif", gif[:start] + b"!\xfe\x01a\0" * many + gif[start:], EITHER
    yield "gif", gif[:start] + b"!\xfe\0" * many + gif[start:], EITHER
    yield "gif", gif[:start] + b"\0" * 8 * MIB + gif[start:], EITHER
    deep = b"\0\0\0\x10free"
    for _ in range(18):
        deep = struct.pack(">I4s", 8 + len(deep), b"moov") + deep
    yield "heif", encoded(noisy(*SIZE), "HEIF") + deep, EITHER


def _slow() -> Iterator[tuple[str, bytes, str]]:
    """What takes a decoder long: scans that add nothing, runs of one pixel, rows that are padded one by one."""
    progressive = encoded(Image.new("L", (2_990, 2_990)), "JPEG", progressive=True)
    scan = progressive.rindex(b"\xff\xda")
    yield "jpeg", progressive[:scan] + progressive[scan:-2] * 460 + b"\xff\xd9", REFUSED
    yield "jpeg", progressive[:scan] + progressive[scan:-2] * 600 + b"\xff\xd9", REFUSED
    runs = b"\x01\x07" * 2_000_000
    yield "bmp", _run_length(2_990, 2_990, runs), EITHER
    yield "bmp", _run_length(2_990, 2_990, b"\0\0" * 2_990 + b"\0\1"), EITHER
    yield "bmp", _run_length(2_990, 2_990, b"\0\2\xff\xff" * 1_000_000), EITHER
    luck = random.Random(2)  # noqa: S311 - the same bytes every time are the point
    yield "bmp", _run_length(2_990, 2_990, luck.randbytes(MIB)), EITHER


def _directories() -> Iterator[tuple[str, bytes, str]]:
    """TIFF directories that follow themselves, hold every tag, or whose values are all of the file."""
    plain = encoded(noisy(*SIZE), "TIFF")
    directory = struct.unpack_from("<I", plain, 4)[0]
    entries = struct.unpack_from("<H", plain, directory)[0]
    after = directory + 2 + 12 * entries
    yield "tiff", plain[:after] + struct.pack("<I", directory) + plain[after + 4 :], ACCEPTED
    sizes = {256: 64, 257: 64, 259: 1, 278: 64}
    yield "tiff", tiff(sizes | {330: 8, 34_665: 8, 34_853: 8}, bytes(4_096)), EITHER  # sub-directories: this one
    whole = [(tag, 7, 4 * MIB, 8) for tag in range(40_000, 45_000)]
    yield "tiff", tiff(sizes, bytes(4_096), whole) + bytes(4 * MIB), EITHER  # 5,000 tags of 4 MiB, all the same bytes
    yield "tiff", tiff(sizes, bytes(4_096), [(40_000, 3, 0x7FFFFFFF, 8)]), EITHER
    yield (
        "tiff",
        tiff(sizes, bytes(4_096), [(tag, 5, 500_000, 8) for tag in range(40_000, 40_020)]) + bytes(4 * MIB),
        EITHER,
    )
    strips = [(273, 4, 1_000_000, 8), (279, 4, 1_000_000, 8)]
    yield "tiff", tiff({256: 16, 257: 500_000, 259: 1, 278: 1}, b"", strips) + bytes(4 * MIB), EITHER
    yield (
        "jpeg",
        jpeg_with(
            (
                0xE2,
                b"MPF\0II*\0\x08\0\0\0"
                + struct.pack("<H", 1)
                + struct.pack("<HHII", 0xB002, 7, 0x7FFFFFF0, 8)
                + struct.pack("<I", 8),
            )
        ),
        EITHER,
    )


def tiff(tags: dict[int, int], strip: bytes, more: Sequence[tuple[int, int, int, int]] = ()) -> bytes:
    """Given tags of one number, the bytes of the pixels and more entries (tag, type, count, value), return a TIFF."""
    known = {258: 8, 262: 1, 277: 1} | tags
    if 324 not in known and not any(entry[0] == 273 for entry in more):
        known |= {273: 0, 279: len(strip)}
    entries = [(tag, 4, 1, value) for tag, value in known.items()] + list(more)
    start = 8 + 2 + 12 * len(entries) + 4
    placed = [
        (tag, kind, count, start if tag in {273, 324} and count == 1 else value) for tag, kind, count, value in entries
    ]
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(placed))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4) + strip


def _run_length(width: int, height: int, runs: bytes) -> bytes:
    palette = bytes(range(256)) * 4
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + palette + runs


def _extended_xmp(size: int) -> list[tuple[int, bytes]]:
    header, guid = b"http://ns.adobe.com/xmp/extension/\0", b"0" * 32
    return [
        (0xE1, header + guid + struct.pack(">II", size, offset) + b"<" * 60_000) for offset in range(0, size, 60_000)
    ]


def _webp_with(*parts: bytes) -> bytes:
    """Given chunks as type, payload, type, payload ..., return a WebP that has them behind its pixels."""
    whole = encoded(noisy(*SIZE), "WEBP", exif=exif_block())
    flags = whole[20] | (0x04 if b"XMP " in parts else 0) | (0x20 if b"ICCP" in parts else 0)
    made = b"".join(
        kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
        for kind, body in zip(parts[::2], parts[1::2], strict=True)
    )
    in_front = b"ICCP" in parts
    body = (
        b"WEBP"
        + whole[12:20]
        + bytes([flags])
        + whole[21:30]
        + (made if in_front else b"")
        + whole[30:]
        + (b"" if in_front else made)
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body
