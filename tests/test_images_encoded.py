"""Painted pixels become files: colours, alpha, determinism, limits of the formats."""

import datetime as dt
import io
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from made_pictures import (
    CORNERS,
    Decode,
    corners,
    quadrants,
)
from neural_selfie.engine import images, metadata
from neural_selfie.errors import (
    EngineFailedError,
    PhotoTooLargeError,
)

ENCODED: tuple[Literal["jpg"], Literal["png"], Literal["webp"]] = ("jpg", "png", "webp")


@pytest.mark.parametrize(("kind", "tolerance"), [("jpg", 3), ("png", 0.5), ("webp", 5)])
def test_encoded_pixels_come_back(decode: Decode, kind: Any, tolerance: float) -> None:
    """What is encoded decodes to the same colours, tagged as sRGB."""
    pixels = (quadrants() / 255).astype(np.float32)
    data = images.encode(pixels, format=kind)
    np.testing.assert_allclose(corners(decode(data).pixels), CORNERS, atol=tolerance)
    icc = Image.open(io.BytesIO(data)).info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))


def test_jpeg_keeps_the_colour_of_single_pixels() -> None:
    """JPEG is written 4:4:4: no chroma subsampling."""
    with Image.open(io.BytesIO(images.encode(np.zeros((64, 64, 3), np.float32)))) as image:
        assert isinstance(image, JpegImageFile)
        assert {component[1:3] for component in image.layer} == {(1, 1)}


def test_the_same_pixels_give_the_same_bytes() -> None:
    """No clock gets into the file, so that a repeat can be compared byte by byte."""
    pixels = np.zeros((32, 32, 3), np.float32)
    for kind in ENCODED:
        data = images.encode(pixels, format=kind)
        assert data == images.encode(pixels, format=kind)
        icc = ImageCms.ImageCmsProfile(io.BytesIO(Image.open(io.BytesIO(data)).info["icc_profile"]))
        assert icc.profile.creation_date == dt.datetime(2024, 1, 1)  # noqa: DTZ001 - ICC dates have no zone


def test_alpha_is_kept_or_painted_white(decode: Decode) -> None:
    """PNG and WebP keep alpha; JPEG shows white where the picture is transparent."""
    pixels = np.full((64, 96, 3), 0.2, np.float32)
    alpha = np.ones((64, 96), np.float32)
    alpha[:, 48:] = 0
    for kind in ENCODED[1:]:
        back = decode(images.encode(pixels, format=kind, alpha=alpha))
        assert back.alpha is not None
        np.testing.assert_allclose(back.alpha, alpha, atol=0.01)
    flat = decode(images.encode(pixels, alpha=alpha)).pixels
    np.testing.assert_allclose(flat[32, [20, 80], 0], [0.2, 1], atol=0.02)


def test_jpeg_of_noise_fits_its_buffer(decode: Decode) -> None:
    """The worst case for the encoder's buffer, noise at quality 100, is written whole."""
    pixels = np.random.default_rng(1).random((300, 400, 3), np.float32)
    assert decode(images.encode(pixels, quality=100)).pixels.shape == (300, 400, 3)


@pytest.mark.parametrize("transparent", [False, True])
def test_sixteen_bits(*, transparent: bool) -> None:
    """A PNG of 16 bits holds every level, keeps profile and record, and other readers see the same picture."""
    ramp = np.linspace(0, 1, 300 * 290).reshape(300, 290).astype(np.float32)
    pixels = np.stack([ramp, ramp[::-1], 1 - ramp], axis=-1)
    alpha = ramp if transparent else None
    encoded = images.encode(pixels, format="png", bits=16, alpha=alpha, embedded='{"seed": 1}')
    deep = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    wanted = np.concatenate([pixels[..., ::-1], ramp[..., None]], -1) if transparent else pixels[..., ::-1]
    assert deep is not None
    assert deep.dtype == np.uint16
    assert np.array_equal(deep, np.rint(wanted * 65535))
    assert metadata.extract(encoded) == '{"seed": 1}'
    with Image.open(io.BytesIO(encoded)) as image:
        assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])))
        np.testing.assert_allclose(np.asarray(image.convert("RGB")) / 255, pixels, atol=1.1 / 255)


def test_encoding_refuses_what_no_file_can_hold() -> None:
    """Pixels that are not numbers, and pictures longer than the format allows, are refused in words."""
    pixels = np.zeros((40, 40, 3), np.float32)
    pixels[3, 3, 0] = np.nan
    with pytest.raises(EngineFailedError, match="not numbers"):
        images.encode(pixels)
    with pytest.raises(PhotoTooLargeError, match="16384 × 1 pixels is more than webp"):
        images.encode(np.zeros((1, 16384, 3), np.float32), format="webp")


def test_pixels_out_of_range_are_clipped(decode: Decode) -> None:
    """Values beyond black and white are clipped, never wrapped around."""
    pixels = np.stack([np.full((32, 32), value, np.float32) for value in (-0.5, 1.7, 0.5)], axis=-1)
    np.testing.assert_allclose(decode(images.encode(pixels, format="png")).pixels[3, 3], [0, 1, 0.5], atol=0.002)


def test_preview_is_small_and_never_enlarged() -> None:
    """A preview fits its long edge, keeps the shape, and does not grow small pictures."""
    pixels = (quadrants(960, 640) / 255).astype(np.float32)
    for wanted, size in ((240, (240, 160)), (5000, (960, 640))):
        with Image.open(io.BytesIO(images.preview(pixels, wanted))) as image:
            assert (image.format, image.size) == ("JPEG", size)
            np.testing.assert_allclose(corners(np.asarray(image, np.float32) / np.float32(255)), CORNERS, atol=6)


def test_fitted_alpha() -> None:
    """Alpha is resized to the painting, stays within 0..1, and None stays None."""
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, 30:] = 1
    larger = images.fitted(alpha, (80, 120))
    assert larger is not None
    assert larger.shape == (80, 120)
    assert (float(larger.min()), float(larger.max())) == (0, 1)
    np.testing.assert_allclose(larger[40, [20, 100]], [0, 1], atol=0.001)
    assert images.fitted(None, (3, 3)) is None
