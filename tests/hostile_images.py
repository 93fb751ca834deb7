"""A corpus of damaged, lying and odd image files, made on the spot and the same every time; none is in the repository.

What explodes is in hostile_bombs.py; odd EXIF and colour profiles are in hostile_notes.py. Each file says what may
become of it: it has to be `accepted` (a picture like any other), it has to be `refused`, or `either` is right (a
flipped bit may hit a pixel or the header).
"""

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from made_pictures import FORMATS, encoded, noisy, plain_png
from neural_selfie.model import Limits

ACCEPTED, REFUSED, EITHER = "accepted", "refused", "either"
LIMITS = Limits(file_mib=16, megapixels=9, shortest_edge_px=16)
SIDE = 60_000  # 3,600 megapixels
ENDINGS = {"jpeg": "jpg", "heif": "heic", "tiff": "tif"}
SIZE = (96, 72)


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file: what was done (`kind`) to a picture of which format, its name and bytes, and what has to come of it."""

    kind: str
    format: str
    name: str
    data: bytes
    outcome: str


@dataclass(frozen=True, slots=True)
class Seed:
    """A whole picture that the damaged ones are made of."""

    name: str
    format: str
    data: bytes

    def spoiled(self, kind: str, data: bytes, outcome: str, number: int = 0) -> Hostile:
        """Return a file made of this one."""
        ending = ENDINGS.get(self.format, self.format)
        return Hostile(kind, self.format, f"{kind} {number} {self.name}.{ending}".replace("/", "-"), data, outcome)


@cache
def seeds() -> tuple[Seed, ...]:
    """Return a whole picture for each format and its common kinds."""
    found = []
    for kind, options, _ in FORMATS:
        words = " ".join([kind, *(f"{key}={value}" for key, value in options.items() if key != "quality")])
        found.append(Seed(words, kind.lower(), encoded(noisy(*SIZE), kind, **options)))
    found.append(Seed("GIF many", "gif", animated("GIF", 3)))
    found.append(Seed("WEBP many", "webp", animated("WEBP", 3)))
    found.append(Seed("PNG many", "png", animated("PNG", 3)))
    return tuple(found)


def animated(kind: str, frames: int, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """Return a moving picture of so many frames, played for ever."""
    pictures = []
    for frame in range(frames):
        picture = Image.new("RGB", size, (frame * 37 % 256, 90, 160))
        ImageDraw.Draw(picture).rectangle((frame % size[0], 2, frame % size[0] + 9, 30), fill=(250, frame % 256, 0))
        pictures.append(picture)
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=20, loop=0, **options)


def pictures() -> Iterator[Hostile]:
    """Yield what is damaged, lies, or is odd."""
    for seed in seeds():
        yield from _cut(seed)
        yield from _flipped(seed)
        yield from _junk_behind(seed)
    yield from _wrong_endings()
    yield from _lying_sizes()
    yield from _odd_shapes()
    yield from _odd_colours()
    yield from _pretenders()


def _cut(seed: Seed) -> Iterator[Hostile]:
    """Cut at every tenth: a copy that broke off."""
    for tenth in range(10):
        yield seed.spoiled("cut", seed.data[: len(seed.data) * tenth // 10], REFUSED, tenth)
    half = seed.data[: len(seed.data) // 2]
    compressed = seed.name not in {"TIFF", "BMP"}  # what is not compressed is a black picture like any other
    yield seed.spoiled("stretched", half + bytes(len(seed.data) - len(half)), REFUSED if compressed else EITHER)


def _flipped(seed: Seed) -> Iterator[Hostile]:
    """Flip bits at seeded places: in the header, in the middle, at the end."""
    luck = random.Random(seed.name)  # noqa: S311 - the same bits every time are the point
    size = len(seed.data)
    for part, (first, last) in enumerate([(0, min(64, size)), (size // 3, 2 * size // 3), (max(0, size - 64), size)]):
        for turn in range(2):
            data = bytearray(seed.data)
            for _ in range(1 + 3 * turn):
                data[luck.randrange(first, last)] ^= 1 << luck.randrange(8)
            yield seed.spoiled("flipped", bytes(data), EITHER, 2 * part + turn)


def _junk_behind(seed: Seed) -> Iterator[Hostile]:
    """Polyglots: a picture with a ZIP or a page behind it. A GIF must end in its end."""
    archive = b"PK\x03\x04\x14\0\0\0\0\0" + bytes(16) + b"\x01\0\0\0x" + b"PK\x05\x06" + bytes(18)
    page = b"<html><script>alert(document.cookie)</script></html>"
    for number, junk in enumerate((archive, page)):
        yield seed.spoiled(
            "polyglot", seed.data + junk, EITHER if seed.format in {"gif", "heif", "avif"} else ACCEPTED, number
        )


def _wrong_endings() -> Iterator[Hostile]:
    """The name says one format, the content is another: the content decides."""
    found = list({seed.format: seed for seed in seeds()}.values())
    for seed, other in zip(found, found[1:] + found[:1], strict=True):
        for number, ending in enumerate((ENDINGS.get(other.format, other.format), "txt", "exe")):
            yield Hostile("wrong ending", seed.format, f"{seed.name} ending {number}.{ending}", seed.data, ACCEPTED)


def _lying_sizes() -> Iterator[Hostile]:
    """Headers that promise more than is there: twice the height (some decoders paint it black), and 60,000 × 60,000."""
    width, height = SIZE
    for seed in seeds():
        for number, size in enumerate(((width, 2 * height), (SIDE, SIDE), (0, height), (width, 0))):
            lie = lying(seed, *size)
            if lie != seed.data:
                yield seed.spoiled("lying size", lie, REFUSED if number else EITHER, number)


def lying(seed: Seed, width: int, height: int) -> bytes:
    """Given a picture of SIZE, return it with another size in its header(s); as it is where it has no plain one."""
    data, was, said = seed.data, SIZE, (width, height)
    if seed.format == "png":
        header = b"IHDR" + struct.pack(">II", *said) + data[24:29]
        data = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    elif seed.format == "webp" and data[12:16] == b"VP8X":
        if width and height:  # it stores them less one
            data = data[:24] + b"".join((edge - 1).to_bytes(3, "little") for edge in said) + data[30:]
    elif seed.format == "webp":
        data = data.replace(struct.pack("<HH", *was), struct.pack("<HH", width & 0x3FFF, height & 0x3FFF))
    elif seed.format == "tiff":
        for tag, old, new in zip((256, 257), was, said, strict=True):
            for kind in (3, 4):
                entry = struct.pack("<HHII", tag, kind, 1, old), struct.pack("<HHII", tag, kind, 1, new)
                data = data.replace(*entry)
    else:
        order = {"jpeg": ">HH", "gif": "<HH", "bmp": "<ii", "heif": ">II", "avif": ">II"}[seed.format]
        turned = -1 if seed.format == "jpeg" else 1  # which says the height first
        data = data.replace(struct.pack(order, *was[::turned]), struct.pack(order, *said[::turned]))
    return data


def _odd_shapes() -> Iterator[Hostile]:
    """Pictures of 1 × 1, 1 × 20,000 and 20,000 × 1, and thin ones that are just wide enough."""
    shapes = {
        (1, 1): REFUSED,
        (1, 20_000): REFUSED,
        (20_000, 1): REFUSED,
        (16, 12_000): ACCEPTED,
        (12_000, 16): ACCEPTED,
    }
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"):  # x265 refuses such shapes
        for number, (size, outcome) in enumerate(shapes.items()):
            if max(size) > 16_383 and kind in {"WEBP", "AVIF"}:  # more they cannot hold
                continue
            seed = Seed(
                f"{kind} {size[0]}x{size[1]}", kind.lower(), encoded(Image.new("RGB", size, (9, 99, 200)), kind)
            )
            yield seed.spoiled("odd shape", seed.data, outcome, number)


def _odd_colours() -> Iterator[Hostile]:
    """Inks, 16 bits, one bit, greys with alpha, palettes, floats and no numbers: what Pillow can write."""
    deep = np.linspace(0, 65_535, 40 * 30).astype(np.uint16).reshape(30, 40)
    modes = {
        "JPEG": ("L", "CMYK", "YCbCr"),
        "PNG": ("1", "L", "LA", "P", "RGBA", "I;16"),
        "WEBP": ("RGBA", "L"),
        "TIFF": ("1", "L", "LA", "P", "CMYK", "YCbCr", "LAB", "I;16", "I", "F", "RGBA", "RGBX"),
        "GIF": ("1", "L", "P", "RGBA"),
        "BMP": ("1", "L", "P", "RGBA"),
        "HEIF": ("L", "RGBA"),
        "AVIF": ("L", "RGBA"),
    }
    for kind, colours in modes.items():
        for mode in colours:
            image = (
                Image.fromarray(deep)
                if mode == "I;16"
                else noisy(40, 30).convert(mode)
                if mode != "LAB"
                else Image.new("LAB", (40, 30), (120, 30, 200))
            )
            yield Seed(f"{kind} {mode}", kind.lower(), encoded(image, kind)).spoiled(
                "odd colours", encoded(image, kind), ACCEPTED
            )
    holes = Image.fromarray(np.full((30, 40), np.nan, np.float32))
    for seed, outcome in (
        (Seed("floats that are no numbers", "tiff", encoded(holes, "TIFF")), ACCEPTED),
        (Seed("palette without palette", "png", plain_png((40, 30), 8, 3, b"\0")), EITHER),
        (Seed("sixteen bits of colour", "png", plain_png((40, 30), 16, 6, bytes(range(8)))), ACCEPTED),
        (Seed("seven bits", "png", plain_png((40, 30), 7, 2, b"\0\0\0")), REFUSED),
        (Seed("colour type 9", "png", plain_png((40, 30), 8, 9, b"\0\0\0")), REFUSED),
    ):
        yield seed.spoiled("odd colours", seed.data, outcome)


def _pretenders() -> Iterator[Hostile]:
    """Files that are no pictures at all and are called like one."""
    laughs = (
        b"<!DOCTYPE l [<!ENTITY a 'ha'>"
        + b"".join(b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
        + b"]>"
    )
    contents = {
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "laughs": b"<?xml version='1.0'?>" + laughs + b"<svg>&j;</svg>",
        "xxe": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
        "pdf": b"%PDF-1.7\n1 0 obj<</JS(app.alert(1))>>endobj\n%%EOF",
        "page": b"<!DOCTYPE html><script>alert(1)</script>",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 60\n(/etc/passwd) (r) file\n",
        "ppm": b"P6\n64 64\n255\n" + bytes(64 * 64 * 3),
        "archive": b"PK\x03\x04" + bytes(60),
        "program": b"\x7fELF" + bytes(60),
        "text": b"push graphic-context\nviewbox 0 0 640 480\nfill 'url(https://127.0.0.1/x\"|ls \"-la)'\n",
        "icon": b"\0\0\x01\0\x01\0" + bytes(60),
        "psd": b"8BPS\0\x01" + bytes(60),
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "noise": random.Random(1).randbytes(5_000),  # noqa: S311 - the same bytes every time are the point
        "zeros": bytes(5_000),
        "nothing": b"",
        "dng": encoded(noisy(40, 30), "TIFF", tiffinfo={50706: b"\1\4\0\0"}),
        "video": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(100),
        "jpeg in name only": b"\xff\xd8\xff" + b"<html>" * 40,
        "riff": b"RIFF\xff\xff\xff\xffWEBPjunk" + bytes(40),
        "boxes": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0\0\0\x08meta" * 50,
    }
    for number, (kind, data) in enumerate(contents.items()):
        yield Hostile("pretender", kind, f"pretender {number}.jpg", data, REFUSED)
