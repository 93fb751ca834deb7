"""How things stand, also where somebody has damaged the files that say so, or put others in their place."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ledger_samples import apply, drop, take_in
from neural_selfie import snapshot
from neural_selfie.files.names import shown
from neural_selfie.ledger import Ledger
from neural_selfie.lifecycle import Started
from neural_selfie.model import Progress
from neural_selfie.snapshot import Trouble

pytest_plugins = ["ledger_fixture"]

DAMAGED = [
    b"",
    b"\0" * 4096,
    b"{",
    b"[]",
    b"null",
    b"3",
    b'"running"',
    b"{}",
    b'{"running": 3, "watch": 3}',
    b'{"running": [3], "watch": [3]}',
    b'{"running": [{"nonsense": 1}], "watch": null}',
    b'{"running": [{"photo": "me.jpg"}], "watch": "on"}',
    b"\xff\xfe{",
    b"[" * 100_000,
    b'{"running": ' * 10_000,
]


def explanation(folder: Path, name: str, **content: Any) -> Path:
    """Write an explanation into failed/, as the daemon does, and return its path."""
    path = folder / f"{name}{snapshot.ERROR_SUFFIX}"
    usual = {"photo": name, "cause": "damaged_photo", "reason": "It ends too early.", "when": "2017-05-01T12:00:00Z"}
    path.write_text(json.dumps(usual | content))
    return path


def test_what_the_daemon_writes_is_what_status_reads(ledger: Ledger, tmp_path: Path) -> None:
    """A snapshot survives its file: the picture being painted, how far it is, and how the inbox is watched."""
    admission = drop(ledger)
    take_in(ledger, admission)
    job = apply(ledger, admission.new_jobs[0], Started(now=100.0))
    progress = {job.id: Progress(job_id=job.id, attempt=1, stage="paint", scale=3, iteration=7, fraction=0.25)}
    now = snapshot.of(ledger, progress, {"polling": True}, arriving=2, now=110.0)
    assert now.counts["running"] == 1
    assert now.counts["failed"] == 0
    assert [(one.photo, one.stage, one.fraction, one.seconds, one.eta_seconds) for one in now.running] == [
        ("me.jpg", "paint", 0.25, 10.0, 30.0)
    ]
    (tmp_path / "progress.json").write_text(json.dumps(now.as_json()))
    assert snapshot.read_running(tmp_path / "progress.json") == now.running
    assert snapshot.read_watch(tmp_path / "progress.json") == {"polling": True}


def test_no_estimate_before_there_is_something_to_go_by(ledger: Ledger) -> None:
    """Without progress, or with that of an attempt whose worker died, a picture is at 0 % and its end unknown."""
    admission = drop(ledger)
    take_in(ledger, admission)
    job = apply(ledger, admission.new_jobs[0], Started(now=100.0))
    stale = Progress(job_id=job.id, attempt=7, stage="paint", fraction=0.9)
    early = Progress(job_id=job.id, attempt=1, stage="paint", fraction=0.01)
    for progress in ({}, {job.id: stale}, {job.id: early}):
        (running,) = snapshot.of(ledger, progress, {}, arriving=0, now=90.0).running
        assert running.fraction <= 0.01
        assert (running.eta_seconds, running.seconds) == (None, 0.0)


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:24]))
def test_a_damaged_file_says_nothing_and_stops_nothing(tmp_path: Path, content: bytes) -> None:
    """Half a file, zeros after a power cut, other JSON: `status` goes on without it."""
    (tmp_path / "progress.json").write_bytes(content)
    assert snapshot.read_running(tmp_path / "progress.json") == ()
    assert snapshot.read_watch(tmp_path / "progress.json") == {}
    (tmp_path / f"me.jpg{snapshot.ERROR_SUFFIX}").write_bytes(content)
    explanation(tmp_path, "other.jpg")
    assert [trouble.photo for trouble in snapshot.troubles(tmp_path)] == ["other.jpg"]


def test_no_files_no_news(tmp_path: Path) -> None:
    """Before the first run there is nothing to read, and nothing is wrong with that."""
    assert snapshot.read_running(tmp_path / "gone") == ()
    assert snapshot.read_watch(tmp_path / "gone") == {}
    assert snapshot.troubles(tmp_path / "gone") == ()


def test_troubles_come_newest_first(tmp_path: Path) -> None:
    """Every explanation in failed/ is told with photo, cause, reason and time; other files there are none."""
    for day in (2, 3, 1):
        explanation(tmp_path, f"{day}.jpg", when=f"2017-05-0{day}T12:00:00Z")
    (tmp_path / "3.jpg").write_bytes(b"the photo")
    (tmp_path / "notes.json").write_text("{}")
    assert [trouble.photo for trouble in snapshot.troubles(tmp_path)] == ["3.jpg", "2.jpg", "1.jpg"]
    assert snapshot.troubles(tmp_path)[0] == Trouble(
        photo="3.jpg", cause="damaged_photo", reason="It ends too early.", when="2017-05-03T12:00:00Z"
    )


def test_of_very_many_troubles_the_newest_are_told(tmp_path: Path) -> None:
    """A folder of years does not make `status` slow: the fifty files written last are read."""
    for number in range(60):
        path = explanation(tmp_path, f"{number}.jpg", when=f"2017-05-01T12:00:{number:02}Z")
        os.utime(path, (number, number))
    assert [trouble.photo for trouble in snapshot.troubles(tmp_path)] == [f"{n}.jpg" for n in range(59, 9, -1)]


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_never_opened(tmp_path: Path) -> None:
    """A pipe, a link to elsewhere, a folder or a huge file called like an explanation holds up nobody."""
    (tmp_path / f"folder{snapshot.ERROR_SUFFIX}").mkdir()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / f"pipe{snapshot.ERROR_SUFFIX}")
    (tmp_path / f"link{snapshot.ERROR_SUFFIX}").symlink_to(explanation(tmp_path / "folder", "far.jpg"))
    with (tmp_path / f"huge{snapshot.ERROR_SUFFIX}").open("wb") as file:
        file.truncate(1 << 40)
    explanation(tmp_path, "me.jpg")
    assert [trouble.photo for trouble in snapshot.troubles(tmp_path)] == ["me.jpg"]


def test_nothing_in_a_trouble_steers_a_terminal(tmp_path: Path) -> None:
    """Escapes and half characters from a file that anybody may write arrive as text; lines stay lines."""
    explanation(tmp_path, "me.jpg", photo="a\x1b[2J\ud800.jpg", reason="One.\nTwo\x07.", cause="\x00", when="\x9b")
    (trouble,) = snapshot.troubles(tmp_path)
    assert trouble == Trouble(photo=r"a\x1b[2J\ud800.jpg", cause=r"\x00", reason="One.\nTwo\\x07.", when=r"\x9b")
    assert str(trouble).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["photo", "cause", "reason", "when"]), inner)
    ),
)


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(JSON)
def test_any_json_in_failed_is_told_or_left_out(tmp_path: Path, content: Any) -> None:
    """Whatever JSON lies in failed/, what is told of it can be printed."""
    (tmp_path / f"me.jpg{snapshot.ERROR_SUFFIX}").write_text(json.dumps(content))
    told = [line for trouble in snapshot.troubles(tmp_path) for line in trouble.reason.split("\n")]
    assert told == [shown(line) for line in told]
