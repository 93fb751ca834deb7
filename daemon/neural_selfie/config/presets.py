"""Presets: named recipes with their styles, the sweeps they expand to, and what one photo may change of them.

Pure: no file is read here. Images are found by `catalogue.py`; this room only knows their names.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from neural_selfie.config.faults import LACKING, UNKNOWN_KEY
from neural_selfie.engine.recipe import FeedforwardRecipe, GatysRecipe, PatchRecipe, Recipe, type_of
from neural_selfie.engine.region_names import NAMES, normal_region
from neural_selfie.errors import SidecarError
from neural_selfie.files import names
from neural_selfie.model import Plan, StyleUse

VARIANTS_MAX = 1000  # of one preset; above that, somebody has mistyped
# Who drops photos chooses no files.
FOR_THE_CONFIGURATION = ("engine", "recipe", "style", "sweep", "weights", "start_image")


class StyleShare(BaseModel):
    """One style image of a preset and its share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str = Field(description="file, relative to the config file; else one of the styles that ship")
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="share in the mix")
    region: Annotated[str, AfterValidator(normal_region)] | None = Field(
        default=None,
        description=f"colour of the photo's mask where this style is used ({', '.join(NAMES)} or '#rrggbb'); "
        "null: where no other style is; only with engine gatys",
    )


def _as_shares(value: object) -> object:
    return [{"image": value}] if isinstance(value, str) else value


class _PresetFields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    style: Annotated[tuple[StyleShare, ...], BeforeValidator(_as_shares), Field(min_length=1)] = Field(
        description="a style image, or a list of {image, weight}"
    )
    format: Literal["jpg", "png", "webp"] = Field(default="jpg", description="file format of the picture")
    quality: int = Field(default=95, ge=50, le=100, description="quality of jpg and webp")
    bits: Literal[8, 16] = Field(default=8, description="for each colour; 16 is for those who edit on, in png only")
    seed: int = Field(default=0, ge=0, lt=2**63, description="the same seed makes the same picture")
    sweep: Mapping[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(
        default_factory=dict, description="number: [values]; every combination becomes a variant"
    )
    weights: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="file with the engine's network: with VGG-19 for gatys, null: what `neural-selfie models fetch` "
        "brings; with a trained network for feedforward, which always needs one",
    )

    @model_validator(mode="after")
    def _every_variant_is_a_recipe(self) -> "_PresetFields":
        kind = type_of[getattr(self, "engine", "patch")]
        faults = [fault for key, values in self.sweep.items() for fault in _faults_of_number(kind, key, values)]
        count = math.prod(len(values) for values in self.sweep.values())
        if count > VARIANTS_MAX:
            error = PydanticCustomError(
                "variants",
                "expected at most {most} variants, these are {count}",
                {"most": VARIANTS_MAX, "count": count},
            )
            faults.append(InitErrorDetails(type=error, loc=("sweep",), input={**self.sweep}))
        if self.bits > 8 and self.format != "png":  # noqa: PLR2004 - the usual depth
            shallow = PydanticCustomError("bits", "expected 8: only `format: png` holds more")
            faults.append(InitErrorDetails(type=shallow, loc=("bits",), input=self.bits))
        if isinstance(self, FeedforwardPreset) and self.weights is None:
            lacking = PydanticCustomError(LACKING, "the trained network is the style here; name its file")
            faults.append(InitErrorDetails(type=lacking, loc=("weights",), input=None))
        if isinstance(self, GatysPreset):
            faults += _faults_of_start_image(self)
        else:
            faults += _faults_of_regions(self.style)
        if faults:
            raise ValidationError.from_exception_data("sweep", faults)
        if self.sweep:  # without one, the preset's own numbers are the recipe, and they are proven
            for variant in variants(self.sweep):
                recipe_of(self, variant)
        return self


def _faults_of_number(kind: type[Recipe], key: str, values: Sequence[Any]) -> list[InitErrorDetails]:
    """Given a recipe's type and one number of a sweep with its values, return what is wrong with them."""
    numbers = [name for name in kind.model_fields if name not in FOR_THE_CONFIGURATION]
    if key not in numbers:
        unknown = PydanticCustomError(UNKNOWN_KEY, "no number of this engine", {"known": numbers})
        return [InitErrorDetails(type=unknown, loc=("sweep", key), input=values)]
    faults = []
    seen: list[Any] = []
    for index, value in enumerate(values):
        loc = ("sweep", key, index)
        try:
            number = getattr(kind.model_validate({key: value}), key)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            faults.append(InitErrorDetails(type=wrong["type"], loc=loc, input=value, ctx=wrong.get("ctx", {})))
            continue
        if number in seen:
            twice = PydanticCustomError("twice", "expected each value once")
            faults.append(InitErrorDetails(type=twice, loc=loc, input=value))
        seen.append(number)
    return faults


def _faults_of_regions(styles: Sequence[StyleShare]) -> list[InitErrorDetails]:
    """Given the styles of an engine that paints all of them everywhere, return that their regions are no use."""
    elsewhere = PydanticCustomError("region", "expected no region: only engine gatys knows regions")
    return [
        InitErrorDetails(type=elsewhere, loc=("style", number, "region"), input=share.region)
        for number, share in enumerate(styles)
        if share.region is not None
    ]


class PatchPreset(_PresetFields, PatchRecipe):
    """A preset painted by the embedded `patch` engine."""


class GatysPreset(_PresetFields, GatysRecipe):
    """A preset for the `gatys` engine."""

    start_image: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="file, relative to the config file, that `start: file` begins with"
    )


def _faults_of_start_image(preset: GatysPreset) -> list[InitErrorDetails]:
    """Given a preset, return that its start image is missing, or that it has one which no variant begins with."""
    wanted = "file" in preset.sweep.get("start", (preset.start,))
    if wanted == (preset.start_image is not None):
        return []
    error = (
        PydanticCustomError(LACKING, "`start: file` begins with this image; name a file, relative to the config file")
        if wanted
        else PydanticCustomError("start_image", "expected none, because nothing here says `start: file`")
    )
    return [InitErrorDetails(type=error, loc=("start_image",), input=preset.start_image)]


class FeedforwardPreset(_PresetFields, FeedforwardRecipe):
    """A preset for the `feedforward` engine. Its style images are not looked at: they show what it was trained on."""


def _engine_tag(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("engine", "patch"))
    return str(getattr(value, "engine", "patch"))


Preset = Annotated[
    Annotated[PatchPreset, Tag("patch")]
    | Annotated[GatysPreset, Tag("gatys")]
    | Annotated[FeedforwardPreset, Tag("feedforward")],
    Discriminator(_engine_tag),
]
AnyPreset = PatchPreset | GatysPreset | FeedforwardPreset


def _fit_for_a_folder(name: str) -> str:
    if not name.strip() or name in {".", ".."} or "/" in name or not name.isprintable():
        raise ValueError("expected a name that a folder can have")
    return name


PresetName = Annotated[str, AfterValidator(_fit_for_a_folder)]


class Rule(BaseModel):
    """Which presets the photos at a place in the inbox get."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: str = Field(min_length=1, description="glob on the path below the inbox; ** crosses folders")
    presets: tuple[str, ...] = Field(min_length=1, description="names of presets")


def _called_like_a_mask(name: str) -> str:
    plain = name.isprintable() and not set(name) & set("/\\") and not name.startswith(".")
    if not plain or not names.is_mask(PurePath(name)):
        raise ValueError("expected the name of a file beside the photo that ends in .mask.png")
    return name


class Sidecar(BaseModel):
    """The wishes for one photo, from `<photo>.yaml` beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    presets: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="names of presets; null: as without sidecar"
    )
    overrides: Mapping[str, Any] = Field(default_factory=dict, description="numbers that replace those of the presets")
    mask: Annotated[str, AfterValidator(_called_like_a_mask)] | None = Field(
        default=None,
        description="file beside the photo, NAME.mask.png: the same picture in plain colours, for styles with a region",
    )


def variants(sweep: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Given a sweep, return every combination of its values, first key slowest; one empty variant without a sweep."""
    return [dict(zip(sweep, point, strict=True)) for point in itertools.product(*sweep.values())]


def recipe_of(preset: _PresetFields, variant: Mapping[str, Any]) -> Recipe:
    """Given a preset and a point of its sweep, return the engine's recipe; raise ValidationError for a bad value."""
    kind = type_of[getattr(preset, "engine", "patch")]
    numbers = {name: getattr(preset, name) for name in kind.model_fields}
    recipe: Recipe = kind.model_validate(numbers | dict(variant))
    return recipe


def plans(
    name: str,
    preset: AnyPreset,
    styles: tuple[StyleUse, ...],
    weights: str | None = None,
    start: StyleUse | None = None,
) -> list[Plan]:
    """Given a preset and its resolved files, return one plan per variant, every number resolved.

    `start` is the preset's start image; only the variants that say `start: file` have it.
    """
    result = []
    for variant in variants(preset.sweep):
        numbers = recipe_of(preset, variant).model_dump(mode="json", exclude={"engine"})
        numbers |= {"format": preset.format, "quality": preset.quality}
        if preset.bits > 8:  # noqa: PLR2004 - the usual depth is not said, so that the keys of older jobs stay right
            numbers["bits"] = preset.bits
        result.append(
            Plan(
                preset=name,
                engine=preset.engine,
                variant=variant,
                recipe=numbers,
                styles=styles,
                seed=preset.seed,
                weights=weights,
                start=start if numbers.get("start") == "file" else None,
            )
        )
    return result


def overridden(preset: AnyPreset, overrides: Mapping[str, Any]) -> AnyPreset:
    """Given a preset and numbers for one photo, return the preset with them; raise ValidationError for bad ones.

    A swept number that is overridden is no longer swept. Raise SidecarError for what only the configuration may say,
    and for `start: file` where the preset has no image to begin with.
    """
    *others, last = FOR_THE_CONFIGURATION
    for key in FOR_THE_CONFIGURATION:
        if key in overrides:
            raise SidecarError(
                f"{key!r} cannot be set for one photo: {', '.join(others)} and {last} are up to the configuration. "
                "Ask for another preset instead."
            )
    fields = preset.model_dump(mode="python")
    if isinstance(preset, GatysPreset) and "start" in overrides:
        if overrides["start"] != "file":
            fields["start_image"] = None  # nothing asks for it any more
        elif preset.start_image is None:
            raise SidecarError(
                "'start: file' cannot be set for one photo of a preset that has no start_image: which image to begin "
                "with is up to the configuration. Ask for another preset, or another start."
            )
    fields["sweep"] = {key: values for key, values in preset.sweep.items() if key not in overrides}
    return type(preset).model_validate(fields | dict(overrides))
