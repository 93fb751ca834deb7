"""Region masks: a picture painted with plain colours says which style is used where.

Every pixel of the mask is given to one colour first; only then is the map brought to the picture's size, so borders are
soft and nothing else is. Compression noise and the mixed colours along painted borders make no regions of their own:
between black and white lies grey, between red and blue magenta, but a region has to be flat and thicker than such a
seam. What is thinner than about 1/100 of the long edge is therefore no region either, and belongs to what is around it.
The weights of styles that share a region are none of this module's business.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.region_names import HUES, NAMES, normal_region

_COLOURLESS = 0.25  # chroma (brightest less darkest channel) below which brightness decides, not hue
_NEAR = 0.2  # distance in sRGB within which a pixel has the colour '#rrggbb': more than JPEG or a profile changes it
_FLAT = 0.2  # largest difference within the window of a pixel that is surely inside its region
_WINDOWS_IN_EDGE = 500  # a window reaches 2 px to each side, and one more for so many pixels of the long edge
_NEIGHBOURS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))


def region_shares(
    mask: Tensor, regions: Sequence[str | None], height: int, width: int, *, alpha: Tensor | None = None
) -> Tensor:
    """Given a mask (3, h, w), sRGB in 0..1, and the region of each style, return its shares (len(regions), H, W).

    A region is a colour's name or '#rrggbb'; None is everything that no other style claims. Shares are float32 in
    0..1, those of different regions add up to 1 at most; styles of one region all get that region's. Where the mask
    has a colour that nobody claims, and no style has None, all are 0: the photo stays there. Where
    `alpha` (h, w) is below one half the mask was not painted, and has no colour. Raise ValueError for what is no
    region.
    """
    wanted = [None if region is None else normal_region(region) for region in regions]
    claimed = list(dict.fromkeys(region for region in wanted if region is not None))
    own = tuple(region for region in claimed if region not in NAMES)
    thinned = _thinned(mask.float().nan_to_num().clamp(0, 1), height, width)
    nearest = _nearest(thinned, own)
    if alpha is not None:
        bare = _thinned(alpha[None], height, width)[0] < 0.5  # noqa: PLR2004 - half covered
        nearest[bare], thinned = len(NAMES) + len(own), thinned.masked_fill(bare, 0)
    labels = _cleaned(thinned, nearest)
    numbers = [(*NAMES, *own).index(region) for region in claimed]
    planes = [_resized((labels == number).float(), height, width) for number in numbers]
    rest = (1 - torch.stack(planes).sum(0)).clamp(0, 1) if planes else mask.new_ones(height, width).float()
    return torch.stack([rest if region is None else planes[claimed.index(region)] for region in wanted])


def _thinned(mask: Tensor, height: int, width: int) -> Tensor:
    """Given a mask of far more pixels than the picture, leave out rows and columns; no colours are mixed."""
    step = max(1, min(mask.shape[1] // (2 * height), mask.shape[2] // (2 * width)))
    return mask[:, step // 2 :: step, step // 2 :: step]


def _nearest(mask: Tensor, own: Sequence[str]) -> Tensor:
    """Given a mask and the '#rrggbb' that are claimed, return the number of each pixel's colour in (*NAMES, *own).

    Hue tells plain colours from each other, so that the green of one program is the green of another, brightness
    tells greys; '#rrggbb' takes what is near to it.
    """
    red, green, blue = mask
    bright, chroma = mask.amax(0), mask.amax(0) - mask.amin(0)
    turn = chroma.clamp_min(1e-6)
    sixth = torch.where(
        bright == red,
        (green - blue) / turn,
        torch.where(bright == green, 2 + (blue - red) / turn, 4 + (red - green) / turn),
    )
    hue = (sixth.round().long() % len(HUES)) + NAMES.index(HUES[0])
    middle = bright - chroma / 2
    grey = (middle >= 0.25).long() + (middle > 0.75).long()  # noqa: PLR2004 - halfway between black, grey and white
    labels = torch.where(chroma < _COLOURLESS, grey, hue)
    closest = torch.full_like(bright, _NEAR)
    for number, region in enumerate(own, len(NAMES)):
        colour = mask.new_tensor([int(region[at : at + 2], 16) / 255 for at in (1, 3, 5)])
        distance = (mask - colour[:, None, None]).square().sum(0).sqrt()
        labels = torch.where(distance < closest, number, labels)
        closest = torch.minimum(closest, distance)
    return labels


def _cleaned(mask: Tensor, nearest: Tensor) -> Tensor:
    """Given a mask and the number of each pixel's nearest colour, return numbers without those of seams and noise.

    Sure is what lies in a flat window of one colour. From there every colour grows back into its own pixels as far
    as the window reached, and what is left goes to the more similar of its neighbours, step by step.
    """
    height, width = nearest.shape
    radius = max(1, min(2 + max(height, width) // _WINDOWS_IN_EDGE, min(height, width) // 8))
    sure = _flat(torch.cat([mask, nearest[None].float()]), radius)
    present = torch.bincount(nearest[sure]).nonzero().flatten()
    if not len(present):
        return nearest
    colours = torch.stack([mask[:, sure & (nearest == number)].mean(1) for number in present])
    framed = functional.pad(torch.where(sure, nearest, -1), (1, 1, 1, 1), value=-1).flatten()
    steps = torch.tensor([down * (width + 2) + right for down, right in _NEIGHBOURS], device=mask.device)
    rows, columns = (~sure).nonzero(as_tuple=True)
    at, own, pixels = (rows + 1) * (width + 2) + columns + 1, nearest[rows, columns], mask[:, rows, columns].T
    for _ in range(radius + 1):
        grows = (framed[at[:, None] + steps] == own[:, None]).any(1)
        framed[at[grows]] = own[grows]
        at, own, pixels = at[~grows], own[~grows], pixels[~grows]
    distances = mask.new_full((len(at), int(nearest.max()) + 1), torch.inf)
    distances[:, present] = torch.cdist(pixels, colours)
    for _ in range(4 * radius):
        around = framed[at[:, None] + steps]
        apart = torch.where(around >= 0, distances.gather(1, around.clamp_min(0)), torch.inf)
        least, which = apart.min(1)
        joins = least.isfinite()
        framed[at[joins]] = around[joins, which[joins]]
        at, own, distances = at[~joins], own[~joins], distances[~joins]
    framed[at] = own  # far from everything sure: as painted
    return framed.reshape(height + 2, width + 2)[1:-1, 1:-1]


def _flat(planes: Tensor, radius: int) -> Tensor:
    """Given planes (C, H, W), return (H, W): whether none of them changes much within `radius` of the pixel."""
    size = 2 * radius + 1
    framed = functional.pad(planes[None], (radius,) * 4, mode="replicate")
    highest, lowest = (
        functional.max_pool2d(functional.max_pool2d(sign * framed, (size, 1), stride=1), (1, size), stride=1)[0]
        for sign in (1, -1)
    )
    return ((highest + lowest) <= _FLAT).all(0)


def _resized(plane: Tensor, height: int, width: int) -> Tensor:
    if plane.shape == (height, width):
        return plane
    return functional.interpolate(
        plane[None, None], (height, width), mode="bilinear", antialias=True, align_corners=False
    )[0, 0].clamp(0, 1)
