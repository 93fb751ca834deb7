"""Picks that were saved on the page and dropped into the inbox: rejects move away, keepers say so in their records."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_samples import hung, publish
from house import House, photo, wait_until
from neural_selfie import picking
from neural_selfie.config import Settings, layout
from neural_selfie.errors import PicksError
from neural_selfie.filing import Desk
from neural_selfie.gallery import build
from neural_selfie.ledger import open_ledger
from neural_selfie.record import Record


def settings_of(root: Path) -> Settings:
    """Return the settings of a house."""
    return Settings(inbox=root / "inbox", state=root / "state")


def picks(root: Path, **marks: str) -> Path:
    """Write picks of paintings called `starry-night` in the folders `marks`."""
    return picks_of(root, [{"painting": f"{name}-abc123/starry-night", "mark": mark} for name, mark in marks.items()])


def picks_of(root: Path, each: list[Any]) -> Path:
    """Write a file of picks."""
    path = root / "picks.json"
    path.write_text(json.dumps({"neural-selfie": "picks", "version": 1, "picks": each}))
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_rejects_move_away_and_keepers_say_so(tmp_path: Path) -> None:
    """A rejected picture lies with its record in the folder for rejects; others have the mark in their records."""
    for name in ("one", "two", "three", "four"):
        publish(tmp_path / "outbox", f"{name}-abc123")
    before = files_of(tmp_path / "outbox")
    path = picks(tmp_path, one="reject", two="keep", three="star")
    assert picking.apply(settings_of(tmp_path), path) == picking.Applied(
        rejected=1, marked=2, unknown=0, folders=frozenset({"one-abc123", "two-abc123", "three-abc123"})
    )
    moved = files_of(tmp_path / "rejected")
    assert set(moved) == {"one-abc123/starry-night.jpg", "one-abc123/starry-night.json"}
    assert all(before[name] == content for name, content in moved.items())
    build(tmp_path / "outbox")
    assert {each["folder"]: each.get("mark") for each in hung(tmp_path / "outbox")} == {
        "two-abc123": "keep",
        "three-abc123": "star",
        "four-abc123": None,
    }
    assert files_of(tmp_path / "outbox")["two-abc123/starry-night.jpg"] == before["two-abc123/starry-night.jpg"]


def test_the_same_picks_again_change_nothing(tmp_path: Path) -> None:
    """What was done is done: the second time nothing is found to move, and no record is written."""
    for name in ("one", "two"):
        publish(tmp_path / "outbox", f"{name}-abc123")
    path = picks(tmp_path, one="reject", two="keep")
    picking.apply(settings_of(tmp_path), path)
    before = files_of(tmp_path)
    assert picking.apply(settings_of(tmp_path), path) == picking.Applied(rejected=0, marked=0, unknown=1)
    assert files_of(tmp_path) == before


def test_a_mark_can_be_taken_off(tmp_path: Path) -> None:
    """The record is as it was before anybody had marked it."""
    record = publish(tmp_path / "outbox")
    before = Record.model_validate_json(record.read_bytes())
    picking.apply(settings_of(tmp_path), picks(tmp_path, me="star"))
    marked = Record.model_validate_json(record.read_bytes())
    assert marked.review is not None
    assert marked.model_copy(update={"review": None}) == before
    picking.apply(settings_of(tmp_path), picks(tmp_path, me="none"))
    assert "review" not in json.loads(record.read_bytes())
    assert Record.model_validate_json(record.read_bytes()) == before


def test_a_move_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """The picture had moved, the record had not: the next time it follows."""
    record = publish(tmp_path / "outbox")
    target = tmp_path / "rejected/me-abc123"
    target.mkdir(parents=True)
    record.with_suffix(".jpg").rename(target / "starry-night.jpg")
    picking.apply(settings_of(tmp_path), picks(tmp_path, me="reject"))
    assert set(files_of(tmp_path / "rejected")) == {"me-abc123/starry-night.jpg", "me-abc123/starry-night.json"}


def test_nothing_in_the_folder_for_rejects_is_overwritten(tmp_path: Path) -> None:
    """A picture that is rejected, painted again and rejected again lies there twice."""
    for _ in range(2):
        publish(tmp_path / "outbox")
        picking.apply(settings_of(tmp_path), picks(tmp_path, me="reject"))
    assert len(files_of(tmp_path / "rejected")) == 4


@given(
    st.lists(
        st.one_of(
            st.text(min_size=3),
            st.sampled_from(
                [
                    *("../secret-abc123/starry-night", "..%2Fsecret-abc123/starry-night", "link-abc123/starry-night"),
                    *("gallery/starry-night", "%00%00/x", "/etc/passwd", "a/b/c", "me-abc123/" + "x" * 400),
                    "me-abc123/.x",
                ]
            ),
        )
    )
)
def test_nothing_outside_the_outbox_is_touched(tmp_path_factory: pytest.TempPathFactory, paintings: list[str]) -> None:
    """Addresses that lead elsewhere, over links or nowhere are counted as unknown."""
    root = tmp_path_factory.mktemp("root")
    for place in ("outbox/me-abc123", "secret-abc123", "outbox/gallery"):
        publish(root / place.rpartition("/")[0] if "/" in place else root, place.rpartition("/")[2])
    (root / "outbox/link-abc123").symlink_to(root / "secret-abc123")
    path = picks_of(root, [{"painting": each, "mark": "reject"} for each in paintings])
    before = files_of(root)
    assert picking.apply(settings_of(root), path) == picking.Applied(rejected=0, marked=0, unknown=len(paintings))
    assert files_of(root) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[" * 100_000,
        b'{"name": "package"}',
        b'{"neural-selfie": "picks", "version": 2, "picks": []}',
        b'{"neural-selfie": "picks", "version": 1, "picks": [{"painting": "a/b", "mark": "burn"}]}',
    ],
)
def test_what_is_no_picks_is_refused(tmp_path: Path, content: bytes) -> None:
    """The reason says what is wrong with the file and what to do."""
    path = tmp_path / "picks.json"
    path.write_bytes(content)
    with pytest.raises(PicksError, match="Save the picks again on the page"):
        picking.apply(settings_of(tmp_path), path)


@pytest.mark.parametrize(
    ("name", "is_picks"),
    [
        *(("picks.json", True), ("Picks (2).json", True), ("picks 2.json", True), ("my picks.json", False)),
        *(("picks.json.part", False), ("picks.jpg", False), ("picks (a).json", False)),
    ],
)
def test_names_of_picks(name: str, is_picks: bool) -> None:  # noqa: FBT001 - the expected value
    """As browsers call what they save, also the second time."""
    assert picking.is_picks(Path(name)) is is_picks


def test_picks_are_done_by_the_daemon(house: House) -> None:
    """Dropped into the inbox, picks are done, filed as originals are, and the page follows."""
    house.settings["presets"]["plain"]["sweep"] = {"content_weight": [0.2, 0.6, 1.5]}
    house.write_config()
    photo(house.inbox / "me.png")
    assert house.once() == 0
    one, two, three = [each["id"] for each in hung(house.outbox)]
    marks = [{"painting": one, "mark": "reject"}, {"painting": two, "mark": "keep"}]
    picks_of(house.inbox, marks)
    assert house.once() == 0
    assert not (house.inbox / "picks.json").exists()
    assert (house.originals / "picks.json").exists()
    assert [(each["id"], each.get("mark")) for each in hung(house.outbox)] == [(two, "keep"), (three, None)]
    assert len(list((house.root / "rejected").glob("*/*"))) == 2


def test_what_is_handed_over_is_done_in_its_order(tmp_path: Path) -> None:
    """Picks of the live page are done one after the other and are gone then; while the outbox is away they wait."""
    settings = settings_of(tmp_path)
    state = layout.prepare(settings)
    publish(settings.outbox_folder)
    [record] = settings.outbox_folder.glob("*/*.json")

    def hand_over(mark: str) -> int:
        each = [{"painting": "me-abc123/starry-night", "mark": mark}]
        return picking.hand_over(
            state.picks, json.dumps({"neural-selfie": "picks", "version": 1, "picks": each}).encode()
        )

    with open_ledger(settings.state) as ledger:
        handed = picking.Handed(Desk(settings, state, ledger))
        assert handed.work(0.0) == frozenset()
        assert hand_over("keep") + hand_over("star") == 2
        settings.outbox_folder.rename(tmp_path / "away")
        assert handed.work(1.0) == frozenset()
        assert "outbox" in str(handed.trouble)
        (tmp_path / "away").rename(settings.outbox_folder)
        assert handed.work(1000.0) == {"me-abc123"}
        assert str(handed.trouble) == "None"
    assert '"star"' in record.read_text()
    assert list(state.picks.iterdir()) == []
    with pytest.raises(PicksError):
        hand_over("burn")
    assert list(state.picks.iterdir()) == []


def test_a_rejected_picture_is_not_painted_again(house: House) -> None:
    """Its photo, dropped again, is known like any other; once somebody deletes the reject, it is painted again."""
    photo(house.inbox / "me.png")
    assert house.once() == 0
    picks_of(house.inbox, [{"painting": hung(house.outbox)[0]["id"], "mark": "reject"}])
    assert house.once() == 0
    photo(house.inbox / "me.png")
    assert house.once() == 0
    assert hung(house.outbox) == []
    assert house.log().count("picture.published") == 1
    for path in house.root.glob("rejected/*/plain.*"):
        path.unlink()
    photo(house.inbox / "me.png")
    assert house.once() == 0
    assert len(hung(house.outbox)) == 1


def test_picks_that_cannot_be_understood_are_explained(house: House) -> None:
    """They lie in failed/ with the reason, like every other file of which nothing can be made."""
    (house.inbox / "picks.json").write_text("no picks\n" * 10)
    assert house.once() == 1
    [refused] = house.status()["refused"]
    assert (refused["photo"], refused["cause"]) == ("picks.json", "picks")


def test_with_keep_picks_stay_and_are_done_once(house: House) -> None:
    """Where nothing of the inbox is moved, picks stay there; they are done once, also after a restart."""
    house.settings["originals"] = {"action": "keep"}
    house.write_config()
    photo(house.inbox / "me.png")
    house.start()
    wait_until(lambda: (house.outbox / "index.html").exists() and len(hung(house.outbox)) == 1)
    picks_of(house.inbox, [{"painting": hung(house.outbox)[0]["id"], "mark": "star"}])
    wait_until(lambda: "picks.applied" in house.log())
    wait_until(lambda: hung(house.outbox)[0].get("mark") == "star")
    assert (house.inbox / "picks.json").exists()
    assert house.log().count("picks.applied") == 1
    [record] = house.outbox.glob("*/plain.json")
    record.write_text(record.read_text().replace('"star"', '"keep"'))  # somebody picked anew since
    house.kill()
    house.start()
    photo(house.inbox / "you.png", seed=2)
    wait_until(lambda: len(house.records()) == 2)
    assert house.log().count("picks.applied") == 1
    review = Record.model_validate_json(record.read_bytes()).review
    assert review is not None
    assert review.mark == "keep"
