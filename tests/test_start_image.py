"""The image that `start: file` begins with: named by a preset, proven, kept with the plan, painted, found again."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from PIL import Image

import random_vgg
from config_samples import settings, style_image
from house import House, photo
from neural_selfie import reproducing, stylizing
from neural_selfie.config import Loaded, load
from neural_selfie.config.catalogue import Catalogue, open_catalogue, sha256_of
from neural_selfie.errors import ConfigError, SidecarError, StyleUnavailableError, UsageError
from neural_selfie.ledger import open_ledger
from neural_selfie.ledger.rows import plan_from, plan_json, plan_key
from neural_selfie.model import Plan, Result, StyleUse, Task
from neural_selfie.workers import batches, render

HOME = """
presets:
  sketched: {engine: gatys, style: night.png, start: file, start_image: pictures/sketch.png, size: 64}
  swept: {engine: gatys, style: night.png, start_image: other.png, sweep: {start: [photo, file]}}
  plain: {engine: gatys, style: night.png}
  patched: {style: night.png}
"""
STYLE = StyleUse(name="s", path=Path("/s"), sha256="5" * 64)
PLAN = Plan(preset="p", engine="gatys", recipe={"size": 64, "start": "file"}, styles=(STYLE,))
SKETCH = StyleUse(name="sketch.png", path=Path("/k/sketch.png"), sha256="7" * 64)


def home(folder: Path, text: str = HOME) -> Loaded:
    """Given a folder, write a configuration, a style and two start images into it, and load it."""
    style_image(folder / "night.png", "navy")
    style_image(folder / "pictures" / "sketch.png", "green")
    style_image(folder / "other.png", "red")
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml", {})


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """The presets of HOME."""
    return open_catalogue(home(tmp_path))


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "text",
    [
        "engine: gatys\n    style: a\n    start: file\n    start_image: b\n",
        "engine: gatys\n    style: a\n    start_image: b\n    sweep: {start: [noise, file]}\n",
        "engine: gatys\n    style: a\n    start: file\n    sweep: {start: [noise, photo]}\n",
        "engine: gatys\n    style: a\n    start: file\n    start_image: b\n    sweep: {size: [64, 96]}\n",
        "engine: gatys\n    style: a\n    recipe: gatys-2015\n    start_image: null\n",
    ],
    ids=range(5),
)
def test_a_start_image_where_something_begins_with_it(text: str) -> None:
    """A preset has a start image when its `start`, or one of those that it sweeps, is `file`."""
    assert settings(f"presets:\n  p:\n    {text}").presets["p"].engine == "gatys"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start: file", "home.yaml, line 2: presets.p.start_image: is missing: `start: file` begins with this image"),
        (
            "sweep: {start: [photo, file]}",
            "home.yaml, line 2: presets.p.start_image: is missing: `start: file` begins with this image; name a file,",
        ),
        (
            "start_image: b.png",
            "home.yaml, line 5: presets.p.start_image: 'b.png' is not right: expected none, because nothing here says",
        ),
        ("start_image: b\n    recipe: gatys-2015", "home.yaml, line 5: presets.p.start_image: 'b' is not right"),
        ("start_image: ''\n    start: file", "home.yaml, line 5: presets.p.start_image: '' is not right: expected at"),
        ("start_image: b\n    start: fiel", "home.yaml, line 6: presets.p.start: 'fiel' is not right: expected "),
    ],
    ids=range(6),
)
def test_a_start_image_that_does_not_go_with_the_start_is_explained(text: str, said: str) -> None:
    """Missing or in vain: whoever wrote the preset reads where, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        settings(f"presets:\n  p:\n    engine: gatys\n    style: a\n    {text}\n")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A missing start image does not hide a fault of the sweep."""
    with pytest.raises(ConfigError) as caught:
        settings("presets: {p: {engine: gatys, style: a, start: file, sweep: {size: [1]}}}")
    assert ["start_image: is missing" in str(caught.value), "sweep.size[0]: 1 is not" in str(caught.value)] == [
        True
    ] * 2


def test_other_engines_have_no_start_image() -> None:
    """Beside `engine: patch` the key is unknown."""
    with pytest.raises(ConfigError, match=r"presets\.p\.start_image: unknown key"):
        settings("presets: {p: {style: a, start_image: b}}")


# ---------------------------------------------------------------- catalogue


def test_start_images_are_found_hashed_and_kept(catalogue: Catalogue, tmp_path: Path) -> None:
    """Each is found beside the config file; what a queued job needs lies under its hash, and outlives the file."""
    sketch, other = tmp_path / "pictures" / "sketch.png", tmp_path / "other.png"
    assert {name: (use.name, use.path, use.sha256) for name, use in catalogue.starts.items()} == {
        "sketched": ("sketch.png", sketch, sha256_of(sketch)),
        "swept": ("other.png", other, sha256_of(other)),
    }
    room = tmp_path / "state" / "styles"
    room.mkdir(parents=True)
    kept = catalogue.kept_in(room).starts["sketched"]
    assert kept == replace(catalogue.starts["sketched"], path=room / f"{sha256_of(sketch)}.png")
    assert kept.path.read_bytes() == sketch.read_bytes()
    style_image(other, "blue")
    (room / f"{catalogue.starts['swept'].sha256}.png").unlink()
    with pytest.raises(ConfigError, match=r"The image .*other\.png changed while it was read"):
        catalogue.kept_in(room)


def test_a_start_image_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start image can be named with `~`, and one that is a style as well is both."""
    monkeypatch.setenv("HOME", str(tmp_path))
    text = "presets: {p: {engine: gatys, style: night.png, start: file, start_image: ~/night.png}}"
    opened = open_catalogue(home(tmp_path, text))
    assert opened.starts["p"] == opened.styles["p"][0]
    assert opened.starts["p"].path == tmp_path / "night.png"


@pytest.mark.parametrize("name", ["gone.png", "styles/scream.jpg", "pictures", "x" * 5000, "~no-such-user/x.png"])
def test_a_start_image_that_is_not_there(tmp_path: Path, name: str) -> None:
    """It is named with its preset, and where it was looked for: beside the config file only, for none ships."""
    text = f"presets: {{p: {{engine: gatys, style: styles/scream.jpg, start: file, start_image: {name}}}}}"
    with pytest.raises(ConfigError) as caught:
        open_catalogue(home(tmp_path, text))
    assert str(caught.value).startswith(f"presets.p.start_image: {name!r} is not there; looked in {tmp_path}")


@pytest.mark.parametrize("kind", ["text", "half", "dot"])
def test_a_start_image_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    """One that does not decode, or has a few pixels only, stops the start with preset, file and reason."""
    broken = tmp_path / "broken.png"
    whole = style_image(broken, size=(8, 8) if kind == "dot" else (400, 300)).read_bytes()
    broken.write_bytes({"text": b"not a picture", "half": whole[: len(whole) // 2], "dot": whole}[kind])
    text = "presets: {p: {engine: gatys, style: night.png, start: file, start_image: broken.png}}"
    with pytest.raises(ConfigError) as caught:
        open_catalogue(home(tmp_path, text))
    assert str(caught.value).startswith(f"presets.p.start_image: {broken} cannot be used: ")


def test_only_what_begins_with_a_file_has_one(catalogue: Catalogue) -> None:
    """The plans of variants that say `start: file` have the image, the others none; these two are painted apart."""
    photo_plan, file_plan = catalogue.plans("swept", {})
    assert (photo_plan.recipe["start"], photo_plan.start) == ("photo", None)
    assert (file_plan.recipe["start"], file_plan.start) == ("file", catalogue.starts["swept"])
    assert [plan.start for plan in catalogue.plans("plain", {}) + catalogue.plans("patched", {})] == [None, None]
    [sketched] = catalogue.plans("sketched", {})
    assert sketched.start == catalogue.starts["sketched"]
    assert "start_image" not in sketched.recipe
    assert batches.batches([photo_plan, file_plan]) == [[0], [1]]


# ---------------------------------------------------------------- sidecars


@pytest.mark.parametrize("preset", ["plain", "sketched", "patched"])
def test_a_sidecar_names_no_start_image(catalogue: Catalogue, preset: str) -> None:
    """Whoever may drop photos cannot make the daemon read another file."""
    with pytest.raises(SidecarError, match="'start_image' cannot be set for one photo"):
        catalogue.plans_for(PurePath("me.jpg"), f"presets: [{preset}]\noverrides: {{start_image: /etc/passwd}}\n")


def test_a_sidecar_asks_for_a_start_that_is_not_there(catalogue: Catalogue) -> None:
    """`start: file` for a preset without a start image is refused in words of the person who dropped the photo."""
    with pytest.raises(SidecarError) as caught:
        catalogue.plans_for(PurePath("me.jpg"), "presets: [plain]\noverrides: {start: file}\n")
    assert str(caught.value) == (
        "'start: file' cannot be set for one photo of a preset that has no start_image: which image to begin with is "
        "up to the configuration. Ask for another preset, or another start."
    )
    with pytest.raises(SidecarError, match=r"overrides of the preset patched: start: unknown key"):
        catalogue.plans_for(PurePath("me.jpg"), "presets: [patched]\noverrides: {start: file}\n")


def test_a_sidecar_may_choose_another_start(catalogue: Catalogue) -> None:
    """The image is there for `start: file` and for no other start; other numbers leave the start as it is."""

    def begun(preset: str, overrides: str) -> list[tuple[str, StyleUse | None]]:
        plans = catalogue.plans_for(PurePath("me.jpg"), f"presets: [{preset}]\noverrides: {{{overrides}}}\n")
        return [(plan.recipe["start"], plan.start) for plan in plans]

    assert begun("sketched", "start: noise") == begun("swept", "start: noise") == [("noise", None)]
    assert begun("swept", "start: file") == [("file", catalogue.starts["swept"])]
    assert begun("sketched", "size: 96") == [("file", catalogue.starts["sketched"])]
    assert begun("swept", "size: 96") == [("photo", None), ("file", catalogue.starts["swept"])]


# ---------------------------------------------------------------- ledger


def test_plans_without_a_start_image_are_what_they_were() -> None:
    """Rows and keys of older ledgers stay valid; with a start image a plan comes back equal, and its bytes count."""
    assert '"start":{' not in plan_json(PLAN)
    assert plan_key(PLAN) == "99aa9d6fa6002884fb30bc024c89c9f5fb81e22445d12547a59a0fae617a1c59"
    begun = replace(PLAN, start=SKETCH)
    assert plan_from(plan_json(begun)) == begun
    assert plan_from(plan_json(PLAN)) == PLAN
    renamed = replace(PLAN, start=StyleUse(name="n.png", path=Path("/o/n.png"), sha256="7" * 64))
    other = replace(PLAN, start=replace(SKETCH, sha256="8" * 64))
    assert plan_key(renamed) == plan_key(begun)
    assert len({plan_key(plan) for plan in (PLAN, begun, other)}) == 3


# ---------------------------------------------------------------- painted


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random VGG-19 in half precision."""
    with random_vgg.written(tmp_path_factory.mktemp("vgg"), half=True) as path:
        yield path


@pytest.fixture
def drawn(house: House, vgg_file: Path) -> House:
    """A daemon with a preset whose pictures are the image that they begin with: one evaluation changes nothing."""
    photo(house.root / "sketch.png", seed=7, size=(64, 48))
    once = {"recipe": "tutorial", "iterations": 1, "size": 64, "format": "png"}
    begun = {"start": "file", "start_image": "sketch.png"}
    shown = {"engine": "gatys", "style": "style.png", "weights": str(vgg_file)} | once | begun
    house.settings["presets"] = {"drawn": shown}
    house.write_config()
    return house


def same(picture: bytes, other: bytes) -> bool:
    """Whether two pictures are the same but for rounding."""
    one, two = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float) for data in (picture, other))
    return one.shape == two.shape and bool(np.abs(one - two).max() <= 1)


def test_from_the_inbox_to_the_picture_and_back(drawn: House) -> None:
    """The job keeps the image, a worker begins with it, its record names it; a repeat finds it or says it is gone."""
    path = photo(drawn.inbox / "me.png")
    assert drawn.once() == 0
    sketch = drawn.root / "sketch.png"
    data, sha256 = sketch.read_bytes(), sha256_of(sketch)
    sketch.unlink()
    with open_ledger(drawn.state) as ledger:
        [job] = ledger.jobs()
    kept = drawn.state / "styles" / f"{sha256}.png"
    assert job.plan.start == StyleUse(name="sketch.png", path=kept, sha256=sha256)

    loaded, path = load(drawn.config, {}), drawn.originals / "me.png"
    [result] = stylizing.paint(loaded, path, (job.plan,), lambda _plan, _progress: None)
    assert same(result.picture, data)
    assert not same(result.picture, path.read_bytes())
    assert result.record.recipe["start_image"] == {"name": "sketch.png", "sha256": sha256}
    old = drawn.root / "old.png"
    old.write_bytes(result.picture)
    record = reproducing.read(old)

    def again(recipe: Mapping[str, Any] = record.recipe) -> Result:
        told = record.model_copy(update={"recipe": recipe})
        return reproducing.repeat(told, loaded, path, lambda _: None)

    found = again()
    assert found.record.recipe == record.recipe
    assert reproducing.compare(old, record, found).identical
    kept.rename(sketch)
    assert same(again().picture, found.picture)
    photo(sketch, seed=8)
    with pytest.raises(UsageError) as caught:
        again()
    assert str(caught.value) == (
        "The start image sketch.png of this record is neither in the configuration nor in the state folder."
    )
    for said in (7, {}, {"name": "sketch.png"}):
        with pytest.raises(UsageError, match=r"does not say which image it began with: recipe\.start_image"):
            again(dict(record.recipe) | {"start_image": said})


def test_a_start_image_that_is_gone_is_named(drawn: House, vgg_file: Path) -> None:
    """The worker says which image cannot be read; the job waits for it, as it does for a style."""
    path = photo(drawn.root / "me.png")
    [plan] = stylizing.plans(load(drawn.config, {}), "drawn", {})
    task = Task(
        job_id=1,
        attempt=1,
        photo_path=path,
        photo_name="me.png",
        photo_sha256=sha256_of(path),
        plan=plan,
        queued_at=0.0,
        weights=vgg_file,
    )
    (drawn.root / "sketch.png").unlink()
    with pytest.raises(StyleUnavailableError, match=r"The start image sketch\.png cannot be read"):
        render.painted(task, lambda _: None)
