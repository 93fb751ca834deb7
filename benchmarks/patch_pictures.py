"""Makes the strips of `patch`'s knobs and its portraits in `benchmarks/results/`.

python benchmarks/patch_pictures.py        (needs the `demo` extra; some minutes on two cores)
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from neural_selfie import styles
from neural_selfie.engine import PatchRecipe, stylize

RESULTS = Path(__file__).parent / "results"
SIZE_PX, CELL_PX, GAP_PX, CAPTION_PX = 448, 288, 4, 22
PHOTO, STYLE = "astronaut", "starry-night"
KNOBS: dict[str, tuple[float, ...]] = {
    "content_weight": (0.03, 0.3, 1.0, 4.0),
    "style_scale": (0.5, 1.0, 1.5, 2.5),
    "detail": (0.0, 0.5, 1.0, 2.0),
    "colour": (0.0, 0.3, 0.6, 1.0),
}
PORTRAITS = ("starry-night", "scream", "stained-glass", "woodcut", "pointillist", "spider-web")


def tensor(image: Image.Image) -> torch.Tensor:
    """Given an image, return it as (3, H, W), 0..1."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def painted(style: str, **numbers: Any) -> Image.Image:
    """Return scikit-image's astronaut in a style that ships."""
    with Image.open(styles.image_path(style)) as picture:
        wanted = tensor(picture)
    photo = tensor(Image.fromarray(getattr(data, PHOTO)()))
    done = stylize(photo, [(wanted, 1.0)], PatchRecipe(size=SIZE_PX, **numbers), device="cpu").image
    return Image.fromarray((done.permute(1, 2, 0).numpy() * 255).round().astype("uint8"))


def sheet(cells: list[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """Given captions and pictures, return them in rows, each over its caption."""
    rows = -(-len(cells) // columns)
    wide, high = CELL_PX + GAP_PX, CELL_PX + CAPTION_PX
    whole = Image.new("RGB", (columns * wide - GAP_PX, rows * high), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(14)
    for number, (caption, picture) in enumerate(cells):
        left, top = number % columns * wide, number // columns * high
        whole.paste(picture.resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS), (left, top))
        pen.text((left + CELL_PX // 2, top + CELL_PX + CAPTION_PX // 2), caption, "black", font, "mm")
    return whole


def main() -> None:
    """Paint and write every sheet."""
    for knob, values in KNOBS.items():
        cells = [(f"{knob}: {value:g}", painted(STYLE, **{knob: value})) for value in values]
        sheet(cells, len(cells)).save(RESULTS / f"patch-{knob}.jpg", quality=78)
    sheet([(name, painted(name)) for name in PORTRAITS], 3).save(RESULTS / "patch-portraits.jpg", quality=78)


if __name__ == "__main__":
    main()
