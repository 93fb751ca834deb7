"""Files that are too large, cut, damaged, hostile or no pictures are refused, each in the right words."""

import io
import re
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from made_pictures import (
    FORMATS,
    NAMES,
    Decode,
    encoded,
    noisy,
    plain_png,
    quadrants,
)
from neural_selfie.engine import images
from neural_selfie.errors import (
    DamagedPhotoError,
    NotAPictureError,
    PhotoRefusedError,
    PhotoTooLargeError,
    PhotoTooSmallError,
    TruncatedPhotoError,
)
from neural_selfie.model import Limits

LIMITS = Limits()
SMALL = Limits(file_mib=1, megapixels=1, shortest_edge_px=8)

# Limits


def test_limits_name_the_numbers(decode: Decode) -> None:
    """Too many bytes, too many pixels and too few of them are refused with the actual and the permitted number."""
    data = encoded(noisy(1200, 1000), "PNG")
    with pytest.raises(PhotoTooLargeError, match=r"me\.jpg has 3 MiB, and 1 MiB are permitted"):
        decode(data, limits=Limits(file_mib=1))
    with pytest.raises(PhotoTooLargeError, match=r"1200 × 1000 = 1\.2 megapixels, and 1 are permitted"):
        decode(data, limits=Limits(megapixels=1))
    with pytest.raises(PhotoTooSmallError, match=r"96 × 20 pixels, and 32 on the shorter edge"):
        decode(encoded(Image.fromarray(quadrants(96, 20)), "PNG"))
    assert decode(data, limits=Limits(file_mib=3, megapixels=2)).pixels.shape == (1000, 1200, 3)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP"])
def test_bomb_is_refused_before_it_is_decoded(decode: Decode, kind: str) -> None:
    """A small file that says 60,000 × 60,000 is refused at once and without memory."""
    side = 60_000
    bombs = {
        "PNG": plain_png((side, side), 8, 2, b"", rows=0),
        "GIF": b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6)
        + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\0;",
        "TIFF": encoded(Image.new("L", (64, 64)), "TIFF", compression="tiff_lzw")
        .replace(struct.pack("<HHIHH", 256, 3, 1, 64, 0), struct.pack("<HHIHH", 256, 3, 1, side, 0))
        .replace(struct.pack("<HHIHH", 257, 3, 1, 64, 0), struct.pack("<HHIHH", 257, 3, 1, side, 0)),
        "BMP": encoded(Image.new("RGB", (64, 64)), "BMP")
        .replace(struct.pack("<ii", 64, 64), struct.pack("<ii", side, side)),
    }  # fmt: skip
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(PhotoTooLargeError, match=r"3600\.0 megapixels"):
        decode(bombs[kind])
    assert time.monotonic() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 16_000_000
    tracemalloc.stop()


# Files that are cut, damaged or no pictures

CUT = [(kind, options) for kind, options, _ in FORMATS] + [
    ("JPEG", {"quality": 80, "subsampling": 2, "restart_marker_rows": 1}),
    ("JPEG", {"quality": 90, "optimize": True, "keep_rgb": True}),
]


@pytest.mark.parametrize(("kind", "options"), CUT, ids=[*NAMES, "JPEG restarts", "JPEG rgb"])
def test_a_file_cut_anywhere_is_found_out(decode: Decode, kind: str, options: dict[str, Any]) -> None:
    """Cut at every tenth and at its last bytes, no file decodes: it is truncated, so that it is looked at again."""
    whole = encoded(noisy(), kind, **options)
    assert decode(whole).pixels.shape == (160, 200, 3)
    last = 1 if kind != "TIFF" else max(1, len(whole) // 100)  # a TIFF may end in a byte that nobody needs
    for length in [0, 1, 3, 7, 11, *(len(whole) * tenth // 10 for tenth in range(1, 10)), len(whole) - last]:
        with pytest.raises(TruncatedPhotoError, match=r"me\.jpg (ends too early|is empty)"):
            decode(whole[:length])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF"])
def test_a_file_stretched_with_zeros_is_found_out(decode: Decode, kind: str) -> None:
    """A copy that first took its full length (Windows, over SMB) and is not yet filled is not taken for a picture."""
    whole = encoded(noisy(), kind)
    for tenth in range(9):
        written = len(whole) * tenth // 10
        with pytest.raises(TruncatedPhotoError):
            decode(whole[:written] + bytes(len(whole) - written))


@pytest.mark.parametrize("missing", [0.02, 0.3, 0.9])
def test_a_short_jpeg_with_an_end_marker_is_found_out(decode: Decode, missing: float) -> None:
    """A scan that stops early is not filled up with grey, even if a marker says that it ends there."""
    whole = encoded(noisy(), "JPEG")
    scan = whole.rindex(b"\xff\xda") + 14
    short = whole[: len(whole) - int((len(whole) - scan) * missing)].rstrip(b"\xff") + b"\xff\xd9"
    with pytest.raises(TruncatedPhotoError):
        decode(short)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (33, 47), (64, 64), (100, 37), (257, 129)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_whole_jpegs_of_any_size_pass_that_check(decode: Decode, width: int, height: int, subsampling: int) -> None:
    """The check for short scans refuses no whole JPEG and changes no pixel."""
    for options in ({}, {"optimize": True}, {"restart_marker_blocks": 3}, {"progressive": True}):
        data = encoded(noisy(width, height), "JPEG", subsampling=subsampling, **options)
        expected = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(np.rint(decode(data + b"trailing data").pixels * 255), expected)


@pytest.mark.parametrize("compression", [1, 8])
def test_a_cut_tiff_with_its_directory_in_front_is_truncated(decode: Decode, compression: int) -> None:
    """A TIFF as Photoshop writes it, directory first, is truncated and not damaged while it is being copied."""
    pixels = noisy(64, 64).convert("L").tobytes()
    strip = pixels if compression == 1 else zlib.compress(pixels)
    tags = {256: 64, 257: 64, 258: 8, 259: compression, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: 64}
    tags[279] = len(strip)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    whole = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + strip
    assert decode(whole).pixels.shape == (64, 64, 3)
    for length in (100, 300, len(whole) // 2, len(whole) - 100):
        with pytest.raises(TruncatedPhotoError):
            decode(whole[:length])


def test_damage_that_only_the_check_sums_show_is_found_out(decode: Decode) -> None:
    """A PNG of which Pillow has all rows before it comes to the check sum of the stream is still checked."""
    data = plain_png((64, 64), 8, 0, b"\x55", level=0, last_chunk=4)
    assert decode(data).pixels.shape == (64, 64, 3)
    place = data.index(b"\x55" * 20)
    with pytest.raises(DamagedPhotoError):
        decode(data[:place] + b"\x99" + data[place + 1 :])


def test_damage_is_told_from_truncation(decode: Decode) -> None:
    """A whole file whose content is broken is damaged, which is final, and says what to do."""
    data = bytearray(encoded(noisy(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(DamagedPhotoError, match=r"cannot be decoded.*save it as JPEG or PNG") as caught:
        decode(bytes(data))
    assert not isinstance(caught.value, TruncatedPhotoError)


NO_PICTURES = [
    (b"Dear diary,\nI have no photo today. \xc3\xa4\n", "plain text"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF document"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0qt  \0\0\0\x08wide", "a video"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "a video"),
    (b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(20), "a ZIP archive"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document"),
    (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    (b"SIMPLE  =                    T" + b" " * 2850, "plain text"),  # FITS, which Pillow would open
    (b"P6 64 64 255\n" + b"\x01\x02\x80\xff" * 3072, "a kind of file that I do not know"),  # PPM, likewise
    (b"8BPS\0\x01" + bytes(30), "a Photoshop document"),
    (b"\x13\x37" * 40, "a kind of file that I do not know"),
]


@pytest.mark.parametrize(("data", "words"), NO_PICTURES, ids=[words for _, words in NO_PICTURES])
def test_what_is_no_picture_is_called_by_its_name(decode: Decode, data: bytes, words: str) -> None:
    """A file that is no picture is refused with what it looks like, whatever its name says."""
    with pytest.raises(NotAPictureError, match=rf"me\.jpg is not a picture that I can read: it looks like {words}"):
        decode(data)


def test_raw_files_are_not_painted_from_their_previews(decode: Decode) -> None:
    """A camera's raw file hides behind TIFF with a small picture in front: it is refused with a hint."""
    preview = Image.fromarray(quadrants())
    for name, data in (
        ("me.nef", encoded(preview, "TIFF")),
        ("me.tif", encoded(preview, "TIFF", tiffinfo={50706: b"\1\4\0\0"})),
        ("me.tif", encoded(preview, "TIFF", tiffinfo={254: 1})),
        ("me.cr3", b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom"),
        ("me.raf", b"FUJIFILMCCD-RAW 0201FF383501"),
    ):
        with pytest.raises(NotAPictureError, match=rf"{name} is a camera's raw file"):
            decode(data, name)


def test_errors_of_the_file_system_are_not_errors_of_the_photo(tmp_path: Path) -> None:
    """A file that is not there raises what the file system says."""
    with pytest.raises(FileNotFoundError):
        images.decode(tmp_path / "gone.jpg", LIMITS)
    with pytest.raises(IsADirectoryError):
        images.decode(tmp_path, LIMITS)


def test_messages_use_the_given_name(tmp_path: Path) -> None:
    """A photo is called by the name it was dropped under, not by that of its work file."""
    (tmp_path / "17.work").write_bytes(b"no picture")
    with pytest.raises(NotAPictureError, match=r"^Anna\.jpg is not"):
        images.decode(tmp_path / "17.work", LIMITS, name="Anna.jpg")


SEEDS = [
    encoded(noisy(40, 32), kind, **options)
    for kind, options, _ in FORMATS
    if options.get("compression") != "jpeg"  # libtiff writes about each of these to stderr
]
QUIET = settings(
    max_examples=80, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@given(data=st.binary(max_size=300))
@QUIET
def test_random_bytes_are_refused_and_nothing_else(decode: Decode, data: bytes) -> None:
    """Random bytes never decode and never raise anything but a refusal."""
    with pytest.raises(PhotoRefusedError, match=r"^me\.jpg "):
        decode(data, limits=SMALL)


@given(
    seed=st.sampled_from(SEEDS),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6),
    header_only=st.booleans(),
)
@QUIET
def test_flipped_bits_give_a_picture_or_a_refusal(
    decode: Decode, seed: bytes, flips: list[tuple[float, int]], *, header_only: bool
) -> None:
    """A damaged file gives valid pixels or a refusal in words, never another exception."""
    data = bytearray(seed)
    reach = min(400, len(data)) if header_only else len(data)
    for place, bits in flips:
        data[int(place * reach)] ^= bits
    outcome: object
    try:
        outcome = decode(bytes(data), limits=SMALL)
    except PhotoRefusedError as error:
        outcome = error
    if isinstance(outcome, images.Picture):
        assert outcome.pixels.ndim == 3
        assert np.isfinite(outcome.pixels).all()
    else:
        assert re.match(r"^me\.jpg [^\n]+\.$", str(outcome))
        assert "Error" not in str(outcome)
