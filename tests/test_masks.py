"""Masks: named by a sidecar, proven, kept with the plan, and filed with their photo. With the real daemon and files."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath

import pytest
from PIL import Image

from config_samples import command, settings, style_image
from house import House, photo, wait_until
from made_pictures import noisy, plain_png
from neural_selfie import inspection, reproducing, stylizing, survey
from neural_selfie.config import load, masks, sidecars
from neural_selfie.config.catalogue import open_catalogue, sha256_of
from neural_selfie.engine import images
from neural_selfie.errors import ConfigError, SidecarError, TruncatedPhotoError, UsageError
from neural_selfie.files import names
from neural_selfie.ledger import open_ledger
from neural_selfie.ledger.rows import plan_from, plan_json, plan_key
from neural_selfie.model import Limits, MaskUse, Place, Plan, Result, StyleUse
from neural_selfie.workers import describing

WISH = "presets: [parts]\nmask: me.mask.png\n"
PLAN = Plan(
    preset="p", engine="gatys", recipe={"size": 64}, styles=(StyleUse(name="s", path=Path("/s"), sha256="5" * 64),)
)


def mask(path: Path, size: tuple[int, int] = (80, 60), colour: str = "white") -> Path:
    """Write a mask: its left half black, the other of a colour."""
    image = Image.new("RGB", size, "black")
    image.paste(colour, (size[0] // 2, 0, *size))
    image.save(path, "PNG")
    return path


@pytest.fixture
def parts(house: House) -> House:
    """A daemon with a preset `parts` of two styles with regions, and weights that its painters never read."""
    weights = house.root / "vgg.pth"
    weights.write_bytes(b"numbers")
    other = photo(house.root / "other.png", seed=98, size=(64, 48))
    house.settings["presets"]["parts"] = {
        "engine": "gatys",
        "weights": str(weights),
        "style": [
            {"image": house.settings["presets"]["plain"]["style"], "region": "white"},
            {"image": str(other), "weight": 2.0},
        ],
        "size": 64,
        "format": "png",
    }
    house.write_config()
    return house


def dropped(house: House, wish: str = WISH, *, colour: str = "white", seed: int = 0) -> Path:
    """Drop mask, sidecar and photo into the inbox, in this order."""
    mask(house.inbox / "me.mask.png", colour=colour)
    (house.inbox / "me.png.yaml").write_text(wish)
    return photo(house.inbox / "me.png", seed=seed)


def everything(house: House) -> dict[str, list[str]]:
    """Return the names of all files in inbox, originals, failed and work."""
    folders = (house.inbox, house.originals, house.failed, house.state / "work")
    return {folder.name: sorted(path.name for path in folder.glob("*")) for folder in folders}


# ---------------------------------------------------------------- the way of a mask


def test_a_mask_goes_with_its_photo(parts: House) -> None:
    """Photo, sidecar and mask are taken in, the plan names the mask as it was kept, and all three are filed."""
    data = dropped(parts).with_name("me.mask.png").read_bytes()
    assert parts.once() == 0
    sha256 = hashlib.sha256(data).hexdigest()
    with open_ledger(parts.state) as ledger:
        [job] = ledger.jobs()
    kept = parts.state / "styles" / f"{sha256}.mask.png"
    assert job.plan.mask == MaskUse(name="me.mask.png", path=kept, sha256=sha256)
    assert [use.region for use in job.plan.styles] == ["white", None]
    assert kept.read_bytes() == data
    assert len(parts.records()) == 1
    filed = ["me.mask.png", "me.png", "me.png.yaml"]
    assert everything(parts) == {"inbox": [], "originals": filed, "failed": [], "work": []}
    assert (parts.originals / "me.mask.png").read_bytes() == data


def test_a_mask_lies_beside_its_photo_in_failed_and_comes_back(parts: House) -> None:
    """A photo that fails has its mask beside it; one that is retried takes its own back, not a stranger's."""
    parts.failed.mkdir()
    foreign = mask(parts.failed / "me.mask.png", colour="red").read_bytes()
    own = dropped(parts).with_name("me.mask.png").read_bytes()
    parts.settings["retry"]["attempts"] = 1
    parts.write_config()
    assert parts.once("raises") == 1
    together = ["me (2).mask.png", "me.mask.png", "me.png", "me.png.error.json", "me.png.yaml"]
    assert everything(parts) == {"inbox": [], "originals": [], "failed": together, "work": []}
    assert (parts.failed / "me (2).mask.png").read_bytes() == own
    assert parts.command("retry", "--failed").returncode == 0
    assert parts.once() == 0
    assert everything(parts)["failed"] == ["me.mask.png"]
    assert (parts.failed / "me.mask.png").read_bytes() == foreign
    assert everything(parts)["originals"] == ["me.mask.png", "me.png", "me.png.yaml"]
    assert (parts.originals / "me.mask.png").read_bytes() == own


@pytest.mark.parametrize("action", ["keep", "delete"])
def test_a_mask_stays_or_goes_with_the_original(parts: House, action: str) -> None:
    """With `keep` all three stay in the inbox and nothing is painted twice; with `delete` none is left anywhere."""
    parts.settings["originals"] = {"action": action}
    parts.write_config()
    dropped(parts)
    assert parts.once() == 0
    assert parts.once() == 0
    assert len(parts.records()) == 1
    stays = ["me.mask.png", "me.png", "me.png.yaml"] if action == "keep" else []
    assert everything(parts) == {"inbox": stays, "originals": [], "failed": [], "work": []}


def test_another_mask_makes_another_picture(parts: House) -> None:
    """The same photo with another mask is a new job; with the same mask it is the same picture, dropped again."""
    for colour in ("white", "red", "white"):
        dropped(parts, colour=colour)
        assert parts.once() == 0
    with open_ledger(parts.state) as ledger:
        assert len(ledger.jobs()) == 2
        assert ledger.check() == []
    assert everything(parts)["inbox"] == everything(parts)["work"] == []
    found = {path.name for path in parts.originals.glob("*.mask.png")}
    assert found == {"me.mask.png", "me (2).mask.png"}  # the third is the same as the first


def test_a_copy_of_a_photo_at_work_is_filed_with_its_mask(parts: House) -> None:
    """A second copy of what is being painted takes sidecar and mask along to the originals."""
    dropped(parts)
    parts.start("until_told")
    wait_until(lambda: parts.status()["counts"]["running"] == 1)
    mask(parts.inbox / "too.mask.png", colour="blue")
    (parts.inbox / "too.png.yaml").write_text("presets: [parts]\nmask: too.mask.png\n")
    shutil.copy(next((parts.state / "work").glob("*[!k].png")), parts.inbox / "too.png")
    wait_until(lambda: "photo.dropped_again" in parts.log())
    parts.let_go()
    wait_until(lambda: not any((parts.state / "work").iterdir()) and len(everything(parts)["originals"]) == 6)
    assert everything(parts)["inbox"] == []


def test_the_same_photo_comes_again_with_its_mask_under_another_name(parts: House) -> None:
    """Photo and mask are known by content: each mask is filed under the name by which its sidecar calls it."""
    data = dropped(parts).read_bytes()
    assert parts.once() == 0
    mask(parts.inbox / "you.mask.png")
    (parts.inbox / "you.png.yaml").write_text(WISH.replace("me.", "you."))
    (parts.inbox / "you.png").write_bytes(data)
    assert parts.once() == 0
    names = ["me.mask.png", "me.png", "me.png.yaml", "you.mask.png", "you.png", "you.png.yaml"]
    assert everything(parts) == {"inbox": [], "originals": names, "failed": [], "work": []}
    assert len(parts.records()) == 1


@pytest.mark.parametrize("delay", [0.5, 0.9, 1.3])
def test_kill_at_any_moment_loses_no_mask(parts: House, delay: float) -> None:
    """After a kill -9 the next run ends with photo, sidecar and mask together in the originals."""
    own = dropped(parts).with_name("me.mask.png").read_bytes()
    parts.start("slow")
    time.sleep(delay)
    parts.kill()
    assert parts.once() == 0
    assert len(parts.records()) == 1
    assert everything(parts)["inbox"] == everything(parts)["work"] == []
    assert everything(parts)["originals"] == ["me.mask.png", "me.png", "me.png.yaml"]
    assert (parts.originals / "me.mask.png").read_bytes() == own


def test_a_crash_between_photo_and_mask(parts: House) -> None:
    """Killed after the photo was moved from the inbox and before mask and sidecar were: the next run finds both."""
    dropped(parts)
    parts.start("until_told")
    wait_until(lambda: parts.status()["counts"]["running"] == 1)
    parts.kill()
    with open_ledger(parts.state) as ledger:
        [known] = ledger.photos()
        sidecar = parts.inbox / "me.png.yaml"
        ledger.set_place(known.id, Place.INBOX, path=parts.inbox / "me.png", sidecar=sidecar, now=time.time())
    masks.at_work(known.path).rename(parts.inbox / "me.mask.png")
    known.path.with_name(f"{known.path.name}.yaml").rename(sidecar)
    assert parts.once() == 0
    assert everything(parts)["inbox"] == everything(parts)["work"] == []
    assert everything(parts)["originals"] == ["me.mask.png", "me.png", "me.png.yaml"]


# ---------------------------------------------------------------- hostile masks


def bomb(path: Path) -> None:
    """A PNG that is small as a file and 400 megapixels large."""
    path.write_bytes(plain_png((20_000, 20_000), 8, 2, b"\0\0\0", rows=1))


def huge(path: Path) -> None:
    """A file of 65 MiB that takes no room."""
    mask(path)
    with path.open("ab") as file:
        file.truncate(65 << 20)


def no_picture(path: Path) -> None:
    """Text that says it is a picture."""
    path.write_text("white left, black right\n" * 50)


def half(path: Path) -> None:
    """A mask that ends in the middle, and for good."""
    noisy(80, 60).save(path)
    path.write_bytes(path.read_bytes()[:5000])


def cropped(path: Path) -> None:
    """A mask of another shape."""
    mask(path, (80, 50))


HOSTILE: dict[str, tuple[Callable[[Path], None], str, list[str]]] = {
    "missing": (lambda _: None, "Drop the mask first", []),
    "bomb": (bomb, "the mask cannot be used: me.mask.png", ["me.mask.png"]),
    "huge": (huge, "64 MiB are permitted", ["me.mask.png"]),
    "text": (no_picture, "the mask cannot be used: me.mask.png", ["me.mask.png"]),
    "half": (half, "The mask of this photo: me.mask.png", ["me.mask.png"]),
    "shape": (cropped, "has 80 × 50 pixels and the photo 80 × 60", ["me.mask.png"]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_mask_that_cannot_be_used_is_explained(parts: House, kind: str) -> None:
    """The photo goes to failed with sidecar, mask and the reason in plain words; the next photo is painted."""
    make, said, also = HOSTILE[kind]
    make(parts.inbox / "me.mask.png")
    (parts.inbox / "me.png.yaml").write_text(WISH)
    photo(parts.inbox / "me.png")
    photo(parts.inbox / "next.png", seed=2)
    assert parts.once() == 1
    explained = json.loads((parts.failed / "me.png.error.json").read_text())
    assert explained["cause"] == ("truncated_photo" if kind == "half" else "sidecar")
    assert said in explained["reason"]
    assert "Traceback" not in explained["reason"]
    assert everything(parts)["failed"] == [*also, "me.png", "me.png.error.json", "me.png.yaml"]
    assert everything(parts)["inbox"] == everything(parts)["work"] == []
    assert [record["photo"]["name"] for record in parts.records()] == ["next.png"]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_mask_that_is_no_file_is_not_opened(parts: House, kind: str) -> None:
    """A link to a file elsewhere and a pipe that nobody writes to: neither is followed or waited for, both go away."""
    secret = mask(parts.root / "secret.png", colour="red")
    if kind == "link":
        (parts.inbox / "me.mask.png").symlink_to(secret)
    else:
        os.mkfifo(parts.inbox / "me.mask.png")
    (parts.inbox / "me.png.yaml").write_text(WISH)
    photo(parts.inbox / "me.png")
    assert parts.once() == 1
    explained = json.loads((parts.failed / "me.png.error.json").read_text())
    assert explained["cause"] == "sidecar"
    assert everything(parts)["inbox"] == []
    assert sha256_of(secret) not in "".join(path.name for path in (parts.state / "styles").iterdir())
    assert parts.records() == []


@pytest.mark.parametrize(
    "name",
    ["../me.mask.png", "/etc/me.mask.png", "a/me.mask.png", "..\\\\me.mask.png", "me.png", ".mask.png", ".x.mask.png"],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """A sidecar names a file beside its photo and nothing else, and is told what would be right."""
    with pytest.raises(SidecarError) as caught:
        sidecars.read(f'mask: "{name}"\n')
    assert "ends in .mask.png" in str(caught.value)


def test_a_mask_without_a_region_is_pointed_out(parts: House) -> None:
    """A mask that no preset uses is a mistake of whoever dropped it, and is said to be one."""
    dropped(parts, "presets: [plain]\nmask: me.mask.png\n")
    assert parts.once() == 1
    explained = json.loads((parts.failed / "me.png.error.json").read_text())
    assert "no style of the preset plain has a region" in explained["reason"]
    assert everything(parts)["failed"] == ["me.mask.png", "me.png", "me.png.error.json", "me.png.yaml"]


def test_of_several_presets_only_those_with_regions_have_the_mask(parts: House) -> None:
    """The plan of a preset without regions is the same as without a mask: it is not painted again for one."""
    dropped(parts, "presets: [plain, parts]\nmask: me.mask.png\n")
    assert parts.once() == 0
    with open_ledger(parts.state) as ledger:
        plans = {job.plan.preset: job.plan for job in ledger.jobs()}
    assert plans["plain"].mask is None
    assert plans["parts"].mask is not None


def test_masks_are_no_photos(parts: House) -> None:
    """A mask alone in the inbox is left there, by the daemon and by the dry run, as a sidecar alone is."""
    mask(parts.inbox / "Me.MASK.png")
    assert parts.once() == 0
    assert everything(parts)["inbox"] == ["Me.MASK.png"]
    assert survey.of(load(parts.config, {})) == []
    for name, is_mask in (("a.mask.png", True), (".mask.png", False), ("mask.png", False), ("a.mask.jpg", False)):
        assert names.is_mask(PurePath(name)) is is_mask


def test_a_dry_run_sees_the_mask(parts: House) -> None:
    """`run --dry-run` names the mask's plan, or the reason why it would be refused, and changes nothing."""
    dropped(parts)
    [finding] = survey.of(load(parts.config, {}))
    [plan] = finding.plans
    assert plan.mask is not None
    assert plan.mask.path == parts.inbox / "me.mask.png"
    (parts.inbox / "me.mask.png").unlink()
    [finding] = survey.of(load(parts.config, {}))
    assert "Drop the mask first" in (finding.refusal or "")


# ---------------------------------------------------------------- its parts


def test_a_region_is_a_colour_and_for_gatys() -> None:
    """Presets take names and '#rrggbb', in any case; anything else, and other engines, are refused with place."""
    read = settings("presets: {a: {engine: gatys, style: [{image: x, region: White}, {image: y, region: '#FF8000'}]}}")
    assert [share.region for share in read.presets["a"].style] == ["white", "#ff8000"]
    with pytest.raises(ConfigError) as caught:
        settings("presets:\n  a:\n    engine: gatys\n    style: [{image: x, region: mauve}]\n")
    assert "line 4" in str(caught.value)
    assert "black, grey, white, red" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        settings("presets:\n  a:\n    style: [{image: x, region: red}]\n")
    assert "only engine gatys knows regions" in str(caught.value)


def test_plans_without_masks_are_what_they_were() -> None:
    """Rows and keys of ledgers from before masks stay valid; with region and mask they come back equal."""
    assert "mask" not in plan_json(PLAN)
    assert "region" not in plan_json(PLAN)
    assert plan_from(plan_json(PLAN)) == PLAN
    masked = replace(PLAN, mask=MaskUse(name="m.mask.png", path=Path("/k/m"), sha256="7" * 64))
    there = replace(masked, styles=(replace(PLAN.styles[0], region="white"),))
    for plan in (masked, there):
        assert plan_from(plan_json(plan)) == plan
    elsewhere = replace(masked, mask=MaskUse(name="n.mask.png", path=Path("/o/n"), sha256="7" * 64))
    assert plan_key(elsewhere) == plan_key(masked)  # the bytes count, not the name
    assert len({plan_key(plan) for plan in (PLAN, masked, there)}) == 3


def test_a_mask_that_changes_is_not_kept(tmp_path: Path) -> None:
    """What is kept is what was inspected: other bytes, a link or a pipe in its place are noticed."""
    path, room = mask(tmp_path / "me.mask.png"), tmp_path / "styles"
    room.mkdir()
    seen = MaskUse(name=path.name, path=path, sha256=sha256_of(path))
    mask(path, colour="red")
    changes: list[Callable[[], None]] = [
        lambda: None,
        lambda: path.symlink_to(tmp_path / "other.png"),
        lambda: os.mkfifo(path),
    ]
    for change in changes:
        if change is not changes[0]:
            path.unlink()
            change()
        with pytest.raises(TruncatedPhotoError):
            masks.kept(seen, room)
    assert list(room.iterdir()) == []


def test_names_of_masks_stay_names_of_masks() -> None:
    """A number goes before `.mask.png`, and a long stem is cut; accents are found as another system writes them."""
    assert masks.numbered("me.mask.png", 2) == "me (2).mask.png"
    long = masks.numbered("é" * 123 + ".Mask.PNG", 12)
    assert long.endswith("é (12).Mask.PNG")
    assert len(os.fsencode(long)) <= 255


def test_accents_are_found_in_either_form(tmp_path: Path) -> None:
    """A Mac writes é as e and an accent: the mask that the sidecar names is the same file."""
    path = mask(tmp_path / "cafe\u0301.mask.png")
    photo(tmp_path / "me.png")
    (tmp_path / "me.png.yaml").write_text("mask: caf\u00e9.mask.png\n")
    assert masks.named(tmp_path / "me.png") == path
    (tmp_path / "me.png.yaml").write_text("mask: [1, 2\n")
    assert masks.named(tmp_path / "me.png") is None


@pytest.mark.parametrize(("size", "fits"), [((400, 300), True), ((41, 30), False), ((61, 46), True), ((30, 40), False)])
def test_a_mask_may_be_smaller_but_not_of_another_shape(tmp_path: Path, size: tuple[int, int], *, fits: bool) -> None:
    """Two per cent are permitted, on the photo as it is upright; a mask of that photo on its side is refused."""
    path = tmp_path / "me.png"
    image = Image.new("RGB", (600, 800), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    facts = inspection.inspect(path, Limits())
    assert (facts.width, facts.height) == (800, 600)
    mask(tmp_path / "me.mask.png", size)
    if fits:
        assert masks.inspect(tmp_path / "me.mask.png", facts, Limits()).width == size[0]
    else:
        with pytest.raises(SidecarError, match="not of one shape"):
            masks.inspect(tmp_path / "me.mask.png", facts, Limits())


def test_the_record_names_the_mask() -> None:
    """The recipe of a record has mask, hash and regions where there is a mask, and nothing new where there is none."""
    masked = replace(
        PLAN,
        mask=MaskUse(name="m.mask.png", path=Path("/k/m"), sha256="7" * 64),
        styles=(replace(PLAN.styles[0], region="white"), PLAN.styles[0]),
    )
    assert describing.mask_part(PLAN) == {}
    said = {"name": "m.mask.png", "sha256": "7" * 64, "regions": ["white", None]}
    assert describing.mask_part(masked) == {"mask": said}


# ---------------------------------------------------------------- the commands


def test_stylize_takes_a_mask(tmp_path: Path) -> None:
    """`--mask` is checked as a sidecar's is, whatever it is called, and goes into the plans with regions."""
    style_image(tmp_path / "night.png")
    (tmp_path / "config.yaml").write_text(
        "presets:\n  parts: {engine: gatys, style: [{image: night.png, region: white}]}\n  all: {style: night.png}\n"
    )
    loaded = load(tmp_path / "config.yaml", {})
    path, painted = photo(tmp_path / "me.png"), mask(tmp_path / "any name.png")
    wanted = stylizing.plans(loaded, "parts", {})
    [plan] = stylizing.with_mask(loaded, path, wanted, painted)
    assert plan.mask == MaskUse(name="any name.png", path=painted, sha256=sha256_of(painted))
    with pytest.raises(UsageError, match="no style of the preset all has a region"):
        stylizing.with_mask(loaded, path, stylizing.plans(loaded, "all", {}), painted)
    with pytest.raises(UsageError, match="not of one shape"):
        stylizing.with_mask(loaded, path, wanted, mask(tmp_path / "narrow.png", (20, 60)))
    assert open_catalogue(loaded).styles["parts"][0].region == "white"


def test_reproduce_needs_the_mask_of_the_record(tmp_path: Path) -> None:
    """A record with a mask is painted again with the one that was kept, or the one given; else it says so."""
    style = style_image(tmp_path / "night.png")
    (tmp_path / "config.yaml").write_text(f"state: {tmp_path}\npresets: {{all: {{style: night.png, size: 64}}}}\n")
    loaded = load(tmp_path / "config.yaml", {})
    path, painted = photo(tmp_path / "me.png"), mask(tmp_path / "me.mask.png")
    [plan] = stylizing.plans(loaded, "all", {"iterations": 1, "refine_steps": 0, "keys": 256})
    use = MaskUse(name=painted.name, path=painted, sha256=sha256_of(painted))
    there = replace(plan, mask=use, styles=(replace(plan.styles[0], region="white"),))
    [result] = stylizing.paint(loaded, path, (there,), lambda _plan, _progress: None)
    said = {"name": "me.mask.png", "sha256": use.sha256, "regions": ["white"]}
    assert result.record.recipe["mask"] == said

    def again(given: Path | None) -> Result:
        return reproducing.repeat(result.record, loaded, path, lambda _: None, mask=given)

    with pytest.raises(UsageError, match="name it with --mask FILE"):
        again(None)
    with pytest.raises(UsageError, match="is not the mask of this record"):
        again(style)
    assert again(painted).record.recipe["mask"] == said
    (tmp_path / "styles").mkdir()
    masks.kept(use, tmp_path / "styles")
    assert again(None).record.recipe == result.record.recipe


def test_the_help_names_the_option() -> None:
    """Both commands that take a mask say so."""
    for name in ("stylize", "reproduce"):
        assert "--mask FILE" in command(name, "--help").stdout


def test_a_mask_is_decoded_as_painted(tmp_path: Path) -> None:
    """What the worker decodes of a mask are its plain colours: nothing of its profile or size is guessed."""
    picture = images.decode(mask(tmp_path / "me.mask.png"), masks.limits_of(Limits()))
    assert picture.pixels[10, 10].tolist() == [0, 0, 0]
    assert picture.pixels[10, 70].tolist() == [1, 1, 1]
