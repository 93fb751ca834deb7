"""Pixels in and out: any photo to float sRGB the right way up, and painted pixels to JPEG, PNG or WebP.

`decode` applies the camera's turn, converts colour profiles, keeps transparency and full 16-bit greys. 16-bit colour
has 8 bits after Pillow, which knows no other; so have 10-bit HEIC and AVIF. `encode` always tags the result as sRGB.
What may be read, and what happens to files that cannot be, is in reading.py.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Image import Transpose

from neural_selfie.engine import exif as tags_of_camera
from neural_selfie.engine import metadata, reading
from neural_selfie.engine.deep_png import deepened
from neural_selfie.engine.profiles import srgb_profile, to_srgb
from neural_selfie.errors import EngineFailedError, PhotoTooLargeError
from neural_selfie.model import Limits

Pixels = npt.NDArray[np.float32]

TURNS: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
LONGEST_EDGE_PX: Final = {"jpg": 65_500, "png": 1_000_000, "webp": 16_383}  # libjpeg, libpng, libwebp
PREVIEW_QUALITY: Final = 85


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A decoded photo: `pixels` (H, W, 3) and `alpha` (H, W), both C-contiguous float32 in 0..1, pixels in sRGB.

    `alpha` is None where the photo is opaque everywhere; colours are not multiplied by it. `exif` is what may be
    carried over (exif.py), `taken_at` ISO 8601 as the camera wrote it, `format` a word of formats.py.
    """

    pixels: Pixels
    alpha: Pixels | None
    exif: bytes | None
    taken_at: str | None
    format: str
    warnings: tuple[str, ...]


def decode(path: Path, limits: Limits, *, name: str | None = None) -> Picture:
    """Given a file, return its picture; `name` is what messages call it, by default the file's own name.

    Raise PhotoTooLargeError, PhotoTooSmallError, NotAPictureError, TruncatedPhotoError or DamagedPhotoError; an
    OSError of the file system comes through as it is.
    """
    shown = name or path.name.encode("utf-8", "replace").decode()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        reading.check_bytes(size, shown, limits)
        data = file.read(size)
    decoded = reading.read(data, shown, limits)
    with reading.failures_in_words(data, shown, limits):
        turn = TURNS.get(decoded.orientation)
        upright = decoded.image if turn is None else decoded.image.transpose(turn)
        pixels, alpha, remarks = _floats(upright, decoded)
    return Picture(
        pixels=pixels,
        alpha=alpha,
        exif=decoded.exif,
        taken_at=decoded.taken_at,
        format=decoded.format,
        warnings=decoded.warnings + remarks,
    )


def encode(
    pixels: Pixels,
    *,
    format: Literal["jpg", "png", "webp"] = "jpg",  # noqa: A002 - the word that presets use
    quality: int = 95,
    bits: int = 8,
    alpha: Pixels | None = None,
    exif: bytes | None = None,
    embedded: str | None = None,
) -> bytes:
    """Given sRGB pixels (H, W, 3) in 0..1 and alpha (H, W) of the same size, return the bytes of a picture file.

    The same arguments give the same bytes. `bits` for each colour is 8, or 16 in a PNG, for those who go on editing.
    JPEG is written 4:4:4 and on white where `alpha` is transparent; `exif`
    comes from `carried_exif`; `embedded` is the record's JSON (metadata.py). Raise PhotoTooLargeError where the
    format ends, EngineFailedError for pixels that are not numbers.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > LONGEST_EDGE_PX[format]:
        raise PhotoTooLargeError(
            f"A picture of {width} × {height} pixels is more than {format} files can hold "
            f"({LONGEST_EDGE_PX[format]} on the long edge). Choose another format or a smaller size."
        )
    shown = _shown(pixels, alpha, keep_alpha=format != "jpg")
    image = _eight_bits(shown)
    common = {"icc_profile": srgb_profile(), "exif": exif or b""}
    if format == "jpg":
        # Never optimize=True: Pillow guesses the buffer it needs, and paint in 4:4:4 needs more.
        encoded = _saved(image, "JPEG", quality=quality, subsampling=0, **common)
    elif format == "png":
        encoded = _saved(image, "PNG", **common)
        if bits == 16:  # noqa: PLR2004 - the deeper of two depths
            encoded = deepened(encoded, np.rint(shown * 65535).astype(np.uint16))
    else:
        encoded = _saved(image, "WEBP", quality=quality, method=4, **common)
    return encoded if embedded is None else metadata.embed(encoded, embedded)


def carried_exif(
    picture: Picture, *, keep_gps: bool, software: str, description: str, size: tuple[int, int] | None = None
) -> bytes:
    """Given the photo, return the EXIF of its painting: what the camera wrote, less what must not be kept (exif.py).

    `size` is the painting's width and height in pixels. The position stays only with `keep_gps`.
    """
    return tags_of_camera.painted(
        picture.exif, keep_gps=keep_gps, software=software, description=description, size=size
    )


def fitted(alpha: Pixels | None, shape: tuple[int, int]) -> Pixels | None:
    """Given alpha (H, W) in 0..1 or None, return it resized to `shape` (height, width)."""
    if alpha is None or alpha.shape == tuple(shape):
        return alpha
    height, width = shape
    resized = Image.fromarray(alpha).resize((width, height), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(resized, dtype=np.float32), 0, 1)


def preview(pixels: Pixels, long_edge_px: int, *, alpha: Pixels | None = None) -> bytes:
    """Given sRGB pixels (H, W, 3) in 0..1, return a small JPEG, at most `long_edge_px` long and never enlarged."""
    image = _eight_bits(_shown(pixels, alpha, keep_alpha=False))
    image.thumbnail((long_edge_px, long_edge_px), Image.Resampling.LANCZOS)
    return _saved(image, "JPEG", quality=PREVIEW_QUALITY)


def _saved(image: Image.Image, kind: str, **options: int | bytes) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _floats(image: Image.Image, decoded: reading.Decoded) -> tuple[Pixels, Pixels | None, tuple[str, ...]]:
    """Given an upright image of any mode, return its pixels, its alpha and what went wrong on the way."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _deep_grey(image, decoded)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in {"1", "L", "LA", "La"} else "RGBA")
        opacity = np.asarray(image.getchannel("A"))
        alpha = None if opacity.min() == 255 else np.divide(opacity, 255, dtype=np.float32)  # noqa: PLR2004 - 8 bits
    if image.mode in {"1", "L", "LA", "La"}:
        image = image.convert("L")
    elif image.mode not in {"RGB", "CMYK", "LAB"}:
        image = image.convert("RGB")
    rgb, remarks = to_srgb(image, decoded.icc)
    return np.divide(np.asarray(rgb), 255, dtype=np.float32), alpha, remarks


def _deep_grey(image: Image.Image, decoded: reading.Decoded) -> tuple[Pixels, Pixels | None, tuple[str, ...]]:
    """Given a grey image of more than 8 bits, return its pixels at full precision (Pillow's own conversion clips)."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    remarks: tuple[str, ...] = ()
    tags = getattr(decoded.image, "tag_v2", {})
    if image.mode.startswith("I;16"):
        bits = tags.get(258, (16,))[0]
        grey = values / np.float32(2 ** min(bits, 16) - 1)
    else:
        largest = next(top for top in (1.0, 255.0, 65535.0, float("inf")) if values.max() <= top)
        largest = float(values.max()) if largest == float("inf") else largest
        grey = values / np.float32(largest)
        remarks = (f"The photo does not say how bright its numbers are; 0 to {largest:g} was taken as black to white.",)
    grey = np.clip(grey, 0, 1)
    if tags.get(262) == 0:  # TIFF's WhiteIsZero, which Pillow applies to 8 bits only
        grey = 1 - grey
    key = image.info.get("transparency")
    alpha = (values != key).astype(np.float32) if isinstance(key, int) else None
    ramp, more = to_srgb(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), decoded.icc)
    curves = np.divide(np.asarray(ramp)[0], 255, dtype=np.float32)
    rgb = np.stack([np.interp(grey, np.linspace(0, 1, 256), curve) for curve in curves.T], axis=-1)
    return np.ascontiguousarray(rgb, dtype=np.float32), alpha, remarks + more


def _shown(pixels: Pixels, alpha: Pixels | None, *, keep_alpha: bool) -> Pixels:
    """Given pixels and alpha, return them in 0..1: with alpha as fourth channel if it is to be kept, else on white."""
    if not np.isfinite(pixels).all():
        raise EngineFailedError("The engine painted pixels that are not numbers.")
    if alpha is not None and not keep_alpha:
        pixels = pixels * alpha[..., None] + (1 - alpha[..., None])
    elif alpha is not None:
        pixels = np.concatenate([pixels, alpha[..., None]], axis=-1)
    return np.clip(pixels, 0, 1)


def _eight_bits(shown: Pixels) -> Image.Image:
    return Image.fromarray(np.rint(shown * 255).astype(np.uint8))
