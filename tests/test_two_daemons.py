"""Two daemons with separate state folders on one inbox: no photo is painted twice, and none is lost.

Which of them gets a photo is decided when it leaves the inbox; the other writes it down as lost.
"""

import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from disks import another_disk, disks_at, names_in
from house import House, photo, wait_until
from neural_selfie import files


@pytest.mark.parametrize("disk", ["one disk", "another disk"])
def test_two_daemons_on_one_inbox(house: House, tmp_path: Path, disk: str) -> None:
    """With separate state folders, also where photos are copied there: none is painted twice, lost or left behind."""
    other = House(tmp_path / "other")
    other.settings |= {"inbox": str(house.inbox), "outbox": str(other.outbox)}
    other.settings |= {"originals": {"folder": str(other.originals)}, "failed": str(other.failed)}
    other.write_config()
    names = [f"{seed:02}.png" for seed in range(40)]
    photos = [photo(house.root / f"next {name}", seed=seed) for seed, name in enumerate(names)]
    with ExitStack() as last:
        if disk == "another disk":
            last.enter_context(disks_at(house.state, other.state))
        last.callback(house.close)
        last.callback(other.close)
        for one in (house, other):
            one.start()
        wait_until(lambda: all((one.state / "progress.json").exists() for one in (house, other)))
        for path, name in zip(photos, names, strict=True):
            path.rename(house.inbox / name)
        wait_until(lambda: len(house.records()) + len(other.records()) >= 40)
        wait_until(lambda: len([*house.originals.glob("*"), *other.originals.glob("*")]) >= 40)
        for one in (house, other):
            wait_until(lambda: not any(one.status()["counts"][state] for state in ("queued", "running", "rendered")))  # noqa: B023 - at once
        painted = [record["photo"]["name"] for one in (house, other) for record in one.records()]
        filed = [path.name for one in (house, other) for path in one.originals.iterdir()]
        assert sorted(painted) == sorted(filed) == names
        assert [*house.failed.glob("*"), *other.failed.glob("*"), *house.inbox.iterdir()] == []
        other.close()
        other.check()
        house.close()
        house.check()


def test_of_two_movers_one_has_the_file(tmp_path: Path) -> None:
    """Two daemons copy the same file to other file systems at the same time: one has it then, the other nothing."""
    with another_disk(tmp_path) as elsewhere:
        for number in range(50):
            one_has_it(tmp_path / f"{number}.jpg", [elsewhere / f"{number} a", elsewhere / f"{number} b"])


def one_has_it(source: Path, folders: list[Path]) -> None:
    """Move a file to two folders at once, and fail unless it is in one of them."""
    source.write_bytes(os.urandom(100))
    together, missed = threading.Barrier(len(folders)), []

    def move(folder: Path) -> None:
        together.wait()
        try:
            files.move_exact(source, folder / "me.jpg", contested=True)
        except FileNotFoundError:
            missed.append(folder)

    for folder in folders:
        folder.mkdir()
    movers = [threading.Thread(target=move, args=(folder,)) for folder in folders]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert [names_in(folder) for folder in folders if folder not in missed] == [{"me.jpg"}]
    assert [names_in(folder) for folder in missed] == [set()]
    assert not source.exists()
