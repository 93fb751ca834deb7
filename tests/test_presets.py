"""Presets: which of them a photo asks for, what a sweep expands to, and what a sidecar may change."""

from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from config_samples import settings
from neural_selfie.config import Settings
from neural_selfie.config.matching import matching
from neural_selfie.config.presets import AnyPreset, PatchPreset, Rule, Sidecar, overridden, plans, variants
from neural_selfie.engine.recipe import PatchRecipe
from neural_selfie.errors import SidecarError
from neural_selfie.model import StyleUse

HOME = settings("""
presets: {night: {style: n.jpg}, Scream: {style: s.jpg}, schöne-nacht: {style: g.jpg}, web: {style: w.jpg}}
default_presets: [web]
rules:
  - {match: "portraits/**", presets: [night, Scream, night]}
  - {match: "*.png", presets: [Scream]}
  - {match: "**/*-bw.*", presets: [night]}
  - {match: "familie müller/*", presets: [schöne-nacht]}
""")
STYLES = (StyleUse(name="n.jpg", path=Path("/n.jpg"), sha256="0" * 64),)


def asked(dropped: str, sidecar: Sidecar | None = None, home: Settings = HOME) -> tuple[str, ...]:
    """Given a path below the inbox, return the presets it asks for."""
    return matching(
        PurePath(dropped),
        sidecar=sidecar,
        rules=home.rules,
        presets=home.presets,
        default_presets=home.default_names,
    )


def preset(**numbers: Any) -> PatchPreset:
    """Return a preset with some numbers of its own."""
    return PatchPreset.model_validate({"style": "n.jpg"} | numbers)


def sweep_of(**values: list[Any]) -> list[dict[str, Any]]:
    """Return the variants of a preset with this sweep."""
    return [dict(plan.variant) for plan in plans("p", preset(sweep=values), STYLES)]


@pytest.mark.parametrize(
    ("dropped", "presets"),
    [
        ("me.jpg", ("web",)),
        ("anything/me.jpg", ("web",)),
        ("night/me.jpg", ("night",)),
        ("night/holiday/me.jpg", ("night",)),
        ("night/Scream/me.jpg", ("Scream",)),
        ("Scream/night/2017/me.jpg", ("night",)),
        ("portraits/night/me.jpg", ("night",)),
        ("portraits/me.jpg", ("night", "Scream")),
        ("portraits/2017/may/me.jpg", ("night", "Scream")),
        ("old/portraits/me.jpg", ("web",)),
        ("portraits.jpg", ("web",)),
        ("me.png", ("Scream",)),
        ("deeper/me.png", ("web",)),
        ("me-bw.jpg", ("night",)),
        ("deep/er/me-bw.jpg", ("night",)),
        ("portraits/me-bw.png", ("night", "Scream")),
    ],
)
def test_the_nearest_wish_wins(dropped: str, presets: tuple[str, ...]) -> None:
    """The innermost folder named like a preset, else the first rule that matches, else the default."""
    assert asked(dropped) == presets


@pytest.mark.parametrize("dropped", ["me.jpg", "night/me.jpg", "portraits/me.jpg"])
def test_a_sidecar_wins_over_everything(dropped: str) -> None:
    """What stands beside the photo is nearer than folder and rule; a sidecar without presets changes nothing."""
    assert asked(dropped, Sidecar(presets=("Scream", "web", "Scream"))) == ("Scream", "web")
    assert asked(dropped, Sidecar()) == asked(dropped)


def test_a_sidecar_that_asks_for_what_is_not_there() -> None:
    """An unknown preset in a sidecar is refused with the names that exist."""
    with pytest.raises(SidecarError, match=r"'nihgt', which does not exist\. There are: night, Scream, schöne-nacht"):
        asked("me.jpg", Sidecar(presets=("nihgt",)))


@pytest.mark.parametrize(
    ("dropped", "presets"),
    [
        ("NIGHT/me.jpg", ("night",)),
        ("scream/me.jpg", ("Scream",)),
        ("Portraits/Me.JPG", ("night", "Scream")),
        ("ME.PNG", ("Scream",)),
        ("Scho\u0308ne-Nacht/me.jpg", ("schöne-nacht",)),
        ("Familie Mu\u0308ller/me.jpg", ("schöne-nacht",)),
    ],
)
def test_capitals_and_accents_do_not_matter(dropped: str, presets: tuple[str, ...]) -> None:
    """Phones write capitals and Macs take accents apart: folders and globs mean the same all the same."""
    assert asked(dropped) == presets


def test_of_presets_alike_the_exact_one_is_meant() -> None:
    """Where two presets differ only in capitals, each folder finds its own, and any other spelling the first."""
    home = settings("presets: {Night: {style: a}, night: {style: b}}")
    assert [asked(f"{name}/me.jpg", home=home) for name in ("Night", "night", "NIGHT")] == [
        ("Night",),
        ("night",),
        ("Night",),
    ]


def test_a_file_called_like_a_preset_is_no_folder() -> None:
    """Only folders ask for presets, not the photo's own name."""
    assert asked("night") == ("web",)


@hypothesis_settings(max_examples=200)
@given(st.text("ab*?[]!{},()|\\/.-^+@~é\n", min_size=1, max_size=12), st.text("abé./\udcff[", min_size=1, max_size=10))
def test_any_glob_and_any_name_can_be_compared(pattern: str, name: str) -> None:
    """No rule and no file name, also one that is not UTF-8, stops the daemon."""
    found = matching(
        PurePath(name),
        sidecar=None,
        rules=[Rule(match=pattern, presets=("night",))],
        presets=HOME.presets,
        default_presets=("web",),
    )
    assert found in {("night",), ("web",)}


def test_a_sweep_expands_in_order() -> None:
    """Every combination comes once, the first number slowest, the values in the order of the file."""
    assert sweep_of(content_weight=[0.6, 0.2], style_scale=[1, 0.5, 2]) == [
        {"content_weight": 0.6, "style_scale": 1},
        {"content_weight": 0.6, "style_scale": 0.5},
        {"content_weight": 0.6, "style_scale": 2},
        {"content_weight": 0.2, "style_scale": 1},
        {"content_weight": 0.2, "style_scale": 0.5},
        {"content_weight": 0.2, "style_scale": 2},
    ]


def test_without_a_sweep_there_is_one_plan() -> None:
    """A preset without sweep makes one picture, whose variant is empty."""
    assert sweep_of() == [{}]
    assert variants({}) == [{}]


def test_a_plan_holds_every_number() -> None:
    """The recipe of a plan is complete: the engine's defaults, the preset's own numbers, the variant's, the file's."""
    made = plans("p", preset(size=80, sweep={"colour": [0, 1]}, seed=7, format="png"), STYLES)
    assert [(plan.preset, plan.engine, plan.seed, plan.styles) for plan in made] == [("p", "patch", 7, STYLES)] * 2
    numbers = set(PatchRecipe.model_fields) - {"engine"} | {"format", "quality"}
    assert all(set(plan.recipe) == numbers for plan in made)
    assert [plan.recipe["colour"] for plan in made] == [0.0, 1.0]
    assert made[0].recipe["size"] == 80
    assert made[0].recipe["patch_px"] == PatchRecipe().patch_px
    assert (made[0].recipe["format"], made[0].recipe["quality"]) == ("png", 95)


def test_sixteen_bits_are_for_png() -> None:
    """A plan says more than 8 bits and nothing else, so that jobs of older ledgers stay what they are; jpg has none."""
    assert plans("p", preset(format="png", bits=16), STYLES)[0].recipe["bits"] == 16
    assert "bits" not in plans("p", preset(format="png"), STYLES)[0].recipe
    with pytest.raises(ValidationError, match="only `format: png` holds more"):
        preset(bits=16)


@given(
    st.dictionaries(
        st.sampled_from(["size", "keys", "seed", "engine", "style", "sweep", "nonsense"]),
        st.lists(st.integers() | st.none() | st.text(max_size=3), max_size=4),
        max_size=3,
    )
)
@hypothesis_settings(max_examples=100)
def test_a_sweep_is_refused_or_every_variant_of_it_is_a_recipe(sweep: dict[str, list[Any]]) -> None:
    """What is accepted as a sweep expands to as many different plans as its grid has points."""
    try:
        made = preset(sweep=sweep)
    except ValidationError:
        return
    expanded = plans("p", made, STYLES)
    points = 1
    for values in sweep.values():
        points *= len(values)
    assert len(expanded) == points
    assert len({str(plan.recipe) for plan in expanded}) == points


def test_overrides_replace_numbers() -> None:
    """A number of a sidecar replaces the preset's, also format and quality; the preset itself stays as it was."""
    plain = preset(size=80)
    changed = overridden(plain, {"size": 90, "content_weight": 0.9, "format": "webp"})
    assert (changed.size, changed.content_weight, changed.format) == (90, 0.9, "webp")
    assert plain == preset(size=80)
    assert changed.style == plain.style


def test_an_overridden_number_is_no_longer_swept() -> None:
    """The other numbers of the sweep still are."""
    swept = preset(sweep={"content_weight": [0.2, 0.6], "style_scale": [0.5, 1.0]})
    changed = overridden(swept, {"content_weight": 3.8})
    assert [plan.variant for plan in plans("p", changed, STYLES)] == [{"style_scale": 0.5}, {"style_scale": 1.0}]
    assert {plan.recipe["content_weight"] for plan in plans("p", changed, STYLES)} == {3.8}


@pytest.mark.parametrize("key", ["engine", "style", "sweep", "weights", "start_image"])
def test_what_reads_other_files_cannot_be_overridden(key: str) -> None:
    """Whoever may drop photos cannot make the daemon open a file of their choice, nor paint a grid without end."""
    one: AnyPreset = preset()
    with pytest.raises(SidecarError) as caught:
        overridden(one, {"size": 80, key: "/etc/passwd"})
    assert str(caught.value) == (
        f"'{key}' cannot be set for one photo: engine, recipe, style, sweep, weights and start_image are up to the "
        "configuration. Ask for another preset instead."
    )


def test_a_bad_override_is_refused() -> None:
    """Unknown numbers and values out of range are refused, as they are in the configuration."""
    for overrides in ({"sise": 80}, {"size": 1}, {"content_weight": float("nan")}, {"size": {"a": 1}}, {"": 1}):
        with pytest.raises(ValidationError):
            overridden(preset(), overrides)
