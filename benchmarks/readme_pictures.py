"""Makes `benchmarks/results/photo-style-painting.jpg`, the picture at the top of the README: photo, style, painting.

python benchmarks/readme_pictures.py        (needs the `demo` extra; some minutes on two cores)
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

from neural_selfie import styles
from neural_selfie.engine import PatchRecipe, stylize

OUT = Path(__file__).parent / "results" / "photo-style-painting.jpg"
PAIRS = (("astronaut", "starry-night"), ("cat", "scream"), ("coffee", "stained-glass"))
HEIGHT_PX, GAP_PX, SIZE_PX = 420, 8, 768


def tensor(image: Image.Image) -> torch.Tensor:
    """Given an image, return it as (3, H, W), 0..1."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def cell(image: Image.Image) -> Image.Image:
    """Given an image, return it cut to 4:3 around its middle and scaled to the height of a row."""
    width = min(image.width, image.height * 4 // 3)
    height = min(image.height, image.width * 3 // 4)
    left, top = (image.width - width) // 2, (image.height - height) // 4
    box = (left, top, left + width, top + height)
    return image.crop(box).resize((HEIGHT_PX * 4 // 3, HEIGHT_PX), Image.Resampling.LANCZOS)


def main() -> None:
    """Paint each pair and put the rows together."""
    rows = []
    for photo_name, style_name in PAIRS:
        photo = Image.fromarray(getattr(data, photo_name)())
        style = Image.open(styles.image_path(style_name))
        done = stylize(tensor(photo), [(tensor(style), 1.0)], PatchRecipe(size=SIZE_PX))
        pixels = (done.image.permute(1, 2, 0).numpy() * 255).round().astype("uint8")
        rows.append([cell(photo), cell(style), cell(Image.fromarray(pixels))])
        print(photo_name, style_name, f"{done.trace[-1].seconds:.0f} s")
    width = 3 * (HEIGHT_PX * 4 // 3) + 2 * GAP_PX
    sheet = Image.new("RGB", (width, len(rows) * (HEIGHT_PX + GAP_PX) - GAP_PX), "white")
    for number, row in enumerate(rows):
        for column, image in enumerate(row):
            sheet.paste(image, (column * (HEIGHT_PX * 4 // 3 + GAP_PX), number * (HEIGHT_PX + GAP_PX)))
    sheet.save(OUT, quality=90)


if __name__ == "__main__":
    main()
