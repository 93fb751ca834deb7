"""The masks that the state folder keeps: as long as somebody needs them, and no longer."""

import shutil
from pathlib import Path

import pytest

from crashes import Launcher, furnish, mask, parts
from house import House, photo
from neural_selfie.config import load, masks
from neural_selfie.config.layout import StateFolder
from neural_selfie.filing import Desk, forgetting
from neural_selfie.ledger import open_ledger


@pytest.fixture
def home(tmp_path: Path) -> House:
    """A daemon with a preset for masks, in whose inbox a photo with one lies."""
    house = House(tmp_path / "house")
    furnish(house, "move")
    mask(house.inbox / "me.mask.png", 1)
    (house.inbox / "me.png.yaml").write_text(parts("me"))
    photo(house.inbox / "me.png")
    return house


def kept(house: House) -> list[Path]:
    """Return the masks in the state folder."""
    return list((house.state / "styles").glob("*.mask.png"))


def test_a_mask_stays_as_long_as_its_record(home: House, launcher: Launcher) -> None:
    """Painted, and among the rejects, its mask is kept for `reproduce`; with the last record it goes."""
    assert launcher.run(home).code == 0
    [own] = kept(home)
    nobodys = own.with_name(f"{'0' * 64}.mask.png")
    nobodys.write_bytes(own.read_bytes())
    assert launcher.run(home).code == 0
    assert kept(home) == [own]
    [folder] = home.outbox.glob("me-*")
    rejected = shutil.move(folder, home.root / "rejected" / folder.name)
    assert launcher.run(home).code == 0
    assert kept(home) == [own]
    shutil.rmtree(rejected)
    assert launcher.run(home).code == 0
    assert kept(home) == []


def test_a_mask_of_a_failed_photo_stays_for_the_next_try(home: House, launcher: Launcher) -> None:
    """What failed can be retried days later with the mask that it was dropped with."""
    assert launcher.run(home, painter="raises").code == 1
    assert launcher.run(home).code == 0
    assert len(kept(home)) == 1
    assert home.command("retry", "--failed").returncode == 0
    assert launcher.run(home).code == 0
    assert len(home.records()) == 1


def test_a_mask_whose_photo_is_gone_for_good_is_not_needed(home: House, launcher: Launcher) -> None:
    """It failed, and somebody deleted the photo: a new drop brings its mask along."""
    assert launcher.run(home, painter="raises").code == 1
    (home.failed / "me.png").unlink()
    assert home.command("retry", "--failed").returncode == 0
    assert launcher.run(home).code == 0
    launcher.run(home)
    assert kept(home) == []


def test_many_masks_are_looked_over_bit_by_bit(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some each hour, in a circle, so that the daemon never stands still for them; none while the outbox is away."""
    monkeypatch.setattr(forgetting, "_AT_ONCE", 2)
    state = StateFolder(home.state)
    state.styles.mkdir(parents=True)
    for number in range(5):
        mask(masks.kept_path(state.styles, f"{number:064x}"), number)
    home.outbox.mkdir()
    with open_ledger(home.state) as ledger:
        sweep = forgetting.KeptMasks(Desk(load(home.config).settings, state, ledger))
        home.outbox.rmdir()
        sweep.tick(0.0)
        assert len(kept(home)) == 5
        home.outbox.mkdir()
        left = []
        for hour in (0, 1, 2, 3, 4):
            sweep.tick(hour * 3600.0)
            left.append(len(kept(home)))
    assert left == [5, 3, 2, 0, 0]
