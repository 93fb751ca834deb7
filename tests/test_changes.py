"""People change their minds: a photo is rewritten, replaced or dropped again."""

import pytest

from house import House, photo, wait_until
from invariants import sha256_of


def being_painted(house: House) -> bool:
    """Whether a worker has a photo."""
    return any(entry["fraction"] > 0 for entry in house.status()["running"])


@pytest.mark.parametrize("action", ["move", "keep"])
def test_a_photo_that_is_rewritten_while_it_is_painted(house: House, action: str) -> None:
    """Whoever still has the file open writes another photo into it: that one is painted, and under its own hash."""
    house.settings["originals"] = {"action": action}
    house.write_config()
    path = photo(house.inbox / "me.png", seed=1)
    (house.inbox / "me.png.yaml").write_text("presets: [plain]\n")
    first, second = sha256_of(path), photo(house.root / "other.png", seed=2).read_bytes()
    with path.open("r+b") as file:
        house.start("until_told")
        wait_until(lambda: being_painted(house))
        file.write(second)
        file.truncate()
    house.let_go()
    wait_until(lambda: len(house.records()) == 1)
    new = sha256_of(house.root / "other.png")
    wait_until(lambda: house.status()["counts"]["queued"] == house.status()["counts"]["running"] == 0)
    assert [record["photo"]["sha256"] for record in house.records()] == [new] != [first]
    filed = house.originals if action == "move" else house.inbox
    wait_until(lambda: (filed / "me.png").exists() and (filed / "me.png.yaml").exists())
    assert sha256_of(filed / "me.png") == new
    assert house.status()["failed"] == []


def test_a_photo_replaced_under_the_same_name(house: House) -> None:
    """While the first is painted another of its name is dropped: both are painted, and both originals are there."""
    first = photo(house.inbox / "me.png", seed=1).read_bytes()
    house.start("until_told")
    wait_until(lambda: being_painted(house))
    second = photo(house.inbox / "me.png", seed=2).read_bytes()
    house.let_go()
    wait_until(lambda: len(list(house.originals.glob("*"))) == 2)
    assert [record["photo"]["name"] for record in house.records()] == ["me.png", "me.png"]
    assert {path.read_bytes() for path in house.originals.iterdir()} == {first, second}


def test_a_photo_that_kills_the_daemon_each_time_ends(house: House) -> None:
    """Started again and again as a service is, the daemon gives it up after five deaths; the others are painted."""
    photo(house.inbox / "poison.png", seed=1)
    photo(house.inbox / "good.png", seed=2)
    codes = [house.once("kills_the_daemon")]
    while codes[-1] == -9 and len(codes) < 10:
        codes.append(house.once("kills_the_daemon"))
    assert codes == [-9] * 5 + [1]
    assert [record["photo"]["name"] for record in house.records()] == ["good.png"]
    [failed] = house.status()["failed"]
    assert (failed["photo"], failed["cause"]) == ("poison.png", "daemon_died")
    assert sorted(path.name for path in house.failed.iterdir()) == ["poison.png", "poison.png.error.json"]


def test_status_says_what_is_known_by_its_content(house: House) -> None:
    """The same photo under another name is filed and not painted, unless a preset has changed; `status` says so."""
    data = photo(house.inbox / "one.png").read_bytes()
    assert house.once() == 0
    (house.inbox / "two.png").write_bytes(data)
    assert house.once() == 0
    assert len(house.records()) == 1
    [entry] = house.status()["dropped_again"]
    assert (entry["photo"], entry["cause"]) == ("two.png", "dropped_again")
    assert house.records()[0]["photo"]["sha256"][:6] in entry["reason"]
    assert "two.png: This photo is known already" in house.command("status").stdout
    house.settings["presets"]["plain"]["size"] = 96
    house.write_config()
    (house.inbox / "three.png").write_bytes(data)
    assert house.once() == 0
    assert house.records()[0]["recipe"]["size"] == 96
    assert [entry["photo"] for entry in house.status()["dropped_again"]] == ["three.png", "two.png"]
    assert sorted(path.name for path in house.originals.iterdir()) == ["one.png", "three.png", "two.png"]


def test_company_whose_photo_does_not_come(house: House) -> None:
    """Sidecar and mask stay where they are, `status` names them, and when their photo comes they count."""
    house.start()
    (house.inbox / "me.png.yaml").write_text("presets: [plain]\noverrides: {size: 96}\n")
    (house.inbox / "alone.mask.png").write_bytes(photo(house.root / "mask.png").read_bytes())
    wait_until(lambda: house.status()["orphans"] == ["alone.mask.png", "me.png.yaml"])
    assert "alone.mask.png" in house.command("status").stdout
    photo(house.inbox / "me.png")
    wait_until(lambda: len(house.records()) == 1)
    assert house.records()[0]["recipe"]["size"] == 96
    wait_until(lambda: house.status()["orphans"] == ["alone.mask.png"])
    assert (house.originals / "me.png.yaml").exists()
