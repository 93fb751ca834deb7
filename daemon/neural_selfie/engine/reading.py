"""Open a dropped file with Pillow, safely: limits first, then the decode, and every failure in words for the dropper.

Guarantees: only decoders on the list of formats.py run; size limits are checked before a pixel is decoded; a file
that ends early is never decoded into grey; any exception that a decoder raises becomes one class of errors.py; files
that are made to be slow (more parts or scans than any picture needs) are refused beforehand; no setting of Pillow is
changed. It does not guard against a decoder that crashes or hangs: that is why inspection.py runs in a process of its
own. Free of numpy and torch.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from neural_selfie.engine import containers, exif, formats
from neural_selfie.errors import (
    DamagedPhotoError,
    NotAPictureError,
    PhotoRefusedError,
    PhotoTooLargeError,
    PhotoTooSmallError,
    TruncatedPhotoError,
)
from neural_selfie.model import Limits

MIB: Final = 1024 * 1024
MOST_SCANS: Final = 500  # of a progressive JPEG; libjpeg-turbo's djpeg suggests the same number against slow files
MOST_SCANNED_MEGAPIXELS: Final = 4_000  # scans times pixels: 3 s; 200 megapixels in the usual ten scans are 2,000
MOST_EXIF_BYTES: Final = MIB  # an APP1 segment of a JPEG holds 64 kB; Pillow reads a fraction in a microsecond

_UNREAD_EXIF: Final = "The camera's notes in the photo (EXIF) cannot be read and are ignored."
_UNREAD_NOTES: Final = "Texts or a colour profile in the photo are damaged or far too long, and are ignored."

OPENERS: Final[dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]]] = {
    "jpeg": JpegImageFile,  # of an MPO this is the first picture
    "png": PngImageFile,
    "webp": WebPImageFile,
    "avif": AvifImageFile,
    "tiff": TiffImageFile,
    "bmp": BmpImageFile,
    "gif": GifImageFile,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A whole picture as Pillow decoded it, not yet turned by `orientation` (1..8) nor converted to sRGB."""

    image: Image.Image
    format: str
    orientation: int
    taken_at: str | None
    exif: bytes | None
    icc: bytes | None
    warnings: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels as they are once the picture is turned upright."""
        width, height = self.image.size
        return (height, width) if self.orientation >= 5 else (width, height)  # noqa: PLR2004 - 5..8 lie on their side


def read(data: bytes, name: str, limits: Limits, sized: Callable[[int], None] = lambda _: None) -> Decoded:
    """Given the bytes of a file and its name (fit to be shown), return the decoded picture.

    `sized` is told how many pixels it has once the header says so, before they are decoded. Raise NotAPictureError,
    TruncatedPhotoError, DamagedPhotoError, PhotoTooLargeError or PhotoTooSmallError.
    """
    check_bytes(len(data), name, limits)
    kind = _kind(data, name)
    if containers.overfull(kind, data):
        raise _damaged(name)
    if containers.ends_early(kind, data):
        raise too_short(name)
    if kind == "png" and containers.broken_png_chunk(data):
        raise _too_short_or_damaged(data, name)
    with failures_in_words(data, name, limits):
        try:
            return _decode(data, kind, name, limits, sized)
        except (ValueError, SyntaxError, OSError):
            if kind != "png" or (bare := containers.bare_png(data)) == data:
                raise
            decoded = _decode(bare, kind, name, limits, sized)
    return replace(decoded, warnings=(*decoded.warnings, _UNREAD_NOTES))


@contextmanager
def failures_in_words(data: bytes, name: str, limits: Limits) -> Iterator[None]:
    """Given a file's bytes and name, turn whatever Pillow raises in the block about them into one of our errors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks about odd tags concern nobody who drops photos
            yield
    except PhotoRefusedError:
        raise
    except Image.DecompressionBombError:
        raise PhotoTooLargeError(
            f"{name} has more pixels than can be decoded here. Make it smaller and drop it again."
        ) from None
    except MemoryError:
        raise PhotoTooLargeError(
            f"{name} needs more memory than a picture of at most {limits.megapixels} megapixels should. "
            "Make it smaller, or save it again in another program."
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders raise nearly anything on hostile input (struct.error, ...)
        raise _too_short_or_damaged(data, name, str(error)) from None


def check_bytes(size: int, name: str, limits: Limits) -> None:
    """Given the length of a file in bytes, raise PhotoTooLargeError above the limit, TruncatedPhotoError for none."""
    if size == 0:
        raise TruncatedPhotoError(
            f"{name} is empty: it may still be being copied, or the copy broke off. Copy it again if it stays here."
        )
    if size > limits.file_mib * MIB:
        raise PhotoTooLargeError(
            f"{name} has {-(-size // MIB)} MiB, and {limits.file_mib} MiB are permitted. "
            "Save it smaller, for example as JPEG, and drop it again."
        )


def too_short(name: str) -> TruncatedPhotoError:
    """Given the name of a photo, return the error that says that its end is missing."""
    return TruncatedPhotoError(
        f"{name} ends too early: it may still be being copied, or the copy broke off. Copy it again if it stays here."
    )


def _kind(data: bytes, name: str) -> str:
    if formats.is_raw(name, data):
        raise _raw(name)
    kind = formats.kind_of(data)
    if kind is not None:
        return kind
    if formats.begins_like_a_picture(data):
        raise too_short(name)
    raise NotAPictureError(
        f"{name} is not a picture that I can read: it looks like {formats.looks_like(data)}. "
        f"Drop {formats.READABLE_WORDS} instead."
    )


def _decode(data: bytes, kind: str, name: str, limits: Limits, sized: Callable[[int], None]) -> Decoded:
    opener = _heif_opener(name) if kind == "heif" else OPENERS[kind]
    image = opener(io.BytesIO(containers.single_scan(data) or data if kind == "jpeg" else data))
    if isinstance(image, TiffImageFile) and _is_preview_of_raw(image):
        raise _raw(name)
    _check_pixels(image.size, name, limits)
    if kind == "jpeg":
        _check_scans(image.size, data, name)
    sized(image.width * image.height)
    try:
        image.load()
    except Exception:
        if isinstance(image, TiffImageFile) and _strips_end_early(image, len(data)):
            raise too_short(name) from None
        raise
    _check_pixels(image.size, name, limits)  # HEIF may turn out to have another size than it declares
    if image.mode in {"P", "PA"} and image.palette is None:
        raise _damaged(name)
    remarks = []
    try:
        _refuse_long(image.info.get("exif"))
        tags = image.getexif()
        turn, taken, carried = exif.orientation(tags), exif.taken_at(tags), exif.kept(tags)
    except Exception:  # noqa: BLE001 - a broken tag raises nearly anything, and is no reason to refuse the picture
        turn, taken, carried = 1, None, None
        remarks.append(_UNREAD_EXIF)
    return Decoded(
        image=image,
        format=kind,
        orientation=turn,
        taken_at=taken,
        exif=carried,
        icc=image.info.get("icc_profile") or None,
        warnings=tuple(remarks),
    )


def _heif_opener(name: str) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    try:
        # The class is called directly and never registered: Pillow's list of formats stays as it is.
        from pillow_heif.as_plugin import HeifImageFile  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise NotAPictureError(
            f"{name} is a HEIC picture, and what reads those is not installed here: "
            "it comes with `pip install 'neural-selfie[heif]'`. Or drop the photo as JPEG."
        ) from None
    opener: Callable[[io.BytesIO], ImageFile.ImageFile] = HeifImageFile
    return opener


def _check_pixels(size: tuple[int, int], name: str, limits: Limits) -> None:
    width, height = size
    if width * height > limits.megapixels * 1_000_000:
        raise PhotoTooLargeError(
            f"{name} has {width} × {height} = {width * height / 1e6:.1f} megapixels, and {limits.megapixels} are "
            "permitted. Make it smaller and drop it again."
        )
    if min(width, height) < limits.shortest_edge_px:
        raise PhotoTooSmallError(
            f"{name} has {width} × {height} pixels, and {limits.shortest_edge_px} on the shorter edge is the least "
            "that can be painted. Drop the photo in its full size."
        )


def _check_scans(size: tuple[int, int], data: bytes, name: str) -> None:
    """A scan may add nothing and still costs a walk over all pixels: a small file can keep libjpeg busy for minutes."""
    scans = sum(part.name == "DA" for part in containers.jpeg_segments(data))
    if scans > MOST_SCANS or scans * size[0] * size[1] > MOST_SCANNED_MEGAPIXELS * 1_000_000:
        raise _damaged(name)


def _refuse_long(block: object) -> None:
    if isinstance(block, bytes) and len(block) > MOST_EXIF_BYTES:
        raise ValueError("more EXIF than any camera writes")


def _is_preview_of_raw(image: TiffImageFile) -> bool:
    """Given an opened TIFF, say whether it is a raw file (DNG, NEF, ARW, ...) of which only the preview is readable."""
    new_subfile_type, dng_version = image.tag_v2.get(254, 0), image.tag_v2.get(50706)
    return dng_version is not None or (isinstance(new_subfile_type, int) and bool(new_subfile_type & 1))


def _strips_end_early(image: TiffImageFile, size: int) -> bool:
    """Given an opened TIFF that failed to decode, say whether a strip or tile of it lies beyond the end of the file."""
    offsets = image.tag_v2.get(273) or image.tag_v2.get(324) or ()
    lengths = image.tag_v2.get(279) or image.tag_v2.get(325) or ()
    return any(offset + length > size for offset, length in zip(offsets, lengths, strict=False))


def _raw(name: str) -> NotAPictureError:
    return NotAPictureError(
        f"{name} is a camera's raw file, which I cannot develop. Export it as JPEG, PNG or TIFF and drop that."
    )


def _damaged(name: str) -> DamagedPhotoError:
    return DamagedPhotoError(
        f"{name} begins as a picture but cannot be decoded: it is damaged, or of a rare kind. "
        "Open it in a photo program, save it as JPEG or PNG, and drop that."
    )


def _too_short_or_damaged(data: bytes, name: str, reason: str = "") -> DamagedPhotoError:
    missing_end = "truncated" in reason.lower() or "end of file" in reason.lower() or containers.ends_in_zeros(data)
    return too_short(name) if missing_end else _damaged(name)
