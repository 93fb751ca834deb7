"""Tell by its first bytes what a file is: one of the formats on the list, or what else it looks like.

The list is closed on purpose. Pillow knows some forty formats, among them ones that start Ghostscript or were never
written for hostile input; none of their code runs on a dropped file. The name of a file is not trusted, except that
raw files of cameras, which hide inside TIFF with a small preview in front, are known by their suffix as well.
"""

from pathlib import PurePath
from typing import Final

READABLE: Final = ("jpeg", "png", "heif", "webp", "avif", "tiff", "bmp", "gif")
READABLE_WORDS: Final = "JPEG, PNG, HEIC, WebP, AVIF, TIFF, BMP or GIF"

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw"}
    | {".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")

LOOKS_LIKE = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"Rar!", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\x01\0", "an icon"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"ID3", "a sound recording"),
    (b"OggS", "a sound recording"),
    (b"fLaC", "a sound recording"),
    (b"RIFF", "a video or a sound recording"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "a database"),
)


def kind_of(data: bytes) -> str | None:
    """Given the first bytes of a file, return one of `READABLE`, or None."""
    brands = _brands(data)
    tests = {
        "jpeg": data[:3] == b"\xff\xd8\xff",
        "png": data[:8] == b"\x89PNG\r\n\x1a\n",
        "gif": data[:6] in {b"GIF87a", b"GIF89a"},
        "webp": data[:4] == b"RIFF" and data[8:12] == b"WEBP",
        "tiff": data[:4] in TIFF_SIGNATURES,
        "bmp": data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in BMP_HEADER_SIZES,
        "avif": bool(brands & AVIF_BRANDS),
        "heif": bool(brands & HEIF_BRANDS),
    }
    return next((kind for kind, fits in tests.items() if fits), None)


def begins_like_a_picture(data: bytes) -> bool:
    """Given a file of a few bytes, say whether it could be the beginning of a picture that is being copied."""
    signatures = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"GIF87a", b"RIFF", b"BM", *TIFF_SIGNATURES)
    if not data.strip(b"\0"):  # also when it was only stretched to its length so far
        return True
    if len(data) < 16:  # noqa: PLR2004 - the longest signature, that of RIFF and ISO files, with a brand
        return (data[:3] == bytes(3) and b"ftyp".startswith(data[4:8])) or any(
            s.startswith(data) or data.startswith(s) for s in signatures
        )
    return False


def looks_like(data: bytes) -> str:
    """Given the first bytes of a file that is no readable picture, say what it is, fit for "it looks like ..."."""
    for signature, words in LOOKS_LIKE:
        if data.startswith(signature):
            return words
    if data[4:8] in {b"ftyp", b"moov", b"mdat", b"wide"}:
        return "a video"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"\0" not in data[:1024] and _is_text(data[:1024]):
        return "plain text"
    return "a kind of file that I do not know"


def is_raw(name: str, data: bytes) -> bool:
    """Given the name and the first bytes of a file, say whether it is a camera's raw file."""
    if data.startswith(RAW_SIGNATURES) or b"crx " in _brands(data):
        return True
    return kind_of(data) == "tiff" and (data[8:10] == b"CR" or PurePath(name).suffix.lower() in RAW_SUFFIXES)


def _brands(data: bytes) -> frozenset[bytes]:
    """Given the first bytes of a file, return the brands of its `ftyp` box: the major one and those it is like."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4]), 256)
    return frozenset({data[8:12], *(data[at : at + 4] for at in range(16, end, 4))})


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start > len(head) - 4 else ""
    return bool(text) and sum(character.isprintable() or character.isspace() for character in text) > 0.95 * len(text)
