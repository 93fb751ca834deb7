"""Colour profiles (ICC): convert pictures to sRGB, and give the one sRGB profile that every result carries.

Conversion is relative colorimetric with black point compensation, as photo programs do it by default. A profile that
cannot be used is ignored with a remark: a photo in slightly wrong colours is better than none.
"""

import io

from PIL import Image, ImageCms

SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Given an image of mode L, RGB, CMYK or LAB and its embedded profile, return it as RGB in sRGB, and remarks."""
    remarks: tuple[str, ...] = ()
    if icc is not None:
        try:
            return _converted(image, ImageCms.ImageCmsProfile(io.BytesIO(icc))), ()
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            remarks = ("The photo's colour profile cannot be used and is ignored.",)
    if image.mode == "LAB":
        return _converted(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))), remarks
    return image.convert("RGB"), remarks


def srgb_profile() -> bytes:
    """Return an sRGB profile, always the same bytes."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Bytes 24..35 hold the time of making and 84..99 a checksum that may be zero (ICC.1:2022, 7.2): results would
    # differ from second to second.
    return made[:24] + bytes.fromhex("07e8000100010000 00000000") + made[36:84] + bytes(16) + made[100:]


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
