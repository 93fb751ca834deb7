"""Colour profiles (ICC): convert pictures to sRGB, and give the one sRGB profile that every result carries.

Conversion is relative colorimetric with black point compensation, as photo programs do it by default. A profile that
cannot be used is ignored with a remark: a photo in slightly wrong colours is better than none.
"""

import io
import struct
from typing import Final

from PIL import Image, ImageCms

SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
HEADER_BYTES: Final = 128
MOST_TAGS: Final = 100  # lcms knows no more
MOST_STEPS: Final = 64  # of a conversion: a profile of 1 MB can name 65,535 and keep lcms busy for minutes


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Given an image of mode L, RGB, CMYK or LAB and its embedded profile, return it as RGB in sRGB, and remarks."""
    remarks: tuple[str, ...] = ()
    if icc is not None:
        try:
            return _converted(image, ImageCms.ImageCmsProfile(io.BytesIO(_checked(icc)))), ()
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            remarks = ("The photo's colour profile cannot be used and is ignored.",)
    if image.mode == "LAB":
        return _converted(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))), remarks
    return image.convert("RGB"), remarks


def prove(image: Image.Image, icc: bytes | None) -> None:
    """Given a decoded image of any mode and its embedded profile, make the conversion that painting it will need once.

    For a process that may die of it: a profile is a program, and its making is where a hostile one does its harm.
    """
    if icc is not None:
        pixel = image.crop((0, 0, 1, 1))
        to_srgb(pixel if pixel.mode in SPACES.values() else pixel.convert("RGB"), icc)
        if pixel.mode not in SPACES.values():
            to_srgb(Image.new("L", (1, 1)), icc)


def srgb_profile() -> bytes:
    """Return an sRGB profile, always the same bytes."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Bytes 24..35 hold the time of making and 84..99 a checksum that may be zero (ICC.1:2022, 7.2): results would
    # differ from second to second.
    return made[:24] + bytes.fromhex("07e8000100010000 00000000") + made[36:84] + bytes(16) + made[100:]


def _checked(icc: bytes) -> bytes:
    """Given a profile, return it; raise ValueError if a conversion has too many steps (ICC.1:2022, 7.3 and 10.16)."""
    for number in range(min(int.from_bytes(icc[HEADER_BYTES : HEADER_BYTES + 4]), MOST_TAGS)):
        at = HEADER_BYTES + 4 + 12 * number
        (offset,) = struct.unpack(">I", icc[at + 4 : at + 8].ljust(4, b"\0"))
        if icc[offset : offset + 4] == b"mpet" and int.from_bytes(icc[offset + 12 : offset + 16]) > MOST_STEPS:
            raise ValueError("more steps than any conversion needs")
    return icc


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    mode = SPACES.get(profile.profile.xcolor_space.strip(), "")
    if image.mode == "L" and mode == "RGB":
        image = image.convert("RGB")
    if image.mode != mode:
        raise ValueError("the profile is for another kind of picture")
    transform = ImageCms.ImageCmsTransform(
        profile,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return transform.apply(image)
