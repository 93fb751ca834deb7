"""The connection to `ledger.sqlite3`: opening, migrating, transactions, named statements. No photo, no job.

Guaranteed: a transaction that returned survives a power cut (WAL with synchronous=FULL) and was alone while it wrote
(BEGIN IMMEDIATE; others wait up to five seconds). One connection behind one lock, so threads may share it; another
process opens its own. Not guaranteed: anything on a network file system, where WAL does not work.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Final

from neural_selfie.errors import ConfigError
from neural_selfie.ledger.complaints import BUSY_SECONDS, explained

FILE_NAME: Final = "ledger.sqlite3"
APPLICATION_ID: Final = 0x4E53464C  # "NSFL" in the header, so that `file` and a wrong path can be told apart
MIGRATIONS: Final = ("schema.sql", "departures.sql")  # script number i brings version i to version i + 1

Value = str | bytes | int | float | None


@cache
def queries() -> dict[str, str]:
    """Return the statements of queries.sql by the name in the `-- name:` line above each."""
    text = Path(__file__).with_name("queries.sql").read_text("utf-8")
    parts = [part.partition("\n") for part in text.split("-- name: ")[1:]]
    return {name.strip(): statement.strip() for name, _, statement in parts}


class Database:
    """An open ledger file. `rows`, `row` and `run` take the name of a statement; writes belong inside `writing`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock = RLock()

    def rows(self, name: str, /, **values: Value) -> list[sqlite3.Row]:
        """Given a statement's name and its arguments, return every row it answers with."""
        with self._lock, explained(self._path):
            return self._connection.execute(queries()[name], values).fetchall()

    def row(self, name: str, /, **values: Value) -> sqlite3.Row | None:
        """Given a statement's name and its arguments, return the first row it answers with, or None."""
        found = self.rows(name, **values)
        return found[0] if found else None

    def run(self, name: str, /, **values: Value) -> int:
        """Given the name of a writing statement and its arguments, return the id of the row it inserted last."""
        with self._lock, explained(self._path):
            return self._connection.execute(queries()[name], values).lastrowid or 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the only write transaction: all of what happens inside is durable at the end, or none of it.

        Inside another one it is a part of that: durable with it, and undone alone if it fails.
        """
        with self._lock, explained(self._path):
            inner = self._connection.in_transaction  # ours: everybody else waits for the lock
            self._connection.execute("SAVEPOINT part" if inner else "BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("RELEASE part" if inner else "COMMIT")
            except BaseException:
                # SQLite may have rolled back by itself (disk full, read error).
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK TO part" if inner else "ROLLBACK")
                    if inner:
                        self._connection.execute("RELEASE part")
                raise

    def close(self) -> None:
        """Close the file. What was committed needs no closing to be safe."""
        with self._lock:
            self._connection.close()


def open_database(state: Path, *, read_only: bool = False, untouched: bool = False) -> Database:
    """Given the state folder, return its ledger, made or migrated where needed.

    `untouched` with `read_only`: as the file lies there, without its -wal, and none is made: for one nobody has open.
    Raise FileNotFoundError if it is to be read only and there is none; ConfigError if the file is damaged, of a newer
    version or no ledger; PermissionDeniedError or StorageUnavailableError if it cannot be used.
    """
    path = state.absolute() / FILE_NAME
    if read_only and not path.exists():
        raise FileNotFoundError(f"There is no ledger in {state!r} yet.")
    with explained(path):
        if not read_only:
            state.mkdir(parents=True, exist_ok=True)
        mode = ("ro&immutable=1" if untouched else "ro") if read_only else "rwc"
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # no hidden BEGIN: transactions are written out
            check_same_thread=False,  # Database locks
        )
    try:
        with explained(path):
            connection.row_factory = sqlite3.Row
            _refuse_strangers(connection, path, read_only=read_only)
            _prepare(connection, path, read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return Database(path, connection)


def _refuse_strangers(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Given a fresh connection, raise ConfigError unless the file is empty or a ledger of a version known here."""
    # Asked first: a ledger that is made between the two questions counts as empty, not as one of an older version.
    empty = _number(connection, "SELECT count(*) FROM sqlite_master") == 0
    version = _number(connection, "PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"The ledger {str(path)!r} was written by a newer version of neural-selfie (ledger version {version}, "
            f"this one knows {len(MIGRATIONS)}). Install that version again, or set `state` to another folder."
        )
    if empty and read_only:
        raise FileNotFoundError(f"The ledger {str(path)!r} is still empty.")
    if not empty and _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise ConfigError(
            f"{str(path)!r} is a database of another program. Set `state` to a folder of neural-selfie's own."
        )
    if read_only and version < len(MIGRATIONS):
        raise ConfigError(f"The ledger {str(path)!r} is of an older version. Start the daemon once to renew it.")


def _prepare(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Given a connection to a ledger or an empty file, make it durable and bring it to the present version."""
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return
    if _journal(connection) != "wal":
        raise ConfigError(f"The file system of {str(path)!r} cannot hold a ledger. Set `state` to a local disk.")
    if _number(connection, "PRAGMA user_version") == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again inside the transaction: another process may have migrated meanwhile.
        for version in range(_number(connection, "PRAGMA user_version"), len(MIGRATIONS)):
            for statement in _statements(Path(__file__).with_name(MIGRATIONS[version]).read_text("utf-8")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _journal(connection: sqlite3.Connection) -> str:
    """Switch to WAL and return the mode. Two who switch a new file at once are told "busy" without the timeout."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Given a script, yield its statements one by one; a trigger's inner semicolons do not end it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
