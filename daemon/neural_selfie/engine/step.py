"""One look at a running painting, as every engine gives it to whoever watches and to the record."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Where a painting is: `fraction` is the share of the predicted work, 0..1; `seconds` since the start.

    What `content`, `style` and `tv` measure is the engine's to say; `total` is what it makes small. `scale` counts from
    0, the coarsest, and `iteration` within a scale.
    """

    scale: int
    iteration: int
    content: float
    style: float
    tv: float
    total: float
    seconds: float
    fraction: float
