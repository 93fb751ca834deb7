"""Photos become sRGB floats: every format and kind of colour, asserted at known places."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFile

from made_pictures import (
    CORNERS,
    FORMATS,
    NAMES,
    Decode,
    corners,
    display_p3,
    encoded,
    laid_on_its_side,
    linear_grey,
    noisy,
    odd_inks,
    plain_png,
    quadrants,
)
from neural_selfie.engine.profiles import srgb_profile

ORIENTATION = 0x0112


@pytest.mark.parametrize(("kind", "options", "tolerance"), FORMATS, ids=NAMES)
def test_every_format_has_its_colours_where_they_belong(
    decode: Decode, kind: str, options: dict[str, Any], tolerance: int
) -> None:
    """Every readable format decodes to the colours that were stored, in sRGB floats."""
    picture = decode(encoded(Image.fromarray(quadrants()), kind, **options))
    assert picture.pixels.shape == (64, 96, 3)
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.flags.c_contiguous
    assert picture.alpha is None
    assert picture.format == kind.lower()
    np.testing.assert_allclose(corners(picture.pixels), CORNERS, atol=tolerance + 0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_the_camera_turn_is_applied_once(decode: Decode, kind: str, orientation: int) -> None:
    """A photo stored on its side or mirrored comes out upright, whichever library applies the turn."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(laid_on_its_side(quadrants(), orientation))
    picture = decode(encoded(stored, kind, exif=exif.tobytes(), quality=95))
    assert picture.pixels.shape == (64, 96, 3)
    np.testing.assert_allclose(corners(picture.pixels), CORNERS, atol=6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "HEIF", "AVIF"])
def test_display_p3_becomes_srgb(decode: Decode, kind: str) -> None:
    """Colours of a wide-gamut phone profile are converted as the CSS Color 4 matrices say."""
    picture = decode(encoded(Image.fromarray(quadrants()), kind, icc_profile=display_p3(), quality=98))
    p3_to_srgb = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
    linear = _linear(np.array(CORNERS) / 255) @ p3_to_srgb.T
    np.testing.assert_allclose(corners(picture.pixels), 255 * _curved(np.clip(linear, 0, 1)), atol=6)
    assert picture.warnings == ()


def test_srgb_profile_changes_nothing(decode: Decode) -> None:
    """A photo that already is sRGB keeps its numbers exactly."""
    colours = noisy(64, 64)
    picture = decode(encoded(colours, "PNG", icc_profile=srgb_profile()))
    np.testing.assert_allclose(picture.pixels * 255, np.asarray(colours), atol=1.01)
    assert np.mean(np.rint(picture.pixels * 255) != np.asarray(colours)) < 0.02


@pytest.mark.parametrize("icc", [b"no profile at all", display_p3()[:200], linear_grey()])
def test_broken_profile_is_ignored_with_a_warning(decode: Decode, icc: bytes) -> None:
    """A profile that cannot be used, or is for another kind of picture, costs a warning and not the photo."""
    picture = decode(encoded(Image.fromarray(quadrants()), "PNG", icc_profile=icc))
    np.testing.assert_allclose(corners(picture.pixels), CORNERS, atol=0.01)
    assert any("profile" in warning for warning in picture.warnings)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 100}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]
)
def test_cmyk(decode: Decode, kind: str, options: dict[str, Any]) -> None:
    """CMYK is converted by its profile, or plainly without one; Adobe's inverted JPEGs are not negatives."""
    inks = Image.new("CMYK", (96, 64), (255, 0, 0, 0))
    inks.paste((0, 255, 0, 0), (48, 0, 96, 64))
    plain = decode(encoded(inks, kind, **options)).pixels[32, [20, 70]] * 255
    np.testing.assert_allclose(plain, [(0, 255, 255), (255, 0, 255)], atol=2)
    proofed = decode(encoded(inks, kind, icc_profile=odd_inks(), **options)).pixels[32, [20, 70]] * 255
    np.testing.assert_allclose(proofed, [(119, 119, 119), (185, 185, 185)], atol=3)  # L* 50 and 75


def test_grey_with_the_profile_of_colours(decode: Decode) -> None:
    """A grey photo that carries the profile of a colour camera is converted as a colour photo without colours."""
    picture = decode(encoded(Image.new("L", (40, 40), 128), "PNG", icc_profile=display_p3()))
    np.testing.assert_allclose(picture.pixels * 255, 128, atol=1.01)
    assert picture.warnings == ()


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_profile(decode: Decode, mode: str) -> None:
    """Grey with a profile is converted too: half of linear light is 188 in sRGB, not 128."""
    pixels = np.full((40, 40), 32896, np.uint16) if mode == "I;16" else np.full((40, 40), 128, np.uint8)
    image = Image.fromarray(pixels) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    picture = decode(encoded(image, "PNG", icc_profile=linear_grey()))
    np.testing.assert_allclose(picture.pixels[20, 20] * 255, 188, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF big-endian"])
def test_sixteen_bit_grey_keeps_its_precision(decode: Decode, kind: str) -> None:
    """16-bit greys are scaled, not clipped, and 65,536 levels stay apart."""
    ramp = np.linspace(0, 65535, 256 * 64).astype(np.uint16).reshape(64, 256)
    big = kind.endswith("big-endian")
    image = Image.frombytes("I;16B", (256, 64), ramp.astype(">u2").tobytes()) if big else Image.fromarray(ramp)
    picture = decode(encoded(image, kind.removesuffix(" big-endian")))
    np.testing.assert_allclose(picture.pixels, np.repeat(ramp[..., None] / 65535, 3, axis=2), atol=1e-6)
    assert len(np.unique(picture.pixels)) == len(np.unique(ramp))


def test_sixteen_bit_grey_that_counts_from_white(decode: Decode) -> None:
    """A TIFF whose zero is white is not painted as a negative, also at 16 bits."""
    values = np.full((40, 40), 60000, np.uint16)
    data = bytearray(encoded(Image.fromarray(values), "TIFF"))
    entry = data.find(struct.pack("<HHI", 262, 3, 1))
    assert entry > 0
    data[entry + 8 : entry + 10] = b"\0\0"
    picture = decode(bytes(data))
    np.testing.assert_allclose(picture.pixels, 1 - 60000 / 65535, atol=1e-5)


def test_sixteen_bit_colour_is_scaled(decode: Decode) -> None:
    """16-bit RGB and RGBA come out with the right brightness (8 bits of them, which is what Pillow keeps)."""
    colour, opacity = (60000, 30000, 10000), 40000
    for colour_type, samples in ((2, colour), (6, (*colour, opacity))):
        picture = decode(plain_png((40, 40), 16, colour_type, struct.pack(f">{len(samples)}H", *samples)))
        np.testing.assert_allclose(picture.pixels[3, 3], np.array(colour) / 65535, atol=1 / 255)
        assert (picture.alpha is None) == (colour_type == 2)
        if picture.alpha is not None:
            np.testing.assert_allclose(picture.alpha, opacity / 65535, atol=1 / 255)


def test_floating_point_grey(decode: Decode) -> None:
    """A TIFF of floats decodes finite and in range, whatever its numbers mean, and says what was assumed."""
    values = np.linspace(0, 2000, 40 * 40, dtype=np.float32).reshape(40, 40)
    values[0, :3] = (np.nan, np.inf, -5)
    picture = decode(encoded(Image.fromarray(values), "TIFF"))
    np.testing.assert_allclose(picture.pixels[1:, :, 0], values[1:] / 65535, atol=1e-6)
    assert (picture.pixels[0, :3] == 0).all()
    assert picture.warnings


def test_one_bit_and_palette(decode: Decode) -> None:
    """Black and white pictures and palettes decode to the colours that they show."""
    black_and_white = Image.fromarray(quadrants()[..., 1] > 100)
    for kind in ("PNG", "TIFF", "BMP"):
        picture = decode(encoded(black_and_white, kind))
        np.testing.assert_array_equal(corners(picture.pixels)[:, 0], [0, 255, 0, 255])
    picture = decode(encoded(Image.fromarray(quadrants()).quantize(4), "PNG"))
    np.testing.assert_allclose(corners(picture.pixels), CORNERS, atol=1)


def test_transparency_is_kept(decode: Decode) -> None:
    """Alpha is kept from RGBA, LA, palettes and colour keys, and colours are not multiplied by it."""
    opacity = np.full((64, 96), 255, np.uint8)
    opacity[:, 48:] = 51
    colours = Image.fromarray(np.dstack([quadrants(), opacity]))
    for kind in ("PNG", "WEBP", "TIFF", "HEIF", "AVIF"):
        picture = decode(encoded(colours, kind, quality=98))
        assert picture.alpha is not None
        np.testing.assert_allclose(picture.alpha[20, [20, 70]], [1, 0.2], atol=0.02)
        np.testing.assert_allclose(corners(picture.pixels), CORNERS, atol=7)
    grey = decode(encoded(colours.convert("LA"), "PNG"))
    assert grey.alpha is not None
    np.testing.assert_allclose(grey.alpha[20, [20, 70]], [1, 0.2], atol=0.001)

    flat = Image.fromarray(quadrants()).quantize(4)
    see_through = flat.getpixel((2, 2))
    keyed = decode(encoded(flat, "PNG", transparency=see_through))
    assert keyed.alpha is not None
    np.testing.assert_array_equal(keyed.alpha[[2, 2, 60], [2, 90, 2]], [0, 1, 1])

    levels = np.full((40, 40), 1000, np.uint16)
    levels[:20] = 30000
    deep = decode(encoded(Image.fromarray(levels), "PNG", transparency=1000))
    assert deep.alpha is not None
    np.testing.assert_array_equal(deep.alpha[[2, 30], [2, 2]], [1, 0])


def test_opaque_alpha_is_no_alpha(decode: Decode) -> None:
    """An alpha channel that hides nothing is dropped, so that a JPEG of it needs no background."""
    assert decode(encoded(Image.fromarray(quadrants()).convert("RGBA"), "PNG")).alpha is None


def test_first_picture_of_many(decode: Decode) -> None:
    """Of an animation, and of the several pictures in a phone's MPO, the first is taken."""
    for kind in ("GIF", "MPO", "WEBP", "TIFF", "PNG"):
        second = Image.new("RGB", (96, 64), "black")
        data = encoded(Image.fromarray(quadrants()), kind, save_all=True, append_images=[second])
        np.testing.assert_allclose(corners(decode(data).pixels), CORNERS, atol=6)


def test_heic_without_its_library_says_what_to_install(tmp_path: Path) -> None:
    """Where pillow-heif is not installed, a HEIC photo is refused with the way out."""
    path = tmp_path / "me.heic"
    path.write_bytes(encoded(Image.fromarray(quadrants()), "HEIF"))
    program = (
        "import sys; sys.modules['pillow_heif'] = None\n"  # what `import` finds for a package that is not there
        "from pathlib import Path; from neural_selfie.engine import images; from neural_selfie.model import Limits\n"
        "from neural_selfie.errors import NotAPictureError\n"
        "try: images.decode(Path(sys.argv[1]), Limits())\n"
        "except NotAPictureError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert "me.heic is a HEIC picture" in done.stdout
    assert "neural-selfie[heif]" in done.stdout


def test_decoding_changes_no_setting_of_pillow(decode: Decode) -> None:
    """Decoding registers no format and leaves Pillow's global settings alone."""
    Image.init()
    before = (dict(Image.OPEN), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    decode(encoded(Image.fromarray(quadrants()), "HEIF"))
    decode(encoded(Image.fromarray(quadrants()), "JPEG"))
    assert before == (dict(Image.OPEN), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def _linear(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Given sRGB values in 0..1, return linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _curved(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Given linear light in 0..1, return sRGB values."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
