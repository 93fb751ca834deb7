"""Give a painting the style's contrast at every octave: its quiet parts and its loud ones, as many as the style has.

Sliced transport moves patches by what all of them lack on average over its directions; what that leaves is a few per
cent of too little contrast, the more the stronger the photo's own forms are. Here each octave's band is multiplied by a
smooth positive gain, which takes the histogram of local contrast to the style's. A gain turns no gradient round, so
lines stay where and as they are; nothing here adds colours or strokes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.colour import luminance
from neural_selfie.engine.pyramid import halved, resized

_KNOTS = 512  # of the curve from the picture's contrasts to the style's
_SAMPLES = 200_000  # pixels that stand for all when the curve is made
_ROUNDS = 2  # an octave's contrast is only partly its own band's, so one gain falls short
_MOST = 2.0  # times as much contrast, or as little; by eye: above, the grain of flat parts is lifted out of them


def contrasts(octaves: Sequence[Sequence[Tensor]], shares: Sequence[float]) -> list[Tensor]:
    """Given style images at each octave and their shares (sum 1), return the wanted quantiles (512,) of each octave."""
    return [_curve(images, shares) for images in octaves]


def contrasted(picture: Tensor, curves: Sequence[Tensor], amount: float) -> Tensor:
    """Given a picture (3, H, W) and the `contrasts` of each octave, fine to coarse, return it with them.

    `amount` 0 changes nothing, 1 takes the whole way. Values may leave 0..1.
    """
    if amount <= 0:
        return picture
    pictures = [picture]
    while len(pictures) < len(curves):
        pictures.append(halved(pictures[-1]))
    rebuilt: Tensor | None = None
    for own, wanted in zip(reversed(pictures), reversed(curves), strict=True):
        height, width = own.shape[1:]
        below = resized(halved(own), height, width)
        band = own - below
        base = below if rebuilt is None else resized(rebuilt, height, width)
        for _ in range(_ROUNDS):
            gain = _gain(local_contrast(base + band), wanted)
            band = band * (1 + amount * (gain - 1))
        rebuilt = base + band
    return picture if rebuilt is None else rebuilt


def local_contrast(picture: Tensor) -> Tensor:
    """Given a picture (3, H, W), return the root mean square (H, W) of luma's gradient within 3 x 3 pixels."""
    framed = functional.pad(luminance(picture)[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    right = (framed[1:-1, 2:] - framed[1:-1, :-2]) / 2
    down = (framed[2:, 1:-1] - framed[:-2, 1:-1]) / 2
    return _smooth(right.square() + down.square()).sqrt()


def _gain(contrast: Tensor, wanted: Tensor) -> Tensor:
    """Given contrasts (H, W) and ascending knots of the wanted ones, return what to multiply with (H, W), smooth."""
    own = _knots(contrast)
    place = torch.searchsorted(own, contrast.contiguous()).clamp_max(_KNOTS - 1)
    return _smooth((wanted[place] / own[place].clamp_min(1e-4)).clamp(1 / _MOST, _MOST))


def _curve(images: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Given style images and shares (sum 1), return the quantiles (512,) of their contrasts, as if side by side."""
    parts = [
        _knots(local_contrast(image), max(1, round(share * 8 * _KNOTS)))
        for image, share in zip(images, shares, strict=True)
    ]
    return _knots(torch.cat(parts))


def _knots(values: Tensor, count: int = _KNOTS) -> Tensor:
    """Given values of any shape, return `count` ascending ones (count,) with the same distribution."""
    flat = values.flatten()
    ordered = flat[:: max(1, len(flat) // _SAMPLES)].sort().values
    position = (torch.arange(count, device=flat.device, dtype=torch.float64) + 0.5) * (len(ordered) / count)
    return ordered.index_select(0, position.long().clamp_max(len(ordered) - 1))


def _smooth(plane: Tensor) -> Tensor:
    """Given (H, W), return the mean of each 3 x 3 pixels."""
    return functional.avg_pool2d(functional.pad(plane[None, None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0, 0]
