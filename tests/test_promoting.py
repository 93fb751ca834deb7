"""A picture that somebody likes becomes a preset, and the next photo is painted with it."""

from pathlib import Path

import pytest
import yaml

from gallery_samples import publish
from house import House, photo
from neural_selfie import config, promoting, reproducing
from neural_selfie.errors import UsageError


def made_by_patch(record: Path) -> None:
    """Let the record of an instant painter be that of the engine whose numbers it has."""
    record.write_text(record.read_text().replace('"name": "instant"', '"name": "patch"'))


def test_a_variant_is_promoted_and_painted_with(house: House) -> None:
    """Swept, promoted with --write, and used: the recipe of the new picture is that of the one that was picked."""
    house.settings["presets"]["plain"]["sweep"] = {"content_weight": [0.2, 0.6], "style_scale": [0.5, 1.0]}
    house.write_config()
    house.config.write_text(f"# mine\n{house.config.read_text()}# the end\n")
    photo(house.inbox / "me.png", seed=1)
    assert house.once() == 0
    [record] = house.outbox.glob("*/plain.content_weight=0.6,style_scale=0.5.json")
    made_by_patch(record)
    done = house.command("presets", "promote", str(record), "--name", "good-one", "--write")
    assert done.returncode == 0, done.stderr
    preset = yaml.safe_load(done.stdout)["good-one"]
    assert (preset["content_weight"], preset["style_scale"]) == (0.6, 0.5)
    assert preset["style"] == str(house.root / "style.png")
    text = house.config.read_text()
    assert text.startswith("# mine\n")
    assert text.endswith("# the end\n")
    (house.inbox / "good-one").mkdir()
    photo(house.inbox / "good-one" / "you.png", seed=2)
    assert house.once() == 0
    [painted] = house.outbox.glob("you-*/good-one.json")
    picked = {key: value for key, value in reproducing.read(record).recipe.items() if key != "together"}
    assert reproducing.read(painted).recipe == picked


def test_without_write_nothing_is_written(house: House) -> None:
    """The preset is printed, the configuration stays as it was."""
    photo(house.inbox / "me.png")
    assert house.once() == 0
    before = house.config.read_bytes()
    [record] = house.outbox.glob("me-*/plain.json")
    made_by_patch(record)
    done = house.command("presets", "promote", str(record), "--name", "again")
    assert done.returncode == 0, done.stderr
    assert list(yaml.safe_load(done.stdout)) == ["again"]
    assert house.config.read_bytes() == before


@pytest.mark.parametrize("name", ["plain", "", "a/b", ".."])
def test_names_that_cannot_be_are_refused(house: House, name: str) -> None:
    """One that is taken, and those that no folder could have, with a sentence and the exit code for usage."""
    record = publish(house.outbox, recipe={"size": 64})
    done = house.command("presets", "promote", str(record), "--name", name)
    assert done.returncode == 64
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_recipe_of_another_version_is_refused(house: House) -> None:
    """Numbers that this version's engine does not know are named."""
    record = publish(house.outbox, recipe={"size": 64, "sparkle": 3})
    done = house.command("presets", "promote", str(record), "--name", "x")
    assert done.returncode == 64
    assert "sparkle" in done.stderr


@pytest.mark.parametrize(
    "text",
    ["inbox: {inbox}\n", "inbox: {inbox}\npresets: {{a: {{style: styles/scream.jpg}}}}\n"],
)
def test_a_configuration_that_cannot_be_added_to_is_left_alone(tmp_path: Path, text: str) -> None:
    """Without a section for presets, or with all in one line, the person is told to do it."""
    path = tmp_path / "config.yaml"
    path.write_text(text.format(inbox=tmp_path / "inbox"))
    before = path.read_bytes()
    loaded = config.load(path)
    record = reproducing.read(publish(tmp_path / "outbox", recipe={"size": 64}))
    preset = promoting.promoted(record, "new", loaded)
    with pytest.raises(UsageError, match="by hand"):
        promoting.write(preset, loaded)
    assert path.read_bytes() == before


def test_deeper_indentation_and_comments_stay(tmp_path: Path) -> None:
    """The new preset is indented as those that are there."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "presets:   # all of them\n\n    # the first\n    one:\n        style: styles/scream.jpg\nkeep_gps: true\n"
    )
    loaded = config.load(path)
    record = reproducing.read(publish(tmp_path / "outbox", recipe={"size": 64}))
    promoting.write(promoting.promoted(record, "new", loaded), loaded)
    after = config.load(path).settings
    assert set(after.presets) == {"one", "new"}
    assert after.presets["new"].size == 64
    assert after.keep_gps
    assert "# the first" in path.read_text()
