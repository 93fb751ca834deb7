"""The numbers of each engine: every default once, with its source. Free of torch: the configuration reads this too.

A recipe is frozen and refuses unknown names; `size` is the long edge of the result in pixels, for every engine.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Recipe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    size: int = Field(default=1024, ge=64, le=16384, description="long edge of the result, px")
    content_weight: float = Field(default=0.3, ge=0, le=100, description="how much of the photo stays")
    style_scale: float = Field(default=1.0, ge=0.1, le=4, description="size of the strokes; 1 = as in the style image")


class PatchRecipe(_Recipe):
    """Numbers of the `patch` engine. The first five are for people, the rest is for those who know the method.

    Sources: GPNN = Granot et al. 2022 (arXiv 2103.15545), GPDM = Elnekave and Weiss 2022 (arXiv 2203.11862);
    "by eye" = chosen by looking at three photos and a portrait in four styles.
    """

    engine: Literal["patch"] = "patch"

    colour: float = Field(
        default=1.0, ge=0, le=1, description="how far the photo's colours move to the style's; 0 keeps the photo's"
    )
    detail: float = Field(default=0.5, ge=0, le=2, description="how strongly the photo's fine lines are drawn")
    edges: float = Field(default=3.5, ge=0, le=10, description="how much more of the photo stays along its edges")
    faces: float = Field(default=1.0, ge=0, le=10, description="how much more of the photo stays where faces may be")

    # By eye: without it, each larger size looks more like the photo, for its finest lines are nobody's brush.
    drawn_px: int = Field(default=384, ge=64, le=16384, description="short edge from which the photo is drawn less, px")

    # 7 px as in GPNN; 0.7 and 40 px by eye: GPNN's 0.75 from 200 px leaves large strokes out.
    patch_px: int = Field(default=7, ge=3, le=15, description="edge of the square patches that are matched, px")
    scale_ratio: float = Field(default=0.7, ge=0.4, le=0.9, description="each scale's size as a share of the next")
    coarsest_px: int = Field(default=40, ge=16, le=256, description="short edge of the coarsest scale, px")
    iterations: int = Field(default=3, ge=1, le=20, description="matching passes at each scale")
    # GPNN's alpha: smaller spreads the style's patches more evenly, larger allows more of the same.
    coverage: float = Field(default=0.005, gt=0, le=10, description="how freely one style patch may be used again")
    keys: int = Field(default=8000, ge=256, le=200_000, description="style patches compared at each scale")
    dimensions: int = Field(default=24, ge=4, le=147, description="numbers that describe a patch when compared")
    # By eye: without joins strokes are blurred, with more the photo's own lines go.
    joins: int = Field(default=1, ge=0, le=8, description="passes in which patches try to continue their neighbours'")
    # GPDM takes 300 small steps at every scale; as each of these moves all that lacks, a few do (by eye and score).
    scale_steps: int = Field(default=8, ge=0, le=100, description="sharpening steps at each scale but the last")
    scale_rate: float = Field(default=0.5, ge=0, le=1, description="share of the lack that such a step gives back")
    refine_steps: int = Field(default=16, ge=0, le=100, description="sharpening steps at the last scale")
    refine_rate: float = Field(default=1.0, ge=0, le=1, description="share of the lack that such a step gives back")
    # By eye: 0 leaves the grain of averaged patches in the strokes, above 4 they turn to wax.
    comb_px: float = Field(default=3.0, ge=0, le=16, description="how far strokes are drawn through, px")
    refine_px: int = Field(default=32, ge=8, le=256, description="short edge of the coarsest octave they sharpen, px")


class GatysRecipe(_Recipe):
    """Numbers of the `gatys` engine that presets can already name; the engine itself is not in this version."""

    engine: Literal["gatys"] = "gatys"


class FeedforwardRecipe(_Recipe):
    """Numbers of the `feedforward` engine that presets can already name; the engine itself is not in this version."""

    engine: Literal["feedforward"] = "feedforward"


type_of: dict[str, type[PatchRecipe | GatysRecipe | FeedforwardRecipe]] = {
    "patch": PatchRecipe,
    "gatys": GatysRecipe,
    "feedforward": FeedforwardRecipe,
}
Recipe = PatchRecipe | GatysRecipe | FeedforwardRecipe
