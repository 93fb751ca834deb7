"""`run --dry-run`: what the daemon would make of the inbox as it is now. Changes nothing anywhere."""

import stat
from dataclasses import dataclass
from pathlib import Path

from neural_selfie import inspection
from neural_selfie.config import Loaded, masks, sidecars
from neural_selfie.config.catalogue import open_catalogue
from neural_selfie.config.layout import refuse_overlaps
from neural_selfie.errors import ConfigError, PhotoRefusedError
from neural_selfie.files import names
from neural_selfie.inbox import walk
from neural_selfie.model import Limits, Plan


@dataclass(frozen=True, slots=True)
class Finding:
    """One file of the inbox: the pictures it would get, or why it would be refused."""

    dropped: Path
    plans: tuple[Plan, ...] = ()
    refusal: str | None = None


def of(loaded: Loaded) -> list[Finding]:
    """Given the configuration, look at every file of the inbox; raise ConfigError as a run would."""
    settings = loaded.settings
    refuse_overlaps(settings)
    catalogue = open_catalogue(loaded)
    if not settings.inbox.is_dir():
        raise ConfigError(f"inbox: {settings.inbox} is not a folder.")
    limits = Limits(**settings.limits.model_dump())
    findings = []
    for path in sorted(walk(settings.inbox, settings.watch.ignore)):
        dropped = path.relative_to(settings.inbox)
        if stat.S_ISREG(path.lstat().st_mode) and (names.is_sidecar(path) or names.is_mask(path)):
            continue
        try:
            facts = inspection.inspect(path, limits)
            plans = catalogue.plans_for(dropped, sidecars.text_of(path), masks.use(path, facts, limits))
            findings.append(Finding(dropped, plans))
        except (PhotoRefusedError, OSError) as error:
            findings.append(Finding(dropped, refusal=str(error)))
    return findings
