"""Disks that run full: below `disks.free_mib` photos stay in the inbox and nothing is painted, until there is space."""

import os
import subprocess
from pathlib import Path

import pytest

import disks
from house import House, photo, wait_until
from neural_selfie.files import storage

NEEDED_MIB = 8
SIZE_MIB = 16


def filler(folder: Path) -> Path:
    """Fill a disk up to less than what is needed, and return what fills it."""
    path = folder / "something large"
    path.write_bytes(b"x" * ((SIZE_MIB - NEEDED_MIB + 2) << 20))
    return path


@pytest.mark.parametrize("folder", ["state", "outbox", "originals"])
def test_a_full_disk_pauses_intake(folder: str, tmp_path: Path) -> None:
    """The photo stays in the inbox, `status`, log and page say why, and it is painted once there is space again."""
    root = tmp_path / "house"
    root.mkdir()
    with disks.disks_at(root / folder):
        subprocess.run(["mount", "-o", f"remount,size={SIZE_MIB}m", root / folder], check=True)
        house = House(root, {"disks": {"free_mib": NEEDED_MIB}})
        full = filler(root / folder)
        now = house.outbox / "gallery" / "data" / "now.js"
        house.start()
        try:
            wait_until(now.exists)
            wait_until(lambda: "daemon.paused" in (root / "daemon.log").read_text())
            me = photo(house.inbox / "me.png", seed=1)
            said = f"The disk of {root / folder} has only"
            wait_until(lambda: said in house.command("status").stdout)
            wait_until(lambda: "Photos stay in the inbox" in now.read_text())
            assert me.exists()
            assert house.status()["counts"]["queued"] == 0
            full.unlink()
            wait_until((house.originals / "me.png").exists)
            wait_until(lambda: house.status()["troubles"] == [])
            assert len(house.records()) == 1
            assert "daemon.resumed" in house.log()
            wait_until(lambda: "Photos stay in the inbox" not in now.read_text())
        finally:
            house.close()


def test_what_is_painted_is_published_and_nothing_else_is_begun(tmp_path: Path) -> None:
    """The disk runs full while a picture is painted: that one is published, those in the line wait."""
    root = tmp_path / "house"
    root.mkdir()
    with disks.disks_at(root / "outbox"):
        subprocess.run(["mount", "-o", f"remount,size={SIZE_MIB}m", root / "outbox"], check=True)
        house = House(root, {"disks": {"free_mib": NEEDED_MIB}})
        for number in range(5):
            photo(house.inbox / f"{number}.png", seed=number)
        house.start("until_told")
        try:
            wait_until(lambda: house.status()["counts"]["queued"] == 4)
            full = filler(house.outbox)
            wait_until(lambda: "daemon.paused" in house.log())
            house.let_go()
            wait_until(lambda: house.status()["counts"]["running"] == house.status()["counts"]["rendered"] == 0)
            counts = house.status()["counts"]
            assert counts["queued"] > 0
            assert len(house.records()) == counts["done"] > 0
            full.unlink()
            wait_until(lambda: len(house.records()) == 5)
        finally:
            house.close()


def test_once_does_not_wait_for_space(tmp_path: Path) -> None:
    """With --once a full disk ends the run with exit code 1, and the photo is still in the inbox."""
    root = tmp_path / "house"
    root.mkdir()
    house = House(root, {"disks": {"free_mib": 1 << 30}})
    me = photo(house.inbox / "me.png", seed=1)
    assert house.once() == 1
    assert me.exists()


def test_how_much_is_enough(tmp_path: Path) -> None:
    """Unless something else is said, a twentieth of a small disk has to be free, and never more than 1 GiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with disks.disks_at(folder):
        subprocess.run(["mount", "-o", "remount,size=40m", folder], check=True)
        (folder / "large").write_bytes(b"x" * (37 << 20))
        assert storage.too_full([folder], None) == []
        (folder / "larger").write_bytes(b"x" * (2 << 20))
        [said] = storage.too_full([folder], None)
        assert "has only 1 MiB left, less than disks.free_mib: 2." in said
    facts = os.statvfs(tmp_path)
    if facts.f_bavail * facts.f_frsize > 1 << 30:
        assert storage.too_full([tmp_path], None) == []
