"""What the doctor says of one thing: how it stands, and what mends it. Nothing here looks at anything."""

from dataclasses import dataclass
from typing import Literal

from neural_selfie.errors import SelfieError

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `name` is a stable word for programs, `says` and `mend` are sentences; `mend` is "" where all is well.

    `wrong`: pictures are not made or not delivered; `warning`: they are, but something will hurt one day.
    """

    name: str
    state: State
    says: str
    mend: str = ""


def ok(name: str, says: str) -> Finding:
    """Given what is well, return the finding that says so."""
    return Finding(name, "ok", says)


def warning(name: str, says: str, mend: str) -> Finding:
    """Given what will hurt one day and what mends it, return the finding."""
    return Finding(name, "warning", says, mend)


def wrong(name: str, says: str, mend: str) -> Finding:
    """Given what is wrong and what mends it, return the finding."""
    return Finding(name, "wrong", says, mend)


def of_error(name: str, error: SelfieError) -> Finding:
    """Given an error whose last sentence says what to do, as of disks and of the ledger, return the finding."""
    says, _, mend = str(error).rpartition(". ")
    return wrong(name, f"{says}.", mend) if says else wrong(name, mend, "Look into the log: `neural-selfie status`.")
