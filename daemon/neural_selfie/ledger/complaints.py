"""What SQLite and the file system complain about, in sentences with advice. Nothing is mended or changed here.

What SQLite throws together is told apart here, because the advice is not the same: a page that is damaged and one that
cannot be read, a file that is forbidden and one that cannot be opened.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from neural_selfie.errors import (
    ConfigError,
    LedgerBusyError,
    PermissionDeniedError,
    SelfieError,
    StorageUnavailableError,
)

BUSY_SECONDS: Final = 5.0

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FORBIDDEN = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Given the ledger's path, turn what SQLite and the file system complain about into sentences with advice.

    Mistakes of this program (a broken constraint, a wrong statement) pass through unchanged.
    """
    try:
        yield
    except sqlite3.Error as error:
        sentence = _explanation(_code(error), path)
        if sentence is None:
            raise
        raise sentence from error
    except PermissionError as error:
        raise PermissionDeniedError(f"The state folder {str(path.parent)!r} may not be used by this user.") from error


def _code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the upper bits only refine the code


def _explanation(code: int | None, path: Path) -> SelfieError | None:
    name = repr(str(path))
    if (code in _DAMAGED and not _is_damaged(path)) or (code in _FORBIDDEN and _is_permitted(path)):
        return StorageUnavailableError(
            f"The ledger {name} cannot be read or written to, though it is neither damaged nor forbidden. Check its "
            "disk, the cable and the system log; the daemon then goes on by itself."
        )
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LedgerBusyError(f"The ledger {name} was in use for {BUSY_SECONDS:.0f} seconds. Try again.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return ConfigError(
                f"The ledger {name} is damaged. Stop the daemon, move this file and its -wal and -shm companions "
                "away, and start again: pictures in the outbox are not touched, waiting photos can be dropped again."
            )
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return StorageUnavailableError(
                f"The disk of the ledger {name} is full or fails. Free some space on it, or check it, its cable and "
                "the system log; the daemon then goes on by itself."
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return PermissionDeniedError(
                f"The ledger {name} cannot be opened or written to by this user. Run the command as the daemon's "
                "user, or give this one access to the state folder."
            )
        case _:
            return None


def _is_damaged(path: Path) -> bool:
    """Given a ledger that SQLite calls damaged, say whether it is, or only could not be read just then.

    Since 3.33 SQLite's statements say so of a page that the disk does not give out, too; a backup keeps the two apart.
    Nobody may simply read the file instead: closing it would take SQLite's locks away from this whole process.
    """
    try:
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as ledger,
            closing(sqlite3.connect(":memory:")) as copy,
        ):
            ledger.backup(copy)
            return bool(copy.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error as error:
        return _code(error) in _DAMAGED


def _is_permitted(path: Path) -> bool:
    """Given a ledger that cannot be opened, say whether permissions and mount would allow it: SQLite does not tell."""
    if not os.access(path.parent, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        return False
    files = [path.with_name(f"{path.name}{suffix}") for suffix in ("", "-wal", "-shm")]
    there = [file for file in files if os.access(file, os.F_OK)]
    return all(os.access(file, os.R_OK | os.W_OK, effective_ids=True) for file in there)
