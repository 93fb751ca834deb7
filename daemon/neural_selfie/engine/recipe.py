"""The numbers of each engine: every default once, with its source. Free of torch: the configuration reads this too.

A recipe is frozen and refuses unknown names; `size` is the long edge of the result in pixels, for every engine.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Layer = Annotated[str, Field(pattern=r"^(conv|relu)([12]_[12]|[345]_[1-4])$")]
Share = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


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
    iterations: int = Field(
        default=3, ge=1, le=20, description="matching passes at each coarse scale; fine ones have one"
    )
    # GPNN's alpha: smaller spreads the style's patches more evenly, larger allows more of the same.
    coverage: float = Field(default=0.005, gt=0, le=10, description="how freely one style patch may be used again")
    keys: int = Field(default=8000, ge=256, le=200_000, description="style patches compared at each scale")
    dimensions: int = Field(default=24, ge=4, le=147, description="numbers that describe a patch when compared")
    # By eye: without joins strokes are blurred, with more the photo's own lines go.
    joins: int = Field(default=1, ge=0, le=8, description="passes in which patches try to continue their neighbours'")
    # GPDM takes 300 small steps at every scale; as each of these moves all that lacks, a few do (by eye and score).
    scale_steps: int = Field(default=8, ge=0, le=100, description="sharpening steps at each scale but the last")
    scale_rate: float = Field(default=0.5, ge=0, le=1, description="share of the lack that such a step gives back")
    refine_steps: int = Field(default=8, ge=0, le=100, description="sharpening steps at the last scale")
    refine_rate: float = Field(default=1.0, ge=0, le=1, description="share of the lack that such a step gives back")
    # By eye: 0 leaves the grain of averaged patches in the strokes, above 4 they turn to wax.
    comb_px: float = Field(default=3.0, ge=0, le=16, description="how far strokes are drawn through, px")
    refine_px: int = Field(default=16, ge=8, le=256, description="short edge of the coarsest octave they sharpen, px")
    coarse_steps: int = Field(
        default=4, ge=0, le=50, description="further steps for the coarse octaves in each sharpening step"
    )
    # By eye and score: 0.1 keeps windows and eyes, from 0.3 on they are the photo's and no longer painted.
    forms: float = Field(default=0.1, ge=0, le=2, description="how strongly the photo's forms are held meanwhile")
    contrast: float = Field(
        default=1.0, ge=0, le=1, description="how far the contrast of each octave is brought to the style's"
    )


class GatysRecipe(_Recipe):
    """Numbers of the `gatys` engine: an image optimised until VGG-19 sees photo and style in it.

    `recipe` names a set of numbers; each can be given beside it and then counts instead. Sources: Gatys = Gatys, Ecker
    and Bethge 2015 (arXiv 1508.06576); tutorial = PyTorch's "Neural Transfer Using PyTorch"; Crowson =
    style-transfer-pytorch; SPST = Galerne et al. 2024. Weights multiply losses whose values the trace shows.
    """

    engine: Literal["gatys"] = "gatys"

    recipe: Literal["default", "tutorial", "paper", "gatys-2015"] = Field(
        default="default", description="a named set of the numbers below; what is given beside it counts instead"
    )
    # Crowson's 0.015 beside a style weight of 1, both times 40: so the first post's 0.2 to 3.8 span what is useful.
    content_weight: float = Field(default=0.6, ge=0, le=1_000_000, description="how much of the photo stays")
    style_weight: float = Field(default=40.0, ge=0, le=1_000_000_000, description="how much of the style comes")
    tv_weight: float = Field(default=80.0, ge=0, le=1_000_000, description="how smooth the picture is: total variation")
    tv: Literal["two-point", "nine-point"] = Field(default="nine-point", description="between which pixels that counts")
    content_layers: Mapping[Layer, Share] = Field(
        default={"relu4_2": 1.0}, description="layers of VGG-19 that see the photo, and their weights"
    )
    style_layers: Mapping[Layer, Share] = Field(
        # Crowson's 256:64:16:4:1, with sum 1
        default={"relu1_1": 0.75, "relu2_1": 0.188, "relu3_1": 0.047, "relu4_1": 0.012, "relu5_1": 0.003},
        min_length=1,
        description="layers that see the style, and their weights",
    )
    style_loss: Literal["w2", "gram"] = Field(
        default="w2", description="distance of two styles: of feature Gaussians (W2), or of Gram matrices"
    )
    content_loss: Literal["mean", "half-sum"] = Field(
        default="mean", description="squared difference of features: its mean, or half its sum as in Gatys' paper"
    )
    pooling: Literal["max", "average", "l2"] = Field(default="max", description="how VGG-19 halves its features")
    rescale: bool = Field(default=True, description="undo what another pooling does to the size of features")
    padding: Literal["as-trained", "zeros", "replicate", "reflect"] = Field(
        default="replicate", description="what the network sees beyond the borders"
    )
    start: Literal["photo", "noise", "grey", "style", "file"] = Field(
        default="photo",
        description="the image to begin with; file: that of start_image, stretched to the photo's shape",
    )
    colours: Literal["style", "luminance", "histogram", "linear"] = Field(
        default="style", description="whose colours: the style's, or the photo's kept in one of three ways"
    )
    protect: Literal["none", "faces"] = Field(default="none", description="what keeps more of the photo")
    protect_weight: float = Field(default=6.0, ge=0, le=1000, description="how much more of it counts there")

    optimiser: Literal["lbfgs", "adam", "torch-lbfgs"] = Field(
        default="lbfgs",
        description="lbfgs: preconditioned, with bounds; adam: with averaged iterates; torch-lbfgs: as the tutorial",
    )
    iterations: int = Field(default=40, ge=1, le=100_000, description="evaluations of the loss at the finest scale")
    coarse_iterations: int = Field(
        default=120, ge=1, le=100_000, description="and at the coarsest; between them between"
    )
    coarsest_px: int = Field(default=128, ge=32, le=16384, description="long edge of the coarsest scale, px")
    scale_ratio: float = Field(default=0.7, ge=0.25, le=0.9, description="each scale's size as a share of the next")
    tolerance: float = Field(
        default=2e-4,
        ge=0,
        lt=1,
        description="a scale ends when ten evaluations improve the loss by less per evaluation",
    )
    rate: float = Field(default=0.02, gt=0, le=10, description="step size of adam")
    average: float = Field(default=0.99, ge=0, lt=1, description="how slowly adam's average forgets; 0: no average")
    history: int = Field(default=80, ge=1, le=200, description="steps that lbfgs remembers")
    arithmetic: Literal["fast", "direct"] = Field(
        default="fast", description="fast: Winograd on the CPU, TF32 on the GPU; direct: plain float32 convolutions"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="numbers in the network; bf16 is for GPUs that have it, auto is fp32"
    )
    memory: Literal["auto", "full", "checkpoint", "tiles"] = Field(
        default="auto", description="what to keep of the network's features; auto is what fits"
    )
    tile_px: int = Field(default=1024, ge=128, le=16384, description="edge of a tile, px")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_the_named_set(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("recipe"), str):
            return {**NAMED_SETS.get(data["recipe"], {}), **data}
        return data


_SINGLE_SCALE: dict[str, Any] = {"coarsest_px": 16384, "tolerance": 0.0, "tv_weight": 0.0, "arithmetic": "direct"}
_TUTORIAL: dict[str, Any] = _SINGLE_SCALE | {
    "content_weight": 1.0,
    "style_weight": 1e6,
    "content_layers": {"conv2_2": 1.0},
    "style_layers": {"conv1_1": 1.0, "conv1_2": 1.0, "conv2_1": 1.0, "conv2_2": 1.0, "conv3_1": 1.0},
    "style_loss": "gram",
    "padding": "as-trained",
    "optimiser": "torch-lbfgs",
    "iterations": 300,
    "history": 100,
}
_PAPER: dict[str, Any] = _TUTORIAL | {
    "content_layers": {"relu4_2": 1.0},
    "style_layers": dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 1.0),
}
NAMED_SETS: Mapping[str, Mapping[str, Any]] = {
    "tutorial": _TUTORIAL,
    "paper": _PAPER,  # the paper's layers in the tutorial's loss
    "gatys-2015": _PAPER
    | {
        # Equations 1, 4, 5, 7: Gram matrices not divided by channels, hence C²/4 of ours; five layers; α/β 1e-3.
        "content_weight": 1.0,
        "style_weight": 1000.0,
        "style_layers": {
            "relu1_1": 64**2 / 20,
            "relu2_1": 128**2 / 20,
            "relu3_1": 256**2 / 20,
            "relu4_1": 512**2 / 20,
            "relu5_1": 512**2 / 20,
        },
        "content_loss": "half-sum",
        "pooling": "average",
        "rescale": False,
        "start": "noise",
    },
}


class FeedforwardRecipe(_Recipe):
    """Numbers of the `feedforward` engine: one pass through a network trained for one style; its file is the style."""

    engine: Literal["feedforward"] = "feedforward"

    content_weight: float = Field(default=0.0, ge=0, le=1, description="share of the photo that shines through")
    style_scale: float = Field(default=1.0, ge=0.1, le=4, description="size of the strokes; 1 = as they were trained")
    colours: Literal["style", "luminance"] = Field(
        default="style", description="whose colours: the style's, or the photo's kept"
    )
    memory: Literal["auto", "full", "tiles"] = Field(default="auto", description="paint in tiles; auto is what fits")
    tile_px: int = Field(default=1024, ge=128, le=16384, description="edge of a tile, px")


type_of: dict[str, type[PatchRecipe | GatysRecipe | FeedforwardRecipe]] = {
    "patch": PatchRecipe,
    "gatys": GatysRecipe,
    "feedforward": FeedforwardRecipe,
}
Recipe = PatchRecipe | GatysRecipe | FeedforwardRecipe
NETWORKED = frozenset({"gatys", "feedforward"})  # engines that need a file of weights

# The numbers in which recipes may differ that are painted as one batch; in all others they are equal.
BATCHED = ("content_weight", "style_weight", "tv_weight", "style_scale")
PATCH_BATCHED = ("content_weight", "forms", "contrast")
BATCHED_OF: Mapping[str, tuple[str, ...]] = {"gatys": BATCHED, "patch": PATCH_BATCHED}


def apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Given the numbers of two recipes, return the names of those in which they differ."""
    return {key for key in one.keys() | other.keys() if key not in one or key not in other or one[key] != other[key]}


def alike(one: Recipe, other: Recipe) -> bool:
    """Given two recipes, say whether their pictures of one photo can be painted as one batch."""
    free = set(BATCHED_OF.get(one.engine, ()))
    return bool(free) and type(one) is type(other) and apart(one.model_dump(), other.model_dump()) <= free
