"""The whole way of a photo through the real daemon, in a process of its own, with painters that need no torch."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from gallery_samples import hung
from house import House, photo, wait_until
from neural_selfie import snapshot


def painted(house: House, count: int) -> bool:
    """Whether that many pictures have their records, and no photo is on its way any more."""
    return len(house.records()) >= count and not any((house.state / "work").iterdir())


def test_a_photo_that_is_there_at_the_start_is_painted(house: House) -> None:
    """A photo dropped while the daemon was down: picture, record and page appear, the original is filed."""
    data = photo(house.inbox / "me.png").read_bytes()
    assert house.once() == 0
    [record] = house.records()
    assert record["photo"]["name"] == "me.png"
    folder = house.outbox / f"me-{record['photo']['sha256'][:6]}"
    assert sorted(path.name for path in folder.iterdir()) == ["plain.json", "plain.png"]
    assert (house.originals / "me.png").read_bytes() == data
    assert [each["picture"].partition("/")[2] for each in hung(house.outbox)] == ["plain.png"]
    assert list(house.inbox.iterdir()) == []


def test_photos_are_taken_however_they_arrive(house: House) -> None:
    """`cp`, `mv`, a slow copy, a hard link and a folder moved in: each photo comes out exactly once."""
    elsewhere = house.root / "elsewhere"
    (elsewhere / "album" / "deep").mkdir(parents=True)
    for seed, name in enumerate(["cp.png", "mv.png", "slow.png", "link.png", "album/a.png", "album/deep/b.png"]):
        photo(elsewhere / name, seed=seed, size=(300, 200))
    house.start()
    wait_until(lambda: house.status()["daemon"]["running"])
    subprocess.run(["cp", elsewhere / "cp.png", house.inbox], check=True)
    subprocess.run(["mv", elsewhere / "mv.png", house.inbox], check=True)
    subprocess.run(["mv", elsewhere / "album", house.inbox], check=True)
    os.link(elsewhere / "link.png", house.inbox / "link.png")
    data = (elsewhere / "slow.png").read_bytes()
    with (house.inbox / "slow.png").open("wb") as file:
        for start in range(0, len(data), len(data) // 5 + 1):
            file.write(data[start : start + len(data) // 5 + 1])
            file.flush()
            time.sleep(0.5)
    wait_until(lambda: painted(house, 6))
    names = sorted(record["photo"]["name"] for record in house.records())
    assert names == ["a.png", "b.png", "cp.png", "link.png", "mv.png", "slow.png"]
    assert sorted(path.name for path in house.originals.iterdir()) == names
    assert not house.failed.exists() or list(house.failed.iterdir()) == []


def test_kill_in_the_middle_of_a_picture(house: House) -> None:
    """A kill -9 while a picture is painted, twice: after a restart it is painted once, and nothing is lost."""
    for seed in range(3):
        photo(house.inbox / f"{seed}.png", seed=seed)
    for _ in range(2):
        house.start("until_told")
        wait_until(lambda: any(entry["fraction"] > 0.2 for entry in house.status()["running"]))
        house.kill()
    assert house.once() == 0
    assert sorted(record["photo"]["name"] for record in house.records()) == ["0.png", "1.png", "2.png"]
    assert sorted(path.name for path in house.originals.iterdir()) == ["0.png", "1.png", "2.png"]


def test_what_a_killed_daemon_painted_goes_on_no_more(house: House) -> None:
    """The next daemon tells nothing of it, even if it gets no further than to its ledger because that is damaged."""
    photo(house.inbox / "me.png")
    house.start("until_told")
    wait_until(lambda: bool(snapshot.read_running(house.state / "progress.json")))
    house.kill()
    aside = house.root / "aside"
    aside.mkdir()
    for path in house.state.glob("ledger.sqlite3*"):
        path.rename(aside / path.name)
    (house.state / "ledger.sqlite3").write_text("This is no ledger. " * 100)
    assert house.once() != 0
    assert snapshot.read_running(house.state / "progress.json") == ()
    for path in aside.iterdir():
        path.rename(house.state / path.name)
    assert house.once() == 0


@pytest.mark.parametrize("delay", [0.4, 0.7, 1.0, 1.3, 1.6])
def test_kill_at_any_moment(house: House, delay: float) -> None:
    """After a kill -9 at any moment of a busy daemon, the next run ends with every photo painted exactly once."""
    names = [f"{seed}.png" for seed in range(6)]
    for seed, name in enumerate(names):
        photo(house.inbox / name, seed=seed)
    house.start()
    time.sleep(delay)
    house.kill()
    assert house.once() == 0
    assert sorted(record["photo"]["name"] for record in house.records()) == names
    assert sorted(path.name for path in house.originals.iterdir()) == names
    assert list(house.inbox.iterdir()) == list((house.state / "work").iterdir()) == []


def test_each_wrong_thing_gets_its_reason_and_the_next_photo_is_painted(house: House) -> None:
    """Text, half a copy, a bomb, a pipe, a link, a socket: explained in failed/. Hostile names: painted."""
    photo(house.root / "good.jpg", size=(300, 200))
    good = (house.root / "good.jpg").read_bytes()
    (house.inbox / "notes.jpg").write_text("Dear diary, this is no photo.\n" * 20)
    (house.inbox / "broken.jpg").write_bytes(good[: len(good) // 2])
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4) * 2 + b"\x08\x02\0\0\0"
    bomb = header + zlib.crc32(header[12:]).to_bytes(4) + b"\0\0\0\0IEND\xaeB`\x82"
    (house.inbox / "bomb.png").write_bytes(bomb)
    os.mkfifo(house.inbox / "pipe.jpg")
    secret = house.root / "secret.png"
    photo(secret, seed=5)
    (house.inbox / "link.png").symlink_to(secret)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(house.inbox / "socket.jpg"))
    hostile = ["new\nline.png", 'it\'s "quoted" <b>.png', "long" + "g" * 242 + ".png"]
    for seed, name in enumerate(hostile):
        photo(house.root / "tmp.png", seed=10 + seed).rename(house.inbox / name)
    photo(house.root / "tmp.png", seed=20).rename(os.fsdecode(os.fsencode(house.inbox) + b"/caf\xe9.png"))

    assert house.once() == 1

    reasons = {entry["photo"]: entry["cause"] for entry in house.status()["refused"]}
    assert reasons == {
        "notes.jpg": "not_a_picture",
        "broken.jpg": "truncated_photo",
        "bomb.png": "photo_too_large",
        "pipe.jpg": "not_a_file",
        "link.png": "not_a_file",
        "socket.jpg": "not_a_file",
    }
    assert len(house.records()) == 4
    assert list(house.inbox.iterdir()) == []
    assert secret.exists()
    assert not any("<b>" in path.name for path in house.outbox.rglob("*"))


def test_presets_by_folder_sidecar_and_sweep(house: House) -> None:
    """A folder names a preset, a sidecar overrides it, a sweep makes a picture for every point."""
    style = house.settings["presets"]["plain"]["style"]
    house.settings["presets"]["grid"] = {
        "style": style,
        "size": 64,
        "format": "png",
        "sweep": {"content_weight": [0.2, 0.6], "style_scale": [0.5, 1.0]},
    }
    house.write_config()
    (house.inbox / "grid").mkdir()
    photo(house.inbox / "grid" / "a.png", seed=1)
    photo(house.inbox / "b.png", seed=2)
    (house.inbox / "b.png.yaml").write_text("presets: [plain]\noverrides: {size: 96, content_weight: 0.9}\n")
    photo(house.inbox / "c.png", seed=3)
    (house.inbox / "c.png.yaml").write_text("presets: [nonsense]\n")
    assert house.once() == 1
    records = house.records()
    variants = [record["variant"] for record in records if record["photo"]["name"] == "a.png"]
    assert len(variants) == 4
    assert {"content_weight": 0.6, "style_scale": 0.5} in variants
    [b] = [record for record in records if record["photo"]["name"] == "b.png"]
    assert (b["recipe"]["size"], b["recipe"]["content_weight"]) == (96, 0.9)
    [refusal] = house.status()["refused"]
    assert "nonsense" in refusal["reason"]
    assert (house.failed / "c.png").exists()
    assert (house.originals / "b.png.yaml").exists()


def test_the_same_photo_twice_is_painted_once(house: House) -> None:
    """A second copy under another name is filed, not painted; when the picture was deleted, it is painted again."""
    photo(house.inbox / "one.png", seed=1)
    assert house.once() == 0
    shutil.copy(house.originals / "one.png", house.inbox / "two.png")
    assert house.once() == 0
    assert len(house.records()) == 1
    assert sorted(path.name for path in house.originals.iterdir()) == ["one.png", "two.png"]
    [folder] = [path for path in house.outbox.iterdir() if path.name.startswith("one-")]
    shutil.rmtree(folder)
    shutil.copy(house.originals / "one.png", house.inbox / "three.png")
    assert house.once() == 0
    assert len(house.records()) == 1


@pytest.mark.parametrize("action", ["keep", "delete"])
def test_originals_can_stay_or_go(house: House, action: str) -> None:
    """With `keep` the inbox is left as it was and nothing is painted twice; with `delete` a photo goes when done."""
    house.settings["originals"] = {"action": action}
    house.write_config()
    path = photo(house.inbox / "me.png")
    data = path.read_bytes()
    assert house.once() == 0
    assert house.once() == 0
    assert len(house.records()) == 1
    assert (path.read_bytes() == data) if action == "keep" else not path.exists()
    assert not house.originals.exists() or list(house.originals.iterdir()) == []


def test_a_poison_photo_fails_alone(house: House) -> None:
    """A photo that kills every worker ends in failed/ after its attempts; the others are painted; retry mends it."""
    photo(house.inbox / "poison.png", seed=1)
    photo(house.inbox / "good.png", seed=2)
    assert house.once("dies_of_poison") == 1
    assert [record["photo"]["name"] for record in house.records()] == ["good.png"]
    status = house.status()
    [failed] = status["failed"]
    assert (failed["photo"], failed["cause"], failed["attempts"]) == ("poison.png", "worker_died", 3)
    assert (house.failed / "poison.png.error.json").exists()
    assert house.command("retry", "--failed").returncode == 0
    assert house.once() == 0
    assert len(house.records()) == 2
    assert list(house.failed.iterdir()) == []
    assert sorted(path.name for path in house.originals.iterdir()) == ["good.png", "poison.png"]


@pytest.mark.parametrize(
    ("painter", "cause", "state"),
    [
        ("raises", "engine_failed", "failed"),
        ("writes_garbage", "engine_failed", "failed"),
        ("out_of_memory", "out_of_memory", "waiting"),
    ],
)
def test_what_fails_is_said(house: House, painter: str, cause: str, state: str) -> None:
    """An engine that fails makes the job fail after its attempts, a full device makes it wait; `status` says both."""
    photo(house.inbox / "me.png")
    assert house.once(painter) == 1
    [job] = house.status()[state]
    assert job["cause"] == cause
    assert job["reason"]
    if state == "waiting":
        assert house.once() == 0
        assert len(house.records()) == 1


def test_a_hanging_worker_is_replaced_and_its_job_tried_again(house: House) -> None:
    """A worker that makes no progress is ended; the second attempt paints."""
    house.settings["retry"]["silence_seconds"] = 2
    house.write_config()
    photo(house.inbox / "me.png")
    assert house.once("hangs") == 0
    assert house.records()[0]["attempts"] == 2


def test_a_term_signal_puts_back_what_is_not_finished(house: House) -> None:
    """SIGTERM while a picture is painted: the daemon ends in time, the job is queued, nothing is half published."""
    photo(house.inbox / "me.png")
    daemon = house.start("hangs")
    wait_until(lambda: house.status()["counts"]["running"] == 1)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=60) == 0
    assert house.status()["counts"]["queued"] == 1
    assert house.records() == []


def test_a_term_signal_lets_a_picture_finish_within_the_grace_time(house: House) -> None:
    """With enough grace time, the picture that is being painted is finished and published before the daemon ends."""
    house.settings["retry"]["stop_seconds"] = 60
    house.write_config()
    photo(house.inbox / "me.png")
    daemon = house.start("until_told")
    wait_until(lambda: house.status()["counts"]["running"] == 1)
    daemon.send_signal(signal.SIGTERM)
    house.let_go()
    assert daemon.wait(timeout=60) == 0
    assert len(house.records()) == 1


def test_a_running_job_can_be_cancelled(house: House) -> None:
    """`cancel` ends the worker of a running job; the photo is filed and the daemon goes on."""
    photo(house.inbox / "me.png")
    house.start("hangs")
    wait_until(lambda: house.status()["counts"]["running"] == 1)
    assert house.command("cancel", "1").returncode == 0
    wait_until(lambda: house.status()["counts"]["cancelled"] == 1 and (house.originals / "me.png").exists())
    assert house.processes[0].poll() is None


def test_two_daemons_on_one_state_folder(house: House) -> None:
    """The second says whose the folder is and exits 75."""
    first = house.start()
    wait_until(lambda: house.status()["daemon"]["pid"] == first.pid)
    assert house.start().wait(timeout=60) == 75
    assert str(first.pid) in house.log()


def test_a_truncated_photo_that_grows_is_painted(house: House) -> None:
    """A copy that pauses for longer than the quiet time is not taken for a broken photo."""
    house.settings["watch"]["truncated_seconds"] = 20
    house.write_config()
    photo(house.root / "good.jpg", size=(300, 200))
    data = (house.root / "good.jpg").read_bytes()
    (house.inbox / "me.jpg").write_bytes(data[:2000])
    house.start()
    time.sleep(2.0)
    assert house.records() == []
    with (house.inbox / "me.jpg").open("ab") as file:
        file.write(data[2000:])
    wait_until(lambda: painted(house, 1))
    assert (house.originals / "me.jpg").read_bytes() == data


def test_the_daemon_never_imports_torch() -> None:
    """The daemon's own process stays small: what `run` imports loads no torch."""
    code = "import sys, neural_selfie.service, neural_selfie.cli.daemon; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_full_outbox_delays_the_picture_and_loses_nothing(house: House, tmp_path: Path) -> None:
    """When the outbox cannot be written, the painted picture waits in the state folder and appears later."""
    photo(house.inbox / "me.png")
    house.outbox.mkdir()
    blocked = house.outbox / "gallery"
    blocked.symlink_to(tmp_path / "gone" / "nowhere")
    house.start()
    wait_until(lambda: house.status()["counts"]["rendered"] == 1)
    blocked.unlink()
    wait_until(lambda: painted(house, 1))
    assert house.records()[0]["attempts"] == 1
