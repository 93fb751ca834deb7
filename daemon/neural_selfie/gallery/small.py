"""Small copies of pictures for the wall: WebP, made from files of the outbox and from style images.

It decodes what lies in the outbox, where others may write: never call it in the daemon's own process. A copy has the
time of the file that it was made of; another time means that it is to be made anew.
"""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image

LEVELS_PX: Final = (320, 640)  # long edges: a tile of the wall on a plain screen and on a fine one
STYLE_PX: Final = 640
_QUALITY: Final = 82
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_MOST_BYTES: Final = 256 * 2**20
_MOST_PIXELS: Final = 200_000_000


def levels(width: int, height: int) -> tuple[int, ...]:
    """Given the size of a picture in px, return the long edges of the small copies it has; none is enlarged."""
    return tuple(level for level in LEVELS_PX if level < max(width, height))


def copies(path: Path, wanted: tuple[int, ...]) -> dict[int, bytes]:
    """Given a picture and the long edges wanted (px), return a WebP for each; raise ValueError if it cannot be read.

    An OSError of the file system comes through as it is.
    """
    image = opened(path, max(wanted))
    try:
        return {level: _copy(image, level) for level in sorted(wanted, reverse=True)}
    except Exception as error:
        raise ValueError(f"it cannot be copied: {error}") from error


def opened(path: Path, long_edge_px: int) -> "Image.Image":
    """Given a picture file, return it upright as RGB or RGBA, at least `long_edge_px` long or as large as it is.

    Raise ValueError if it is no picture of ours, OSError as the file system does.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 - the daemon's own process, which imports this, has no decoder

    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError("it is too large")
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            warnings.simplefilter("ignore")  # the limit is checked here
            _refuse_huge(image)
            image.draft("RGB", (2 * long_edge_px, 2 * long_edge_px))  # JPEG: decoded at half or a quarter of its size
            return ImageOps.exif_transpose(image).convert("RGBA" if image.has_transparency_data else "RGB")
    except Exception as error:  # decoders raise whatever they like
        raise ValueError(f"it cannot be decoded: {error}") from error


def _refuse_huge(image: "Image.Image") -> None:
    if image.width * image.height > _MOST_PIXELS:
        raise ValueError("it has too many pixels")


def _copy(image: "Image.Image", long_edge_px: int) -> bytes:
    from PIL.Image import Resampling  # noqa: PLC0415 - as above

    copy = image.copy()
    copy.thumbnail((long_edge_px, long_edge_px), Resampling.LANCZOS)
    stream = io.BytesIO()
    copy.save(stream, "WEBP", quality=_QUALITY, method=2)  # half the time of 4, for 3 % more bytes
    return stream.getvalue()
