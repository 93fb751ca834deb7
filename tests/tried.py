"""What was tried with the daemon, and how often: the table of the README, counted from the tests that pytest finds.

`python tests/tried.py` prints it. A case is one run of a test with its own arguments; what a case has to end with is
that nothing was lost, doubled or left unexplained.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hostile_bombs
import test_soak

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """`what` was tried in the tests whose ids begin with one of `tests`; `of` says what `number` things in them."""

    what: str
    tests: tuple[str, ...]
    of: str = "{number} cases"


ROWS = (
    Row("Killed with -9 at each named step of a photo's way, twice; at its first and last", ("test_crashes.py",)),
    Row("Killed where photos stay or are deleted, and between four file systems", ("test_crashes_elsewhere.py",)),
    Row("Power cut, twice, with one disk and with four", ("test_power_cut.py",)),
    Row("Killed at no particular moment", ("test_soak.py",), "{kills} kills, {photos} photos"),
    Row(
        "Disk full or broken, share gone, permission missing, at each operation",
        ("test_faults", "test_outage", "test_free_space", "test_disk"),
    ),
    Row("Moves cut short, on a full disk, onto taken names, on poor file systems", ("test_moving.py",)),
    Row("Damaged, lying and exploding images", ("test_hostile_images.py",), "{images} files"),
    Row("Other hostile files, names, sidecars, configurations", ("test_hostile_",)),
    Row(
        "The watcher deaf, blind, flooded or short of watches; shares; half-made copies",
        ("test_blindness.py", "test_inbox.py", "test_samba.py", "test_settle.py", "test_shares.py"),
    ),
    Row(
        "Workers that crash, hang, mark time, run out of memory; photos that kill workers or the daemon",
        ("test_workers.py", "test_seat.py", "test_batches.py", "test_service.py", "test_service_review.py"),
    ),
    Row(
        "Photos rewritten, replaced, dropped again, seen by two daemons, or 800 at once",
        ("test_changes.py", "test_flood.py", "test_intake.py", "test_lock.py", "test_two_daemons.py"),
    ),
)


def table() -> str:
    """Return the table as Markdown; a row without tests is left out."""
    found = cases()
    lines = ["| What was tried | How often | Lost or doubled |", "| --- | ---: | ---: |"]
    seen: set[str] = set()
    for row in ROWS:
        own = [case for case in found if case.startswith(row.tests) and case not in seen]
        seen |= set(own)
        if own:
            lines.append(f"| {row.what} | {row.of.format(number=len(own), **totals())} | nothing |")
    return "\n".join(lines)


def totals() -> dict[str, int]:
    """Return what is counted in other things than cases."""
    schedules = test_soak.SCHEDULES
    return {
        "images": sum(1 for _ in hostile_bombs.everything()),
        "kills": sum(kills for _, _, kills in schedules),
        "photos": sum(photos for _, photos, _ in schedules),
    }


def cases() -> Sequence[str]:
    """Return the id of every case of the tests in question, also of those that only CI runs: `test_x.py::test_y[z]`."""
    files = sorted(
        path for path in HERE.glob("test_*.py") if path.name.startswith(tuple(p for r in ROWS for p in r.tests))
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:xdist", *map(str, files)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True, timeout=280)
    return [line.removeprefix("tests/") for line in done.stdout.splitlines() if "::" in line]


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
