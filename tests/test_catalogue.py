"""The presets ready for use: style images found, proven, kept; sidecars read; the plans that a photo asks for."""

import hashlib
from pathlib import Path, PurePath

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from config_samples import style_image
from neural_selfie import styles
from neural_selfie.config import Loaded, load, sidecars
from neural_selfie.config.catalogue import Catalogue, find_style, open_catalogue, sha256_of
from neural_selfie.errors import ConfigError, PermissionDeniedError, SidecarError, StorageUnavailableError

HOME = """
presets:
  night: {style: night.png, size: 80, sweep: {content_weight: [0.2, 0.6], style_scale: [0.5, 1.0]}}
  both: {style: [{image: night.png, weight: 0.7}, {image: more/web.png, weight: 0.3}], size: 90}
"""


def home(folder: Path, text: str = HOME) -> Loaded:
    """Given a folder, write a configuration and two style images into it, and load it."""
    style_image(folder / "night.png", "navy")
    style_image(folder / "more" / "web.png", "green")
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml", {})


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """The presets of HOME."""
    return open_catalogue(home(tmp_path))


def refusal(folder: Path, text: str) -> str:
    """Given a configuration whose styles are wrong, return what is said about it."""
    with pytest.raises(ConfigError) as caught:
        open_catalogue(home(folder, text))
    return str(caught.value)


# ---------------------------------------------------------------- style images


def test_styles_are_found_beside_the_file_and_hashed(catalogue: Catalogue, tmp_path: Path) -> None:
    """Each preset has its style files with the hash of their bytes and their share."""
    night, web = tmp_path / "night.png", tmp_path / "more" / "web.png"
    assert [(use.path, use.sha256, use.weight) for use in catalogue.styles["both"]] == [
        (night, hashlib.sha256(night.read_bytes()).hexdigest(), 0.7),
        (web, sha256_of(web), 0.3),
    ]
    assert [use.name for use in catalogue.styles["night"]] == ["night.png"]


def test_own_styles_come_before_those_that_ship(tmp_path: Path) -> None:
    """A name is looked up beside the config file first, then among the shipped styles; an absolute one as it is."""
    shipped = styles.folder().parent
    assert find_style("styles/fields.py", tmp_path, preset="p") == shipped / "styles/fields.py"
    assert find_style("styles/fields.py", None, preset="p") == shipped / "styles/fields.py"
    own = style_image(tmp_path / "styles" / "fields.png").rename(tmp_path / "styles" / "fields.py")
    assert find_style("styles/fields.py", tmp_path, preset="p") == own
    assert find_style(str(own), Path("/nowhere"), preset="p") == own


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A style in the home of the user can be named with `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    own = style_image(tmp_path / "night.png")
    assert find_style("~/night.png", Path("/nowhere"), preset="p") == own


@pytest.mark.parametrize("name", ["gone.jpg", "more", "", "a\0b", "x" * 5000, "~no-such-user/x.jpg", "../gone.jpg"])
def test_a_missing_style_is_named_with_its_preset(tmp_path: Path, name: str) -> None:
    """A style that is not there ends in ConfigError naming preset, file, and where it was looked for."""
    with pytest.raises(ConfigError) as caught:
        find_style(name, tmp_path, preset="night")
    assert str(caught.value).startswith(f"presets.night.style: {name!r} is not there; looked in ")
    assert str((tmp_path / name).parent) in str(caught.value) or name.startswith("~")


def test_a_style_that_is_no_picture(tmp_path: Path) -> None:
    """A style that does not decode ends in ConfigError naming preset, file and what is wrong with it."""
    broken = tmp_path / "broken.png"
    whole = style_image(tmp_path / "whole.png", size=(400, 300)).read_bytes()
    for content in (b"", b"not a picture", whole[: len(whole) // 2]):
        broken.write_bytes(content)
        said = refusal(tmp_path, "presets: {night: {style: night.png}, bad: {style: broken.png}}")
        assert said.startswith(f"presets.bad.style: {broken} cannot be used: ")
        assert "Traceback" not in said
        assert len(said) > len(f"presets.bad.style: {broken} cannot be used: ") + 10


def test_a_style_that_is_too_small(tmp_path: Path) -> None:
    """A style image of a few pixels has no strokes to take: refused with preset and file."""
    style_image(tmp_path / "dot.png", size=(8, 8))
    assert refusal(tmp_path, "presets: {a: {style: dot.png}}").startswith(
        f"presets.a.style: {tmp_path / 'dot.png'} cannot be used: "
    )


def test_a_link_to_a_style_is_followed(tmp_path: Path) -> None:
    """The owner of the configuration may link styles; only photos are never followed."""
    (tmp_path / "link.png").symlink_to(style_image(tmp_path / "far" / "away.png", "red"))
    opened = open_catalogue(home(tmp_path, "presets: {a: {style: link.png}}"))
    assert opened.styles["a"][0].sha256 == sha256_of(tmp_path / "far" / "away.png")


def test_only_the_presets_that_are_wanted_are_opened(tmp_path: Path) -> None:
    """One preset can be used although the style of another is missing."""
    loaded = home(tmp_path, "presets: {night: {style: night.png}, bad: {style: gone.png}}")
    assert list(open_catalogue(loaded, ("night",)).styles) == ["night"]


def test_kept_styles_lie_under_their_hash(catalogue: Catalogue, tmp_path: Path) -> None:
    """What a queued job needs is copied once, named by content, and outlives the file that the owner sees."""
    room = tmp_path / "state" / "styles"
    room.mkdir(parents=True)
    kept = catalogue.kept_in(room)
    night, web = (sha256_of(tmp_path / name) for name in ("night.png", "more/web.png"))
    assert sorted(path.name for path in room.iterdir()) == sorted([f"{night}.png", f"{web}.png"])
    style_image(tmp_path / "night.png", "red")
    use = kept.styles["both"][0]
    assert (use.path, use.sha256, use.name, use.weight) == (room / f"{night}.png", night, "night.png", 0.7)
    assert sha256_of(use.path) == night
    before = {path: path.stat().st_mtime_ns for path in room.iterdir()}
    assert catalogue.kept_in(room).styles == kept.styles
    assert before == {path: path.stat().st_mtime_ns for path in room.iterdir()}


def test_a_style_that_changes_meanwhile_is_not_kept_under_a_wrong_hash(catalogue: Catalogue, tmp_path: Path) -> None:
    """A style overwritten between hashing and copying stops the start instead of lying in every record."""
    room = tmp_path / "state" / "styles"
    room.mkdir(parents=True)
    style_image(tmp_path / "night.png", "red")
    with pytest.raises(ConfigError, match=r"night\.png changed while it was read"):
        catalogue.kept_in(room)
    assert not list(room.iterdir())


def test_a_room_that_is_gone_is_told(catalogue: Catalogue, tmp_path: Path) -> None:
    """Without the state folder's room for styles nothing is kept, and the reason is a sentence."""
    with pytest.raises((StorageUnavailableError, PermissionDeniedError), match="cannot be written"):
        catalogue.kept_in(tmp_path / "gone")


# ---------------------------------------------------------------- plans and sidecars


def test_plans_of_a_photo(catalogue: Catalogue) -> None:
    """Every picture that a photo asks for comes in order: preset by preset, variant by variant."""
    made = catalogue.plans_for(PurePath("me.jpg"), "presets: [both, night]\n")
    assert [(plan.preset, dict(plan.variant)) for plan in made] == [
        ("both", {}),
        ("night", {"content_weight": 0.2, "style_scale": 0.5}),
        ("night", {"content_weight": 0.2, "style_scale": 1.0}),
        ("night", {"content_weight": 0.6, "style_scale": 0.5}),
        ("night", {"content_weight": 0.6, "style_scale": 1.0}),
    ]
    assert [style.weight for style in made[0].styles] == [0.7, 0.3]
    assert made == catalogue.plans_for(PurePath("me.jpg"), "presets: [both, night]\noverrides: {}\n")
    assert len(catalogue.plans_for(PurePath("both/me.jpg"))) == 1


def test_a_sidecar_changes_numbers_for_one_photo(catalogue: Catalogue) -> None:
    """Overrides reach every preset of the photo; a number that is overridden is no longer swept."""
    made = catalogue.plans_for(PurePath("me.jpg"), "presets: [night, both]\noverrides: {style_scale: 2, size: 128}\n")
    assert [dict(plan.variant) for plan in made] == [{"content_weight": 0.2}, {"content_weight": 0.6}, {}]
    assert {(plan.recipe["style_scale"], plan.recipe["size"]) for plan in made} == {(2.0, 128)}
    assert {plan.recipe["size"] for plan in catalogue.plans_for(PurePath("both/me.jpg"))} == {90}


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "presets: null\n"])
def test_an_empty_sidecar_changes_nothing(catalogue: Catalogue, text: str) -> None:
    """A sidecar without wishes is no sidecar."""
    assert catalogue.plans_for(PurePath("me.jpg"), text) == catalogue.plans_for(PurePath("me.jpg"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("preset: [night]\n", "sidecar, line 1: preset: unknown key; did you mean 'presets'?"),
        (
            "presets: [nihgt]\n",
            "the sidecar asks for the preset 'nihgt', which does not exist. There are: night, both.",
        ),
        ("presets: night\n", "sidecar, line 1: presets: 'night' is not right: expected a list, such as [one, two]"),
        ("presets: []\n", "sidecar, line 1: presets: [] is not right: expected at least one"),
        ("overrides: 3\n", "sidecar, line 1: overrides: 3 is not right: expected `key: value` lines"),
        (
            "overrides: {contentweight: 1}\n",
            "overrides of the preset night: contentweight: unknown key; did you mean 'content_weight'?",
        ),
        (
            "overrides: {size: 1}\n",
            "overrides of the preset night: size: 1 is not right: expected greater than or equal to 64 (long edge of",
        ),
        ("overrides: {style: /etc/passwd}\n", "'style' cannot be set for one photo: engine, recipe, style, "),
        ("overrides: {weights: /etc/passwd}\n", "'weights' cannot be set for one photo"),
        ("overrides: {engine: gatys}\n", "'engine' cannot be set for one photo"),
        ("overrides: {sweep: {size: [80]}}\n", "'sweep' cannot be set for one photo"),
        ("night\n", "sidecar: expected `key: value` lines, found a text."),
        ("presets: [night\n", "sidecar, line 2: not valid YAML: expected ',' or ']', but got '<stream end>'."),
        ("presets: !!python/name:os.system\n", "sidecar, line 1: not valid YAML: could not determine a constructor"),
        ('overrides: {"\\ud800": 1}\n', r"sidecar, line 1: the key '\ud800' is no text to YAML"),
        ('overrides: {"a\\nb": 1}\n', r"overrides of the preset night: a\nb: unknown key"),
        ("#" * 20_000, "the sidecar is too long: 16 KiB are the limit."),
        ("a: &a [1, *a]\n", "sidecar: not valid YAML: nested too deeply, or part of itself."),
    ],
)
def test_a_sidecar_that_is_wrong_is_explained(catalogue: Catalogue, text: str, said: str) -> None:
    """Whoever dropped the photo reads what in the sidecar is wrong and what would be right."""
    with pytest.raises(SidecarError) as caught:
        catalogue.plans_for(PurePath("me.jpg"), text)
    assert str(caught.value).startswith(said)
    assert str(caught.value).encode()


@hypothesis_settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.sampled_from(
            ["presets: ", "overrides: ", "[night", "]", "{", "}", "size: ", "80", ", ", "\n", "*a", "&a ", "<<: "]
        )
        | st.text(max_size=3),
        max_size=12,
    )
)
def test_any_sidecar_is_obeyed_or_explained(catalogue: Catalogue, parts: list[str]) -> None:
    """Whatever lies beside a photo, the daemon goes on: plans, or a SidecarError that can be written down."""
    answer: object
    try:
        answer = catalogue.plans_for(PurePath("me.jpg"), "".join(parts))
    except SidecarError as error:
        answer = str(error).encode()
    assert answer


def test_reading_a_sidecar_keeps_what_it_says() -> None:
    """A sidecar's presets and overrides arrive as they were written."""
    sidecar = sidecars.read("presets: [a, b]\noverrides:\n  size: 80\n  format: png\n")
    assert (sidecar.presets, dict(sidecar.overrides)) == (("a", "b"), {"size": 80, "format": "png"})
