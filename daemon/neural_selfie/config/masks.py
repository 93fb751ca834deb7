"""Masks: the picture beside a photo that says where each style is used. The photo's sidecar names it.

Nothing in one can stop the daemon or make it read another file: the name leads to no other folder, links and pipes are
not opened, at most 64 MiB are read, and it is decoded where photos are, in the inspector's process. What cannot be used
becomes a SidecarError in words of the person who dropped it. A mask serves one photo: it travels with it.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from neural_selfie import files, inspection
from neural_selfie.config import sidecars
from neural_selfie.errors import NotAFileError, PhotoRefusedError, SidecarError, TruncatedPhotoError
from neural_selfie.files import names
from neural_selfie.model import Limits, MaskUse, PhotoFacts, Plan

MASK_MIB = 64
_SHAPE = 1.02  # how many times longer one side may be, compared with the photo: masks are often painted on a small copy
_ENDING = ".mask.png"


def named(photo: Path) -> Path | None:
    """Given a photo's path, return that of the mask which its sidecar names, whether it is there or not, or None.

    None also for a sidecar that cannot be understood: who reads it for its wishes says so.
    """
    try:
        text = sidecars.text_of(photo)
        mask = None if text is None else sidecars.read(text).mask
    except (SidecarError, OSError):
        return None
    return None if mask is None else spelled(photo.parent, mask)


def spelled(folder: Path, name: str) -> Path:
    """Given a folder and the name of a mask, return its path as the system that copied it writes accents."""
    forms = dict.fromkeys([name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)])
    return next((folder / form for form in forms if os.path.lexists(folder / form)), folder / name)


def at_work(photo: Path) -> Path:
    """Given a photo in the state folder, return where its mask lies meanwhile."""
    return photo.with_name(f"{photo.name}{_ENDING}")


def numbered(name: str, number: int) -> str:
    """Given the name of a mask that is taken and a number, return `me (2).mask.png`: still the name of a mask."""
    ending = f" ({number}){name[-len(_ENDING) :]}"
    return names.fitted(name[: -len(_ENDING)], ending)


def inspect(path: Path, photo: PhotoFacts, limits: Limits) -> PhotoFacts:
    """Given the path of a mask and what is known of its photo, return what a full decode of the mask says about it.

    Raise SidecarError if it is missing, no file, no picture, above the limits or of another shape than the photo, and
    TruncatedPhotoError if it ends early: it may still be copied.
    """
    name = names.shown(path.name)
    try:
        mask = inspection.inspect(path, limits_of(limits))
    except FileNotFoundError:
        raise SidecarError(
            f"the sidecar asks for the mask {name}, which is not beside the photo. Drop the mask first, then the "
            "sidecar, and the photo last; each photo needs a mask of its own, which is filed with it."
        ) from None
    except TruncatedPhotoError as error:
        raise TruncatedPhotoError(f"The mask of this photo: {error}") from None
    except NotAFileError:
        raise SidecarError(f"the mask {name} is a link, a pipe or a device, and only files are read.") from None
    except PermissionError:
        raise SidecarError(f"the daemon may not read the mask {name}: make it readable for others.") from None
    except PhotoRefusedError as error:
        raise SidecarError(f"the mask cannot be used: {error}") from None
    longer = (mask.width * photo.height) / (mask.height * photo.width)
    if not 1 / _SHAPE <= longer <= _SHAPE:
        raise SidecarError(
            f"the mask {name} has {mask.width} × {mask.height} pixels and the photo {photo.width} × {photo.height}: "
            "they are not of one shape. Paint the mask over a copy of the photo, larger or smaller but not cropped."
        )
    return mask


def limits_of(limits: Limits) -> Limits:
    """Given what a photo may be, return what its mask may be."""
    return replace(limits, file_mib=MASK_MIB, shortest_edge_px=1)


def use(photo: Path, facts: PhotoFacts, limits: Limits) -> MaskUse | None:
    """Given a photo and what is known of it, return the mask that its sidecar names; raise as `inspect` does."""
    path = named(photo)
    return None if path is None else MaskUse(name=path.name, path=path, sha256=inspect(path, facts, limits).sha256)


def kept(mask: MaskUse, folder: Path) -> MaskUse:
    """Given a mask and the state folder's room for styles, keep it there under its hash and return it as kept.

    Raise TruncatedPhotoError if it is no longer the mask that was inspected.
    """
    target = kept_path(folder, mask.sha256)
    if not target.exists():
        data = sidecars.beginning(mask.path, MASK_MIB * (1 << 20))
        if data is None or hashlib.sha256(data).hexdigest() != mask.sha256:
            raise TruncatedPhotoError(f"The mask {names.shown(mask.name)} changed while it was looked at.")
        files.write_atomic(target, data)
    return replace(mask, path=target)


def kept_path(folder: Path, sha256: str) -> Path:
    """Given the state folder's room for styles and the hash of a mask, return where it is kept."""
    return folder / f"{sha256}{_ENDING}"


def all_kept(folder: Path) -> list[str]:
    """Given the state folder's room for styles, return the hashes of the masks that are kept there, in their order."""
    return sorted(path.name.removesuffix(_ENDING) for path in folder.iterdir() if path.name.endswith(_ENDING))


def with_mask(plans: Iterable[Plan], mask: MaskUse) -> tuple[Plan, ...]:
    """Given the plans of a photo and its mask, return them with the mask where a style has a region.

    Raise SidecarError if none has.
    """
    plans = tuple(plans)
    if not any(has_regions(plan) for plan in plans):
        presets = ", ".join(dict.fromkeys(plan.preset for plan in plans))
        raise SidecarError(
            f"there is a mask, but no style of the preset {presets} has a region to be used in. Ask for a preset with "
            "regions, or leave the mask out."
        )
    return tuple(replace(plan, mask=mask) if has_regions(plan) else plan for plan in plans)


def has_regions(plan: Plan) -> bool:
    """Given a plan, return whether one of its styles is meant for a region of a mask."""
    return any(style.region is not None for style in plan.styles)
