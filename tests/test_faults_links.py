"""Links where a folder or a photo should be, planted by whoever may write there: not followed, and said so."""

import subprocess
from pathlib import Path

import pytest

import disks
from house import House, photo, wait_until
from ledger_samples import facts, plan
from neural_selfie.config import load
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import TruncatedPhotoError
from neural_selfie.filing import Desk, taking
from neural_selfie.ledger import open_ledger


def test_links_in_the_outbox_are_not_followed(house: House) -> None:
    """`outbox/gallery` leads elsewhere: nothing is written there, `status` says so, and it goes on without the link."""
    elsewhere = house.root / "elsewhere"
    elsewhere.mkdir()
    house.outbox.mkdir()
    link = house.outbox / "gallery"
    link.symlink_to(elsewhere)
    photo(house.inbox / "me.png", seed=1)
    house.start()
    wait_until(lambda: "gallery is a link or a file" in house.command("status").stdout)
    assert list(elsewhere.iterdir()) == []
    link.unlink()
    wait_until(lambda: house.status()["counts"]["done"] == 1)
    assert len(house.records()) == 1
    assert list(elsewhere.iterdir()) == []


def test_a_link_is_not_taken_in(tmp_path: Path) -> None:
    """Between admission and the move a link takes the photo's place: it is put back, and nobody reads through it."""
    house = House(tmp_path)
    secret = photo(house.root / "secret.png", seed=2)
    path = house.inbox / "me.png"
    state = StateFolder(house.state)
    state.work.mkdir(parents=True)
    with open_ledger(house.state) as ledger:
        desk = Desk(load(house.config).settings, state, ledger)
        admitted = ledger.admit(
            facts(),
            name="me.png",
            dropped=Path("me.png"),
            path=path,
            sidecar=None,
            folder=lambda digits: f"me-{digits}",
            plans=[plan()],
            now=1.0,
            is_there=lambda _: True,
        ).photo
        path.symlink_to(secret)
        with pytest.raises(TruncatedPhotoError, match="no file"):
            taking.take_in(desk, admitted, 2.0)
        assert path.is_symlink()
        assert list(state.work.iterdir()) == []
        assert not taking.is_unchanged(desk, admitted)


def test_a_read_only_state_disk_is_a_permission(tmp_path: Path) -> None:
    """The ledger cannot be written: exit code 77, and a sentence."""
    root = tmp_path / "house"
    root.mkdir()
    with disks.disks_at(root / "state"):
        house = House(root)
        subprocess.run(["mount", "-o", "remount,ro", house.state], check=True)
        done = house.command("run", "--once")
        assert (done.returncode, "mounted read-only" in done.stderr) == (77, True), done.stderr
        assert "Traceback" not in done.stderr
