"""The style image `stained-glass`: a rose for a sun, rays of gold and blue, hills, a river of light, a tree, flowers.

Panes come in every size and colour, with cream, amber, russet and rose among them for skin and hair, and
near-black for shadow. This draws the plan, back to front; `glazing` makes the window.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image

from neural_selfie.styles.fields import Field, bump, grid, palette
from neural_selfie.styles.glazing import HEIGHT, OVERSIZE, POINTS, Panes, leaded, middles
from neural_selfie.styles.tracery import Floats, Mask, Numbers, Texture, number, texture, tiles

SUN = (640.0, 262.0)
SKY, PEAKS, HILLS, RIVER, ROSE, TRUNK, CROWN, FRUIT, BLADES, FLOWERS, EYES, FRAME, CORNERS = (
    *(0, 1, 2, 5, 6, 11, 12, 13, 14, 15, 17, 18, 19),
)
WARM_SKY = ("#ffec96", "#ffcd46", "#ff9628", "#ec5432", "#c82c50", "#8c1e64")
COOL_SKY = ("#beece6", "#60bed6", "#2882c8", "#1850b4", "#1e3296", "#281a68")
COLOURS = {  # of each part but the sky; a pane takes one by chance and place
    PEAKS: ("#1e2878", "#463ca0", "#7850aa", "#b478b4", "#5a82c8"),
    HILLS: ("#0e606e", "#188260", "#5aa446", "#bec846", "#fae278"),
    HILLS + 1: ("#5a2c10", "#b45c1c", "#e6962e", "#fad67c", "#2f7d5a"),
    HILLS + 2: ("#0a1e3c", "#083c42", "#2c2414", "#0f5a40", "#7a4a1e", "#b4822c"),
    RIVER: ("#fff6cd", "#fae196", "#b4e2e2", "#5ab4d6", "#2878be"),
    ROSE: ("#fffadc", "#fffadc"),
    ROSE + 1: ("#ffbe28", "#ffdc5a"),
    ROSE + 2: ("#e0281e", "#f05a1e"),
    ROSE + 3: ("#ffcd46", "#285abe", "#ffe178"),
    ROSE + 4: ("#c8182c", "#f07828", "#ffb43c"),
    TRUNK: ("#462416", "#78421e", "#a06432"),
    CROWN: ("#2e1410", "#7a2416", "#c24c1a", "#eb9628", "#fad278", "#3c6e2a"),
    FRUIT: ("#aa0f1e", "#e6281e", "#ffc850"),
    BLADES: ("#063c36", "#147850", "#6eb45a", "#1e5a78"),
    FLOWERS: ("#aa0822", "#dc1e2c", "#fa6e5a", "#ffbeaa"),
    FLOWERS + 1: ("#5a1e96", "#a03cb4", "#e282c8", "#fadcec"),
    EYES: ("#ffdc50", "#ffdc50"),
    FRAME: ("#a00e22", "#18328c", "#be1e28", "#1e5aaa", "#dca028"),
    CORNERS: ("#f0be3c", "#f0be3c"),
}
RINGS = ((182, 18, 9.0), (140, 24, 0.0), (104, 12, 5.0), (62, 8, 0.0), (30, 1, 0.0))  # radius, panes, scallops
RIDGES = ((500, 26, 0.4, 23, 52), (566, 34, 2.3, 26, 58), (650, 26, 4.4, 29, 60))  # level, height, phase, pane
LIMBS = ((130, 120, 150, 92), (60, 250, 110, 74), (232, 226, 104, 66), (150, 320, 120, 50))
APPLES = (
    *((80, 90), (150, 150), (215, 110), (60, 215), (120, 245), (240, 200)),
    *((180, 215), (95, 165), (205, 290), (265, 250), (150, 330), (45, 290)),
)
LEAVES = (  # foot, tip, height of the tip, half width
    *((20, 8, 560, 13), (52, 80, 600, 12), (118, 96, 650, 11), (205, 190, 618, 13), (232, 262, 650, 11)),
    *((300, 300, 676, 11), (345, 372, 690, 10), (560, 548, 690, 10), (610, 636, 668, 11), (690, 664, 640, 12)),
    *((735, 752, 610, 13), (790, 782, 660, 11), (838, 850, 604, 12), (890, 872, 630, 12), (935, 960, 585, 13)),
    *((985, 1002, 600, 13), (1010, 990, 660, 11)),
)
BLOOMS = (
    *((66, 668, 46), (252, 690, 44), (160, 612, 37), (792, 676, 50), (912, 618, 42)),
    *((962, 704, 44), (700, 718, 36), (345, 722, 34), (862, 724, 34)),
)


def paint(seed: int = 3, width: int = 1024) -> Image.Image:
    """Given a seed and a width in pixels, return the picture (4:3, RGB)."""
    rng = np.random.default_rng(seed)
    wood = texture(rng)
    x, y = (POINTS * axis for axis in grid(width * OVERSIZE, round(width * HEIGHT / POINTS) * OVERSIZE))
    plan = _Plan(x, y, x + 7 * wood.at(x, y, 90, layer=1), y + 7 * wood.at(x, y, 90, layer=2), _blank(x), _blank(x))
    for draw in (_sky, _peaks, _hills, _river, _rose, _tree, _foreground, _frame):
        draw(plan, wood, int(rng.integers(1 << 20)))
    return leaded(_coloured(plan, wood, rng), wood, rng)


def _blank(like: Field) -> Numbers:
    return np.zeros(like.shape, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Positions in points, the same as a hand would draw them, and for each pixel its part and a name for its pane."""

    x: Field
    y: Field
    hand_x: Field
    hand_y: Field
    part: Numbers
    name: Numbers

    def put(self, where: Mask, part: int, panes: Numbers | int) -> None:
        """Lay panes over what was there; `panes` are names for the pixels of `where`, unique in their part."""
        self.part[where] = part
        self.name[where] = number(np.asarray(panes, dtype=np.int64), np.int64(part) + np.zeros(1, dtype=np.int64), 7)

    def from_sun(self) -> tuple[Field, Field]:
        """Return distance from the sun and angle round it."""
        dx, dy = 0.7 * self.x + 0.3 * self.hand_x - SUN[0], 0.7 * self.y + 0.3 * self.hand_y - SUN[1]
        return np.hypot(dx, dy), np.arctan2(dy, dx)


def _spiral(away: Floats, angle: Floats) -> Floats:
    return angle + np.float32(0.32) * np.log(np.maximum(away, 20) / 200)


def _sky(plan: _Plan, _: Texture, salt: int) -> None:
    away, angle = plan.from_sun()
    rays = 40
    turned = _spiral(away, angle) / np.float32(2 * np.pi) * rays
    outwards = np.log(np.maximum(away, 20) / 180) * np.float32(5.4)
    everywhere = away >= 0
    plan.put(everywhere, SKY, tiles(turned, outwards, salt, jitter=0.75, around=rays).ravel())


def _peaks(plan: _Plan, wood: Texture, salt: int) -> None:
    x, y = plan.hand_x, plan.hand_y
    ridge = 452 - 120 * bump(plan.x, 330, 120) - 74 * bump(plan.x, 470, 90) - 96 * bump(plan.x, 930, 130)
    where = y > ridge - 18 * np.abs(wood.at(plan.x, 0 * y, 60, layer=4))
    plan.put(where, PEAKS, tiles((x + 0.6 * y)[where] / 56, (y - 0.35 * x)[where] / 38, salt, jitter=0.9))


def _hills(plan: _Plan, _: Texture, salt: int) -> None:
    x, y = plan.hand_x, plan.hand_y
    for place, (level, height, phase, high, wide) in enumerate(RIDGES):
        ridge = level + height * np.sin(plan.x / 150 + phase) + 10 * np.sin(plan.x / 61 + 2 * phase)
        where = y > ridge
        panes = tiles(x[where] / wide, (y - ridge)[where] / high + np.float32(0.15), salt + place, jitter=0.62)
        plan.put(where, HILLS + place, panes)


def _river_bed(plan: _Plan) -> tuple[Floats, Floats, Floats]:
    """Return how far down the river it is, how far aside of its middle, and half its width."""
    along = np.clip((plan.hand_y - 478) / 290, 0, 2)
    middle = 640 - 210 * along + 90 * np.sin(5.2 * along) * (0.25 + along)
    return along, plan.hand_x - middle, 16 + 120 * along ** np.float32(1.15)


def _river(plan: _Plan, _: Texture, salt: int) -> None:
    along, aside, half = _river_bed(plan)
    where = (along > 0) & (np.abs(aside) < half)
    lanes = aside / half * (1.3 + 0.8 * along) + 40
    plan.put(where, RIVER, tiles(lanes[where], 15 * np.sqrt(along[where]), salt))


def _petals(angle: Field, count: int) -> tuple[Numbers, Field]:
    """Given angles, return the number of the petal and how far from its sides, 0..1."""
    turn = angle / np.float32(2 * np.pi) * count
    return np.floor(turn).astype(np.int64) % count, np.abs(np.sin(np.pi * turn)).astype(np.float32)


def _rose(plan: _Plan, _: Texture, __: int) -> None:
    away, angle = plan.from_sun()
    for place, (radius, count, scallop) in enumerate(RINGS):
        petal, open_ = _petals(angle + np.float32(np.pi / count * (place % 2)), count)
        where = away < radius + scallop * (1.6 * open_ ** np.float32(0.6) - 1)
        plan.put(where, ROSE + 4 - place, petal[where])


def _tree(plan: _Plan, wood: Texture, salt: int) -> None:
    x, y = plan.hand_x, plan.hand_y
    aside = x - 150 - 34 * np.sin(plan.y / 130 + 0.5)
    trunk = (np.abs(aside) < 15 + 22 * np.clip((y - 520) / 250, 0, 1) ** 2) & (y > 200)
    plan.put(trunk, TRUNK, tiles(aside[trunk] / 26 + 9, y[trunk] / 52, salt, jitter=0.7))
    limbs = [((x - left) / wide) ** 2 + ((y - top) / high) ** 2 for left, top, wide, high in LIMBS]
    crown = np.min(limbs, axis=0) + 0.22 * wood.at(plan.x, plan.y, 46, layer=7) < 1
    plan.put(crown, CROWN, tiles((x + 0.5 * y)[crown] / 36, (y - 0.5 * x)[crown] / 25, salt + 1, jitter=0.85))
    for place, (left, top) in enumerate(APPLES):
        plan.put((x - left) ** 2 + (y - top) ** 2 < (11 + place % 3) ** 2, FRUIT, place)


def _foreground(plan: _Plan, _: Texture, __: int) -> None:
    x, y = plan.hand_x, plan.hand_y
    for place, (foot, tip, top, half) in enumerate(LEAVES):
        up = np.clip((HEIGHT - plan.y) / (HEIGHT - top), 0, 1)
        middle = foot + (tip - foot) * up ** np.float32(1.7)
        where = (plan.y > top) & (np.abs(x - middle) < half * (1 - up ** np.float32(2.2)) * (0.75 + 0.5 * up))
        pieces = np.floor(2.6 * up).astype(np.int64) + 5 * (x > middle) + 10 * place
        plan.put(where, BLADES, pieces[where])
    for place, (left, top, radius) in enumerate(BLOOMS):
        dx, dy = x - left, y - top
        away = np.hypot(dx, 1.12 * dy)
        petal, open_ = _petals(np.arctan2(dy, dx) + np.float32(place), 5 + place % 3)
        where = away < radius * (0.70 + 0.36 * np.sqrt(open_))
        plan.put(where, FLOWERS + place % 2, (petal + 10 * (away < 0.62 * radius) + 20 * place)[where])
        plan.put(away < 0.27 * radius, EYES, place)


def _frame(plan: _Plan, _: Texture, __: int) -> None:
    from_side, from_level = np.minimum(plan.x, POINTS - plan.x), np.minimum(plan.y, HEIGHT - plan.y)
    band = 27
    along = np.where(from_side < from_level, plan.y / HEIGHT * 14, 100 + plan.x / POINTS * 19)
    side = 4 * np.floor(along).astype(np.int64) + (plan.x > POINTS / 2) + 2 * (plan.y > HEIGHT / 2)
    where = np.minimum(from_side, from_level) < band
    plan.put(where, FRAME, side[where])
    corner = np.maximum(from_side, from_level) < band
    plan.put(corner, CORNERS, ((plan.x > POINTS / 2) + 2 * (plan.y > HEIGHT / 2))[corner])


def _coloured(plan: _Plan, wood: Texture, rng: Generator) -> Panes:
    """Return the panes with colour, streaks and the light behind them."""
    away, _ = plan.from_sun()
    names, pane = np.unique(plan.name, return_inverse=True)
    pane = pane.reshape(plan.x.shape)
    count = len(names)
    part = middles(pane, count, plan.part.astype(np.float32)).round().astype(np.int64)
    lots = np.stack([(number(names, np.array([lot]), 11) & 0xFFFF) / 65535 for lot in range(8)], axis=1)
    chance = ((lots + rng.random(8)) % 1).astype(np.float32)
    x, y = middles(pane, count, plan.x), middles(pane, count, plan.y)
    outwards: Field = np.arctan2(y - np.float32(SUN[1]), x - np.float32(SUN[0]))
    colour = _sky_colours(middles(pane, count, away), outwards, chance)
    for code, stops in COLOURS.items():
        shift = _shift(code, x, y)
        here = part == code
        share = chance[:, 0] * (0.75 if code == HILLS else 1) + shift
        colour[here] = palette(stops, np.clip(share, 0, 1))[here]
    lean = np.where(part == SKY, outwards + 0.4 * (chance[:, 6] - 0.5), np.pi * chance[:, 6])
    lean = np.where((part >= HILLS) & (part <= RIVER), 0.5 * (chance[:, 6] - 0.5), lean).astype(np.float32)
    _, aside, half = _river_bed(plan)
    light = 0.66 + 0.9 * np.exp(-away / 190) + 0.22 * wood.at(plan.x, plan.y, 150, octaves=3, layer=14)
    light += 0.25 * np.exp(-((aside / (half + 30)) ** 2)) * (plan.y > 478)
    linear = np.asarray(colour ** np.float32(2.2), dtype=np.float32)
    return Panes(
        plan.x,
        plan.y,
        pane,
        plan.part.astype(np.uint8),
        linear,
        lean,
        chance[:, :6],
        np.asarray(light, dtype=np.float32),
    )


def _shift(code: int, x: Field, y: Field) -> Floats:
    """Return how far a part's panes lean to its later colours: hills towards the light, the river with its way."""
    if code in {HILLS, HILLS + 1}:
        return (0.35 if code == HILLS else 0.2) * np.exp(-np.abs(x - 600) / 230)
    if code == RIVER:
        return (y - 480) / 400 - np.float32(0.3)
    return np.zeros_like(x)


def _sky_colours(away: Field, outwards: Floats, chance: Field) -> Field:
    """Return warm and cool arms that turn round the sun, warm near it and cool far from it."""
    far = np.clip((away - 170) / 520, 0, 1)
    arms = np.sin(9 * _spiral(away, outwards) + 0.6) + 1.5 * (chance[:, 5] - 0.5) + 0.9 - 2.3 * far
    warm = palette(WARM_SKY, np.clip(far + 0.35 * (chance[:, 0] - 0.5), 0, 1))
    cool = palette(COOL_SKY, np.clip(0.05 + 0.85 * far + 0.45 * (chance[:, 0] - 0.5), 0, 1))
    return np.where((arms > 0)[:, None], warm, cool).astype(np.float32)
