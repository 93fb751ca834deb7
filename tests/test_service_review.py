"""What can go wrong around a photo, one story each: crashes between two steps, folders that go away, hostile drops."""

import errno
import hashlib
import json
import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import random_transformer
from house import HERE, House, photo, wait_until
from neural_selfie.config import sidecars
from neural_selfie.errors import EngineUnavailableError
from neural_selfie.ledger import open_ledger
from neural_selfie.model import Place
from neural_selfie.workers.seat import CallEnded, Seat
from promised import lacking


def killed_while_painting(house: House) -> None:
    """Run a daemon until everything in the inbox is admitted and one picture is being painted, then kill it."""
    waiting = len([path for path in house.inbox.rglob("*.png") if path.is_file()])
    house.start("hangs")
    wait_until(lambda: sum(house.status()["counts"].values()) >= waiting and house.status()["counts"]["running"] == 1)
    house.kill()


def away(folder: Path) -> None:
    """Make a folder unusable, as an unmounted share is."""
    if folder.is_dir():
        folder.rmdir()
    folder.symlink_to(folder.parent / "nowhere" / "at-all")


def back(folder: Path) -> None:
    """Make it usable again."""
    folder.unlink()
    folder.mkdir()


def test_a_name_with_a_long_ending_is_painted(house: House) -> None:
    """What follows the last dot may be half a sentence: the photo is painted and filed under its name."""
    name = "me. " + "and all of us at the sea, " * 9
    photo(house.root / "tmp.png").rename(house.inbox / name)
    assert house.once() == 0
    assert len(house.records()) == 1
    assert (house.originals / name).exists()


def test_a_long_foreign_name_with_a_sidecar_is_filed_beside_its_like(house: House) -> None:
    """A name of 249 bytes that are no UTF-8, taken already in originals: photo and sidecar are filed all the same."""
    name = os.fsdecode(b"caf\xe9" * 61 + b"e.png")
    house.originals.mkdir()
    (house.originals / name).write_text("another photo")
    photo(house.root / "tmp.png").rename(house.inbox / name)
    (house.inbox / f"{name}.yaml").write_text("presets: [plain]\n")
    assert house.once() == 0
    assert len(list(house.originals.iterdir())) == 3
    assert list(house.inbox.iterdir()) == list((house.state / "work").iterdir()) == []


def test_a_photo_that_cannot_be_taken_in_is_painted_later_or_given_up(house: House) -> None:
    """While the state folder is broken photos stay in the inbox; one that is removed meanwhile is cancelled."""
    house.start()
    wait_until(lambda: house.status()["daemon"]["running"])
    work = house.state / "work"
    away(work)
    gone = photo(house.inbox / "gone.png", seed=1)
    photo(house.inbox / "stays.png", seed=2)
    wait_until(lambda: house.log().count("photo.delayed") >= 2)
    gone.unlink()
    back(work)
    wait_until(lambda: house.status()["counts"]["cancelled"] == 1 and len(house.records()) == 1)
    assert house.status()["counts"]["queued"] == 0
    wait_until((house.originals / "stays.png").exists)


def test_once_ends_where_failed_cannot_be_written(house: House) -> None:
    """`--once` leaves what it can neither paint nor refuse in the inbox and exits 1; the next run explains it."""
    for seed in range(3):
        photo(house.inbox / f"{seed}.png", seed=seed)
    daemon = house.start("until_told", "--once")
    wait_until(lambda: house.status()["counts"]["running"] == 1)
    away(house.failed)
    (house.inbox / "notes.jpg").write_text("no photo\n" * 50)
    wait_until(lambda: bool(house.status()["troubles"]))
    house.let_go()
    assert daemon.wait(timeout=90) == 1
    assert (house.inbox / "notes.jpg").exists()
    back(house.failed)
    assert house.once() == 1
    assert sorted(path.name for path in house.failed.iterdir()) == ["notes.jpg", "notes.jpg.error.json"]


@pytest.mark.parametrize("place", ["originals", "gallery"])
def test_once_ends_where_a_folder_is_away(house: House, place: str) -> None:
    """`--once` paints what it can, exits 1, and the next run publishes or files without painting again."""
    photo(house.inbox / "me.png")
    folder = house.outbox / "gallery" if place == "gallery" else house.originals
    if place == "gallery":
        house.outbox.mkdir()
        away(folder)
    daemon = house.start("until_told", "--once")
    if place == "originals":
        wait_until(lambda: house.status()["counts"]["running"] == 1)
        away(folder)
    house.let_go()
    assert daemon.wait(timeout=90) == 1
    back(folder)
    assert house.once() == 0
    assert [record["attempts"] for record in house.records()] == [1]
    assert (house.originals / "me.png").exists()


def test_an_explanation_that_cannot_be_written_is_written_later(house: House) -> None:
    """The photo was moved to failed/ and the disk was full then: the next try goes on from there."""
    in_the_way = house.failed / "me.png.error.json"
    in_the_way.mkdir(parents=True)
    photo(house.inbox / "me.png")
    house.start("raises")
    wait_until(lambda: "photo.not_filed" in house.log())
    in_the_way.rmdir()
    wait_until(in_the_way.is_file)
    wait_until(lambda: house.log().count("photo.filed") == 1)
    assert sorted(path.name for path in house.failed.iterdir()) == ["me.png", "me.png.error.json"]


def test_a_retry_while_the_photo_is_between_two_folders(house: House) -> None:
    """The photo is in failed/ already, its explanation cannot be written, and it is retried: it is painted."""
    in_the_way = house.failed / "me.png.error.json"
    in_the_way.mkdir(parents=True)
    photo(house.inbox / "me.png")
    assert house.once("raises") == 1
    house.start()
    wait_until(lambda: house.log().count("photo.not_filed") >= 2)
    assert house.command("retry", "1").returncode == 0
    in_the_way.rmdir()
    wait_until((house.originals / "me.png").exists)
    assert len(house.records()) == 1


def test_no_explanation_takes_the_place_of_a_dropped_file(house: House) -> None:
    """A file that is called like the explanation of another is kept when that other fails, too."""
    (house.inbox / "me.png.error.json").write_text("my only copy\n" * 10)
    assert house.once() == 1
    photo(house.inbox / "me.png")
    assert house.once("raises") == 1
    assert "my only copy\n" * 10 in [path.read_text() for path in house.failed.iterdir() if path.suffix == ".json"]
    assert {entry["photo"] for entry in house.status()["refused"]} == {"me.png", "me.png.error.json"}


@pytest.mark.parametrize(
    "text", ["overrides: {size: " + ":".join(["59"] * 10_000) + "}", "# " + "x" * 70_000, b"\xff\xfe"]
)
def test_no_sidecar_ends_the_daemon(house: House, text: str | bytes) -> None:
    """A sidecar that nobody foresaw, too long or no text: its photo is refused with it, the next one is painted."""
    photo(house.inbox / "a.png", seed=1)
    (house.inbox / "a.png.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    photo(house.inbox / "b.png", seed=2)
    assert house.once() == 1
    assert [record["photo"]["name"] for record in house.records()] == ["b.png"]
    assert [entry["cause"] for entry in house.status()["refused"]] == ["sidecar"]
    assert (house.failed / "a.png.yaml").exists()


def test_a_sidecar_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a sidecar and its reading somebody may put a pipe or a link there: it is not opened."""
    path = photo(tmp_path / "me.png")
    sidecar = tmp_path / "me.png.yaml"
    monkeypatch.setattr("neural_selfie.config.sidecars.beside", lambda _: sidecar)
    os.mkfifo(sidecar)
    assert sidecars.text_of(path) is None
    sidecar.unlink()
    sidecar.symlink_to("/etc/hostname")
    assert sidecars.text_of(path) is None
    sidecar.unlink()
    assert sidecars.text_of(path) is None


def test_another_photo_of_the_same_name_after_a_crash(house: House) -> None:
    """Killed right after the move into the state folder; a new photo of that name is dropped: both are painted."""
    photo(house.inbox / "me.png", seed=1)
    killed_while_painting(house)
    with open_ledger(house.state) as ledger:
        [known] = ledger.photos()
        ledger.set_place(known.id, Place.INBOX, path=house.inbox / "me.png", now=time.time())
    photo(house.inbox / "me.png", seed=2)
    assert house.once() == 0
    assert len(house.records()) == 2
    assert sorted(path.name for path in house.originals.iterdir()) == ["me (2).png", "me.png"]


@pytest.mark.parametrize("both", [True, False], ids=["copied", "moved"])
def test_a_crash_while_the_photo_is_filed(house: House, *, both: bool) -> None:
    """Killed between two steps of the move to originals: one original and its sidecar are there afterwards."""
    photo(house.inbox / "me.png")
    (house.inbox / "me.png.yaml").write_text("presets: [plain]\n")
    killed_while_painting(house)
    target = house.originals / "me.png"
    with open_ledger(house.state) as ledger:
        [known] = ledger.photos()
        ledger.moving(known.id, target, now=time.time())
    (shutil.copy2 if both else shutil.move)(known.path, target)
    assert house.once() == 0
    assert sorted(path.name for path in house.originals.iterdir()) == ["me.png", "me.png.yaml"]
    assert list((house.state / "work").iterdir()) == []


def test_a_kept_photo_that_was_away_is_painted_when_it_comes_back(house: House) -> None:
    """With `keep`, a share that is away for a while costs no picture."""
    house.settings["originals"] = {"action": "keep"}
    house.write_config()
    photo(house.inbox / "a.png", seed=1)
    second = photo(house.inbox / "b.png", seed=2)
    killed_while_painting(house)
    elsewhere = second.rename(house.root / "b.png")
    assert house.once() == 0
    assert len(house.records()) == 1
    elsewhere.rename(second)
    assert house.once() == 0
    assert len(house.records()) == 2


def test_kept_photos_of_one_name_are_explained_each_and_as_long_as_it_holds(house: House) -> None:
    """With `keep`, two photos called alike have two explanations, and none once they are painted."""
    house.settings["originals"] = {"action": "keep"}
    house.write_config()
    for seed, folder in enumerate(["one", "two"]):
        (house.inbox / folder).mkdir()
        photo(house.inbox / folder / "me.png", seed=seed)
    assert house.once("raises") == 1
    assert len(house.status()["refused"]) == 2
    assert house.command("retry", "--failed").returncode == 0
    assert house.once() == 0
    assert len(house.records()) == 2
    assert house.status()["refused"] == []


def test_a_cancelled_photo_is_not_deleted(house: House) -> None:
    """With `delete`, only a photo whose pictures were all published goes; a cancelled one can be tried again."""
    house.settings["originals"] = {"action": "delete"}
    house.write_config()
    photo(house.inbox / "me.png")
    killed_while_painting(house)
    assert house.command("cancel", "1").returncode == 0
    assert house.once() == 0
    assert (house.failed / "me.png").exists()
    [explained] = house.status()["refused"]
    assert explained["cause"] == "cancelled"
    assert house.command("retry", "1").returncode == 0
    assert house.once() == 0
    assert len(house.records()) == 1
    assert list(house.failed.iterdir()) == []


def test_a_rendered_job_can_be_cancelled(house: House) -> None:
    """A picture that waits for the outbox is given up, and nothing of it stays behind."""
    house.outbox.mkdir()
    away(house.outbox / "gallery")
    photo(house.inbox / "me.png")
    house.start()
    wait_until(lambda: house.status()["counts"]["rendered"] == 1)
    assert house.command("cancel", "1").returncode == 0
    wait_until((house.originals / "me.png").exists)
    wait_until(lambda: list((house.state / "rendered").iterdir()) == [])
    assert house.records() == []


def test_a_retry_that_cannot_be_carried_out_at_once(house: House) -> None:
    """The photo cannot be taken back while the state folder is broken; when it can, it is painted without a nudge."""
    photo(house.inbox / "me.png")
    (house.inbox / "me.png.yaml").write_text("presets: [plain]\n")
    assert house.once("raises") == 1
    house.start()
    wait_until(lambda: house.status()["daemon"]["running"])
    away(house.state / "work")
    assert house.command("retry", "--failed").returncode == 0
    wait_until(lambda: "photo.not_taken_back" in house.log())
    back(house.state / "work")
    wait_until((house.originals / "me.png").exists)
    assert len(house.records()) == 1
    assert list(house.failed.iterdir()) == []


def test_a_failed_photo_that_is_dropped_again_has_failed_no_more(house: House) -> None:
    """Its older copy and the explanation leave failed/ as soon as the photo is taken in again."""
    data = photo(house.inbox / "me.png").read_bytes()
    assert house.once("raises") == 1
    (house.inbox / "me.png").write_bytes(data)
    assert house.once() == 0
    assert list(house.failed.iterdir()) == []
    assert sorted(path.name for path in house.originals.iterdir()) == ["me (2).png", "me.png"]


def test_a_failed_photo_that_is_dropped_again_takes_its_sidecar_along(house: House) -> None:
    """No sidecar is left in failed/ without its photo."""
    data = photo(house.inbox / "me.png").read_bytes()
    (house.inbox / "me.png.yaml").write_text("presets: [plain]\n")
    assert house.once("raises") == 1
    (house.inbox / "me.png").write_bytes(data)
    assert house.once() == 0
    assert list(house.failed.iterdir()) == []
    assert sorted(path.name for path in house.originals.iterdir()) == ["me (2).png", "me.png", "me.png.yaml"]


def test_a_second_copy_keeps_its_sidecar_under_its_new_name(house: House) -> None:
    """Two photos of one name and content, each with a sidecar: in originals each sidecar is called after its photo."""
    for name, wish in (("one", "presets: [plain]\n"), ("two", "presets: [plain] # too\n")):
        (house.inbox / name).mkdir()
        (house.inbox / name / "me.png.yaml").write_text(wish)
        photo(house.inbox / name / "me.png")
    house.start("hangs")  # so that the second finds the first at work
    wait_until(lambda: "photo.dropped_again" in house.log())
    house.kill()
    assert house.once() == 0
    filed = sorted(path.name for path in house.originals.iterdir())
    assert filed == ["me (2).png", "me (2).png.yaml", "me.png", "me.png.yaml"]


def test_what_a_killed_daemon_left_half_made_is_removed(house: House) -> None:
    """Temporary files in the rooms of the state folder and in the outbox are gone after the next start."""
    assert house.once() == 0
    rooms = [house.state, house.state / "styles", house.state / "work", house.outbox, house.outbox / "gallery"]
    for room in rooms:
        (room / ".of-the-dead.part").write_text("half")
    assert house.once() == 0
    assert [room for room in rooms if (room / ".of-the-dead.part").exists()] == []


def test_a_preset_that_was_mended_fails_no_photo_any_more(house: House) -> None:
    """What failed with the numbers of yesterday does not send a photo that is painted today to failed/."""
    data = photo(house.inbox / "me.png").read_bytes()
    assert house.once("raises") == 1
    house.settings["presets"]["plain"]["size"] = 96
    house.write_config()
    (house.inbox / "me.png").write_bytes(data)
    assert house.once() == 0
    assert list(house.failed.iterdir()) == []


def test_a_photo_that_vanished_from_the_state_folder_is_given_up(house: House) -> None:
    """Somebody tidied up in the state folder: the photo is lost, said once, and the daemon ends as usual."""
    photo(house.inbox / "me.png")
    killed_while_painting(house)
    assert house.command("cancel", "1").returncode == 0
    for path in (house.state / "work").iterdir():
        path.unlink()
    assert house.once() == 0
    assert house.log().count("photo.lost") == 1


def test_every_photo_has_its_line_in_the_log(house: House) -> None:
    """Also a photo whose pictures are all there already is filed with the line that an operator looks for."""
    path = photo(house.inbox / "me.png")
    data = path.read_bytes()
    assert house.once() == 0
    (house.inbox / "again.png").write_bytes(data)
    assert house.once() == 0
    assert house.log().count("photo.filed") == 2
    assert sorted(path.name for path in house.originals.iterdir()) == ["again.png", "me.png"]


def test_a_hang_up_does_not_end_the_daemon_and_a_second_term_hurries_it(house: House) -> None:
    """SIGHUP is answered in the log; whoever sends SIGTERM twice does not wait for the grace time."""
    house.settings["retry"]["stop_seconds"] = 50
    house.write_config()
    photo(house.inbox / "me.png")
    daemon = house.start("hangs")
    wait_until(lambda: house.status()["counts"]["running"] == 1)
    daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: "not supported yet" in house.log())
    daemon.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert daemon.poll() is None
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=60) == 0
    assert house.status()["counts"]["queued"] == 1


def test_an_error_that_nobody_foresaw_ends_the_daemon_with_a_sentence(house: House) -> None:
    """Whatever breaks in the loop: a sentence, the job put back, the lock free and no process left behind."""
    photo(house.inbox / "me.png")
    code = """if True:
        import multiprocessing, pathlib, sys, engines
        from neural_selfie import config, service
        from neural_selfie.errors import SelfieError
        def watcher(shown):
            if shown.running:
                raise ZeroDivisionError("the bars have no width")
        if __name__ == "__main__":
            try:
                service.run(config.load(pathlib.Path(sys.argv[1])), watcher=watcher, painter=engines.painter("hangs"))
            except SelfieError as error:
                print(error, multiprocessing.active_children())
    """
    script = house.root / "broken.py"
    script.write_text(code)
    environ = os.environ | {"PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, script, house.config], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert "nobody foresaw (ZeroDivisionError" in done.stdout
    assert done.stdout.endswith(" []\n")
    status = house.status()
    assert not status["daemon"]["running"]
    assert status["counts"]["queued"] == 1


def test_the_daemon_outlives_a_ledger_that_somebody_holds(house: House) -> None:
    """A backup that locks the ledger for longer than five seconds makes the daemon wait, not end."""
    daemon = house.start()
    wait_until(lambda: house.status()["daemon"]["running"])
    held = sqlite3.connect(house.state / "ledger.sqlite3", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    photo(house.inbox / "me.png")
    wait_until(lambda: "photo.delayed" in house.log() or "daemon.interrupted" in house.log())
    held.execute("ROLLBACK")
    held.close()
    wait_until((house.originals / "me.png").exists)
    assert daemon.poll() is None
    assert len(house.records()) == 1


def test_the_daemon_outlives_a_ledger_that_fails_while_it_paints(house: House) -> None:
    """The result of a worker cannot be written down: the daemon begins anew by itself, and paints it again."""
    photo(house.inbox / "me.png")
    daemon = house.start("until_told")
    wait_until(lambda: house.status()["counts"]["running"] == 1)
    held = sqlite3.connect(house.state / "ledger.sqlite3", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    house.let_go()
    wait_until(lambda: "daemon.interrupted" in house.log())
    held.execute("ROLLBACK")
    held.close()
    wait_until((house.originals / "me.png").exists)
    assert daemon.poll() is None
    assert len(house.records()) == 1


def test_a_photo_that_may_not_be_read_is_explained(house: House) -> None:
    """A photo whose permissions shut the daemon out ends in failed/ with advice, after some patience."""
    photo(house.inbox / "private.png").chmod(0)
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if drop and shutil.which("setpriv") is None:
        lacking("root reads everything, and there is no setpriv to give that up")
    command = [*drop, sys.executable, str(HERE / "daemon_with.py"), "instant", str(house.config), "--once"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(HERE)}, timeout=60, check=False)
    assert done.returncode == 1
    [explained] = house.status()["refused"]
    assert "may not read" in explained["reason"]
    assert (house.failed / "private.png").exists()


def test_a_preset_waits_for_its_trained_network_and_is_painted_with_it(house: House) -> None:
    """`feedforward` without its file: the job waits and says which one; once it is there, `--once` paints."""
    trained = house.root / "candy.pth"
    house.settings["presets"]["plain"] |= {"engine": "feedforward", "weights": str(trained), "size": 96}
    house.write_config()
    photo(house.inbox / "me.png")
    done = house.command("run", "--once")
    assert done.returncode == 1, done.stderr
    [job] = house.status()["waiting"]
    assert job["cause"] == "weights_unavailable"
    assert str(trained) in job["reason"]
    torch.save(random_transformer.examples(), trained)
    assert "usable" in house.command("models", "list").stdout
    done = house.command("run", "--once")
    assert done.returncode == 0, done.stderr
    [path] = house.outbox.glob("*/plain.json")
    record = json.loads(path.read_bytes())
    assert record["engine"]["name"] == "feedforward"
    assert record["engine"]["weights_sha256"] == hashlib.sha256(trained.read_bytes()).hexdigest()
    assert record["trace"] == []
    done = house.command("reproduce", str(path))
    assert done.returncode == 0, done.stderr
    assert "identical" in done.stdout


def cannot_be_prepared() -> None:
    """Find something missing."""
    raise EngineUnavailableError("PyTorch cannot be loaded.")


def takes_its_time() -> None:
    """Load something for a minute."""
    time.sleep(60)


def test_a_process_that_cannot_be_prepared_says_why() -> None:
    """What is missing becomes the answer of every call, so that jobs wait for it instead of failing."""
    posted: queue.SimpleQueue[Any] = queue.SimpleQueue()
    one = Seat("test", prepare=cannot_be_prepared, post=posted.put)
    one.submit(errno.ENOENT, os.strerror)
    message = posted.get(timeout=60)
    one.close()
    assert isinstance(message.error, EngineUnavailableError)
    assert not message.died


def test_a_process_is_ended_while_it_is_being_prepared() -> None:
    """Loading torch takes long: neither a cancelled job nor the end of the daemon waits for it."""
    posted: queue.SimpleQueue[Any] = queue.SimpleQueue()
    one = Seat("test", prepare=takes_its_time, post=posted.put)
    one.submit(errno.ENOENT, os.strerror)
    began = time.monotonic()
    one.kill()
    message = posted.get(timeout=60)
    assert isinstance(message, CallEnded)
    assert message.died
    one.release(message)
    one.close()
    assert time.monotonic() - began < 20
