"""The ledger as a file: durability, damage, a full disk, and many processes at once, one of them killed."""

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger_samples import apply, drop, paint, plan, take_in
from neural_selfie.errors import ConfigError, LedgerBusyError, StorageUnavailableError
from neural_selfie.ledger import Ledger, database, open_ledger
from neural_selfie.lifecycle import (
    Interrupted,
)
from neural_selfie.model import Departure, JobState

pytest_plugins = ["ledger_fixture"]

HERE = Path(__file__).parent


def child(function: str, *arguments: object) -> subprocess.Popen[str]:
    """Given a function of ledger_samples and its arguments, run it in another process; it prints what it has done."""
    code = f"import ledger_samples as f; f.{function}(*{arguments!r})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=HERE, stdout=subprocess.PIPE, text=True)


def test_durability_is_really_set(ledger: Ledger) -> None:
    """WAL, synchronous=FULL, foreign keys and the busy timeout are what SQLite itself answers with."""
    connection = ledger._database._connection

    def pragma(name: str) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    values = [pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]
    assert values == ["wal", 2, 1, 5000]
    with pytest.raises(sqlite3.IntegrityError):
        ledger.kept.remember(Path("/x"), 1, 1, 1, photo_id=99)


def test_history_is_only_appended(ledger: Ledger, state_folder: Path) -> None:
    """Neither changing nor deleting an event is possible, for other programs too."""
    drop(ledger)
    connection = sqlite3.connect(state_folder / "ledger.sqlite3")
    for statement in ("UPDATE event SET at = 0", "DELETE FROM event"):
        with pytest.raises(sqlite3.IntegrityError, match="only appended"):
            connection.execute(statement)
    connection.close()


def test_reading_while_another_writes(ledger: Ledger, state_folder: Path) -> None:
    """A read-only ledger opens in the middle of a write transaction, sees what was committed, and cannot write."""
    drop(ledger, "committed")
    with ledger._database.writing():
        ledger._database.run("photo_moving", id=1, destination=b"/not/yet")
        with ThreadPoolExecutor(1) as other, open_ledger(state_folder, read_only=True) as reader:
            assert reader.in_transit() == []
            assert other.submit(reader.counts).result()[JobState.QUEUED] == 1
            assert reader.check() == []
            with pytest.raises(Exception, match="neither damaged nor forbidden"):
                drop(reader, "no")
    assert len(ledger.in_transit()) == 1


def test_no_ledger_is_not_an_empty_ledger(state_folder: Path) -> None:
    """Reading where nothing is raises and makes no file; an empty file is no ledger yet either."""
    with pytest.raises(FileNotFoundError):
        open_ledger(state_folder, read_only=True)
    assert not state_folder.exists()
    state_folder.mkdir()
    (state_folder / "ledger.sqlite3").touch()
    with pytest.raises(FileNotFoundError):
        open_ledger(state_folder, read_only=True)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "is damaged"),
        (lambda path: _execute(path, "PRAGMA user_version = 99"), "newer version"),
        (lambda path: _execute(path, "CREATE TABLE song (title TEXT)"), "another program"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_files_that_are_no_ledger(state_folder: Path, break_it: object, sentence: str, *, read_only: bool) -> None:
    """Damaged, newer and foreign files are refused with a plain sentence, and stay as they are."""
    state_folder.mkdir()
    path = state_folder / "ledger.sqlite3"
    assert callable(break_it)
    break_it(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=sentence):
        open_ledger(state_folder, read_only=read_only)
    assert path.read_bytes() == before


def test_a_busy_ledger_is_no_traceback(ledger: Ledger, state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot write in time is told so, and nothing is half written."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with open_ledger(state_folder) as other, ledger._database.writing(), pytest.raises(LedgerBusyError):
        drop(other)
    assert drop(ledger).known is False


def test_a_full_disk_rolls_back(ledger: Ledger) -> None:
    """When the file cannot grow, the drop is refused as a storage problem, and works once there is room."""
    connection = ledger._database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    plans = [plan(f"preset-{number}") for number in range(200)]
    with pytest.raises(StorageUnavailableError):
        drop(ledger, plans=plans)
    assert ledger.photos() == []
    connection.execute("PRAGMA max_page_count = 100000")
    assert len(drop(ledger, plans=plans).new_jobs) == 200


@pytest.mark.parametrize(
    ("damage", "violation"),
    [
        ("UPDATE job SET output = NULL", "has no picture"),
        ("UPDATE job SET started_at = NULL", "was never started"),
        ("UPDATE job SET failures = 9", "failed more often"),
        ("UPDATE job SET finished_at = NULL", "since when"),
        ("UPDATE job SET state = 'queued', output = NULL", "time of its end"),
        ("UPDATE job SET state = 'queued', output = NULL, finished_at = NULL", "last event says otherwise"),
        ("UPDATE job SET state = 'waiting'; UPDATE photo SET place = 'lost'", "its photo is lost"),
        ("UPDATE job SET state = 'running'; UPDATE photo SET place = 'originals'", "its photo is in originals"),
        ("UPDATE photo SET place = 'deleted', destination = x'00'", "on its way though"),
        ("UPDATE job SET photo_id = 99", "missing photo"),
    ],
)
def test_check_finds_what_is_wrong(state_folder: Path, damage: str, violation: str) -> None:
    """Each rule of the ledger, broken behind its back, is named by `check`."""
    with open_ledger(state_folder) as ledger:
        admission = drop(ledger)
        take_in(ledger, admission)
        paint(ledger, admission.new_jobs[0])
        assert ledger.check() == []
        _execute(state_folder / "ledger.sqlite3", f"PRAGMA ignore_check_constraints = ON; {damage}")
        assert any(violation in found for found in ledger.check())


def _execute(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.commit()
    connection.close()


def test_an_older_ledger_is_renewed(state_folder: Path) -> None:
    """A ledger of version 1 keeps its photos and gets what is new; who only reads is told to start the daemon."""
    with open_ledger(state_folder) as ledger:
        drop(ledger)
    _execute(state_folder / "ledger.sqlite3", "DROP TABLE departure; PRAGMA user_version = 1")
    with pytest.raises(ConfigError, match="Start the daemon once"):
        open_ledger(state_folder, read_only=True)
    with open_ledger(state_folder) as ledger:
        assert len(ledger.photos()) == 1
        ledger.departures.begin(Departure(path=Path("/inbox/me.jpg"), destination=None))
        assert ledger.check() == []
    open_ledger(state_folder, read_only=True).close()


def test_opening_is_light() -> None:
    """What `status` needs of the ledger imports neither torch, numpy, Pillow nor pydantic."""
    code = "import neural_selfie.ledger, sys; print(*{'torch', 'numpy', 'PIL', 'pydantic'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


# -- several at once


def test_many_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes the tables; nobody fails and nobody makes them twice."""
    for number in range(5):
        state = tmp_path / str(number)
        with ThreadPoolExecutor(8) as threads:
            ledgers = list(threads.map(lambda _, at=state: open_ledger(at), range(8)))
        assert [ledger.check() for ledger in ledgers] == [[]] * 8
        for ledger in ledgers:
            ledger.close()


def test_threads_share_one_ledger(ledger: Ledger) -> None:
    """Eight threads painting through one Ledger finish every job once."""
    admission = drop(ledger, plans=[plan(f"p{number}") for number in range(24)])
    take_in(ledger, admission)
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda job: paint(ledger, job), admission.new_jobs))
    assert {job.state for job in done} == {JobState.DONE}
    assert ledger.counts()[JobState.DONE] == 24


def test_two_processes_write_at_once(ledger: Ledger, state_folder: Path) -> None:
    """Two processes admit and paint the same twenty photos: every photo once, every job started and done once."""
    children = [child("compete", str(state_folder), 20) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0].split() for process in children]
    assert [process.returncode for process in children] == [0, 0]
    assert sorted(map(int, printed[0] + printed[1])) == list(range(1, 21))
    assert {(job.state, job.attempts) for job in ledger.jobs()} == {(JobState.DONE, 1)}
    assert len(ledger.photos()) == 20


def test_a_killed_process_leaves_a_consistent_ledger(ledger: Ledger, state_folder: Path) -> None:
    """After kill -9 in a burst of transactions, all that was acknowledged is there and no rule is broken."""
    for acknowledged in (5, 23, 42):
        process = child("burst", str(state_folder))
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        lines += [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.stdout.close()
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert ledger.check() == []
        happened = {(str(event.job_id), event.kind) for event in ledger.events()}
        assert {(number, kind) for number, kind in lines} <= happened
        for job in ledger.jobs(JobState.RUNNING):
            apply(ledger, job, Interrupted(now=1e6))
