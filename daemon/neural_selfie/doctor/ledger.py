"""The ledger and the daemon that works with it. Runs in a process of its own; not even reading changes anything.

A ledger that nobody has open is read as it lies there: SQLite would leave its companions (-wal, -shm) behind, and root
would leave them to a daemon that may not touch them.
"""

import os
import time
from pathlib import Path

from neural_selfie import lock, snapshot
from neural_selfie.config.layout import StateFolder
from neural_selfie.doctor.finding import Finding, of_error, ok, warning, wrong
from neural_selfie.errors import SelfieError
from neural_selfie.files import storage
from neural_selfie.files.names import shown
from neural_selfie.ledger import open_ledger
from neural_selfie.ledger.database import FILE_NAME


def look(state: Path) -> list[Finding]:
    """Given the state folder, return how the ledger stands, whose it is, and what a running daemon says."""
    if storage.is_network(state):
        kind = storage.file_system_type(state)
        mend = "Set `state` to a folder on a local disk; inbox and outbox may stay on the share."
        return [wrong("ledger", f"The state folder {shown(state)} lies on a network file system ({kind}).", mend)]
    return [*_checked(state), *owners(state), *_daemon(StateFolder(state))]


def _checked(state: Path) -> list[Finding]:
    log = state / f"{FILE_NAME}-wal"
    idle = not log.exists()
    found = _judged(state, untouched=idle)
    # A daemon may have started meanwhile, and written while we read.
    return _judged(state, untouched=False) if idle and log.exists() else found


def _judged(state: Path, *, untouched: bool) -> list[Finding]:
    try:
        with open_ledger(state, read_only=True, untouched=untouched) as ledger:
            faults = ledger.check()
    except FileNotFoundError:
        return [ok("ledger", "There is no ledger yet; the daemon makes it when it starts.")]
    except PermissionError as error:
        return [wrong("ledger", f"{error.filename}: {error.strerror}.", f"Let the daemon's user own {shown(state)}.")]
    except SelfieError as error:
        return [of_error("ledger", error)]
    if faults:
        mend = f"Stop the daemon, move {FILE_NAME}, -wal and -shm in {shown(state)} away, and start it again."
        return [wrong("ledger", f"The ledger contradicts itself: {'; '.join(faults[:3])}.", mend)]
    return [ok("ledger", f"{shown(state / FILE_NAME)} is sound.")]


def owners(state: Path) -> list[Finding]:
    """Given the state folder, return a finding if something in it belongs to another user than the folder itself."""
    try:
        whose = state.stat().st_uid
        found = [shown(path.name) for path in sorted(state.iterdir()) if path.lstat().st_uid != whose]
    except OSError:
        return []  # said of the folder already
    if not found:
        return []
    says = f"In {shown(state)} {', '.join(found[:3])} belongs to another user than the folder."
    return [wrong("state.owner", says, f"`sudo chown --recursive --reference={shown(state)} {shown(state)}`.")]


def _daemon(state: StateFolder) -> list[Finding]:
    try:
        process = lock.holder(state.lock)
    except OSError as error:
        return [wrong("daemon", f"{shown(state.lock)}: {error.strerror}.", "Run the doctor as the daemon's user.")]
    if process is None:
        return [ok("daemon", "No daemon works on this state folder at the moment.")]
    troubles = [*snapshot.read_troubles(state.progress), snapshot.read_watch(state.progress).get("trouble")]
    said = " ".join(str(trouble) for trouble in troubles if trouble)
    if said:
        return [
            wrong("daemon", f"The daemon (process {process}) says: {said}", "It goes on by itself once that is mended.")
        ]
    if _older_than_program(process):
        says = f"The daemon (process {process}) runs since before this version was installed."
        return [warning("daemon", says, "`sudo systemctl restart neural-selfie`, or stop it and start it again.")]
    return [ok("daemon", f"The daemon runs (process {process}).")]


def _older_than_program(process: int) -> bool:
    """Whether a process was started before the installed source changed last: proc(5), field 22 of `stat`."""
    try:
        ticks = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
        uptime_seconds = float(Path("/proc/uptime").read_text().split()[0])
        installed_at = (Path(__file__).parent.parent / "__init__.py").stat().st_mtime
    except (OSError, ValueError, IndexError):
        return False
    return time.time() - uptime_seconds + ticks / os.sysconf("SC_CLK_TCK") < installed_at
