"""Which presets a photo asks for, by its sidecar, its folder or a rule. Pure: no file is looked at."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from neural_selfie.config.presets import AnyPreset, Rule, Sidecar
from neural_selfie.errors import SidecarError


def matching(
    dropped: PurePath,
    *,
    sidecar: Sidecar | None,
    rules: Sequence[Rule],
    presets: Mapping[str, AnyPreset],
    default_presets: Sequence[str],
) -> tuple[str, ...]:
    """Given a path relative to the inbox, return the names of the presets that the photo asks for.

    The nearest wish wins: the photo's sidecar, then a folder named like a preset (the innermost), then the first rule
    whose glob matches, then the default presets. Folders and globs do not mind capitals, nor in which form a system
    writes accents. Raise SidecarError when a sidecar names a preset that is not there.
    """
    if sidecar is not None and sidecar.presets is not None:
        for name in sidecar.presets:
            if name not in presets:
                raise SidecarError(
                    f"the sidecar asks for the preset {name!r}, which does not exist. There are: {', '.join(presets)}."
                )
        return tuple(dict.fromkeys(sidecar.presets))
    alike = {_folded(name): name for name in reversed(tuple(presets))}
    for folder in reversed(dropped.parts[:-1]):
        if folder in presets or _folded(folder) in alike:
            return (folder if folder in presets else alike[_folded(folder)],)
    for rule in rules:
        if _matches(dropped, rule.match):
            return tuple(dict.fromkeys(rule.presets))
    return tuple(dict.fromkeys(default_presets))


def _folded(name: str) -> str:
    return _composed(name).casefold()


def _matches(dropped: PurePath, pattern: str) -> bool:
    from wcmatch import glob  # noqa: PLC0415 - `status` matches nothing, and answers sooner without it

    flags = glob.GLOBSTAR | glob.IGNORECASE | glob.DOTMATCH | glob.FORCEUNIX
    return glob.globmatch(_composed(dropped.as_posix()), _composed(pattern), flags=flags)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)  # macOS writes ü as u and two dots
