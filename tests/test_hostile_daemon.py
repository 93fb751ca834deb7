"""The real daemon and hostile files: each fails with its reason, the good ones are painted, nothing else happens."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import hostile_decoders
from hostile_bombs import everything
from hostile_images import LIMITS, REFUSED, Hostile
from house import HERE, House, photo, wait_until

GOOD = [f"good {number}.png" for number in range(5)]
NOT_IN_THE_PARENT = ("/PIL/", "/numpy/", "/torch/", "pillow_heif", "libheif", "libtiff", "libjpeg")


def start(house: House, program: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a daemon by another program of the tests; its log goes to daemon.log."""
    with (house.root / "daemon.log").open("a") as log:
        command = [sys.executable, str(HERE / program), *arguments]
        environment = os.environ | {"PYTHONPATH": str(HERE)}
        house.processes.append(subprocess.Popen(command, stderr=log, text=True, env=environment))
    return house.processes[-1]


def one_of_each_kind() -> list[Hostile]:
    """Return one file of each kind and format that has to be refused."""
    chosen = {(each.kind, each.format): each for each in everything() if each.outcome == REFUSED}
    return list(chosen.values())


def drop_good_photos(house: House) -> None:
    """Drop five photos of which every pixel is well."""
    for number, name in enumerate(GOOD):
        photo(house.inbox / name, seed=number)


def explained(house: House) -> dict[str, dict[str, Any]]:
    """Return the explanations in failed/ by the name of the photo."""
    found = [json.loads(path.read_bytes()) for path in house.failed.glob("*.error.json")]
    return {content["photo"]: content for content in found}


def all_is_filed(house: House, bad: set[str]) -> None:
    """Fail unless every good photo is painted, every bad one explained, and nothing else lies anywhere."""
    assert sorted(record["photo"]["name"] for record in house.records()) == GOOD
    assert sorted(path.name for path in house.originals.iterdir()) == GOOD
    assert {path.name for path in house.failed.iterdir()} == bad | {f"{name}.error.json" for name in bad}
    for name, content in explained(house).items():
        assert content["reason"].strip().endswith("."), content
        assert "Error" not in content["reason"], content
        assert content["dropped_as"] == name
    assert list(house.inbox.iterdir()) == list((house.state / "work").iterdir()) == []
    assert {path.name for path in house.outbox.iterdir() if not path.name.startswith("good")} == {
        "gallery",
        "index.html",
    }
    assert "Traceback" not in house.log()
    house.check()


def test_one_of_each_kind_is_refused_and_the_good_ones_are_painted(house: House) -> None:
    """Dozens of hostile files among five photos: each in failed/ with its reason; the parent never had a decoder."""
    house.settings["limits"] = {name: getattr(LIMITS, name) for name in ("file_mib", "megapixels", "shortest_edge_px")}
    house.settings["watch"]["ceiling_seconds"] = 3.0  # for how long a file without a byte may still become one
    house.write_config()
    bad = one_of_each_kind()
    assert len(bad) >= 40
    for each in bad:
        (house.inbox / each.name).write_bytes(each.data)
    drop_good_photos(house)
    before = {path.name for path in house.root.iterdir()}
    daemon = start(house, "hostile_parent.py", str(house.config))
    wait_until(lambda: len(list(house.failed.glob("*.error.json"))) == len(bad), seconds=100)
    wait_until(lambda: house.originals.is_dir() and len(list(house.originals.iterdir())) == len(GOOD))
    loaded = Path(f"/proc/{daemon.pid}/maps").read_text()
    assert [name for name in NOT_IN_THE_PARENT if name in loaded] == []
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=60) == 0
    all_is_filed(house, {each.name for each in bad})
    made = {"daemon.log", "failed", "originals", "outbox", "state"}
    assert {path.name for path in house.root.iterdir()} == before | made
    assert {entry["cause"] for entry in house.status()["refused"]} == {
        *("damaged_photo", "not_a_picture", "photo_too_large", "photo_too_small", "truncated_photo")
    }


def test_decoders_that_hang_eat_or_crash_cost_one_photo_each(house: House) -> None:
    """Whatever a decoder does, its photo fails with the reason, and the photos behind it in the queue are painted."""
    ways = ("loops", "sleeps", "eats", "crashes")
    for way in ways:
        (house.inbox / f"a {way}.gif").write_bytes(hostile_decoders.gif(way))
    drop_good_photos(house)
    daemon = start(house, "hostile_decoders.py", "instant", str(house.config), "--once")
    assert daemon.wait(timeout=110) == 1
    all_is_filed(house, {f"a {way}.gif" for way in ways})
    causes = {name: content["cause"] for name, content in explained(house).items()}
    assert causes == {f"a {way}.gif": "photo_too_large" if way == "eats" else "damaged_photo" for way in ways}
    assert "takes too long" in explained(house)["a loops.gif"]["reason"]
