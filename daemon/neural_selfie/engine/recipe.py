"""The numbers of each engine: every default once, with its source. Free of torch: the configuration reads this too.

A recipe is frozen and refuses unknown names; `size` is the long edge of the result in pixels, for every engine.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Recipe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=1024, ge=64, le=16384, description="long edge of the result, px")
    content_weight: float = Field(default=0.3, ge=0, le=100, description="how much of the photo stays")
    style_scale: float = Field(default=1.0, ge=0.1, le=4, description="size of the strokes; 1 = as in the style image")


class PatchRecipe(_Recipe):
    """Numbers of the `patch` engine."""

    engine: Literal["patch"] = "patch"


class GatysRecipe(_Recipe):
    """Numbers of the `gatys` engine that presets can already name; the engine itself is not in this version."""

    engine: Literal["gatys"] = "gatys"


class FeedforwardRecipe(_Recipe):
    """Numbers of the `feedforward` engine that presets can already name; the engine itself is not in this version."""

    engine: Literal["feedforward"] = "feedforward"


type_of = {"patch": PatchRecipe, "gatys": GatysRecipe, "feedforward": FeedforwardRecipe}
Recipe = PatchRecipe | GatysRecipe | FeedforwardRecipe
