"""How far the painting is: steps for the caller, and the share of the predicted work that is done.

A step's `content` is the mean squared difference to the recoloured photo, times content weight and map; `style` the
mean squared difference to the chosen style patches, or while refining the squared sliced Wasserstein distance; `tv`
the mean absolute difference of neighbouring pixels, which is not in `total`.

It predicts work, not time: seconds are the caller's to extrapolate.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from neural_selfie.engine.step import Step

_REPORT_SECONDS = 0.5
_NOTHING_YET = Step(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True)
class Progress:
    """Counts work against a prediction and tells `on_step`, at least every half second while work comes in."""

    predicted: float
    on_step: Callable[[Step], None] | None = None
    started: float = field(default_factory=time.monotonic)
    steps: list[tuple[int | None, Step]] = field(default_factory=list)
    latest: Step = _NOTHING_YET
    done: float = 0.0

    def work(self, amount: float) -> None:
        """Given the work done since the last call, report it if the last report is old enough."""
        self.done += amount
        if time.monotonic() - self.started - self.latest.seconds >= _REPORT_SECONDS:
            self._tell(self.latest)

    def counter(self, amount: float) -> Callable[[int], None]:
        """Given the work of one item, return a function that counts items."""
        return lambda items: self.work(items * amount)

    def step(
        self,
        scale: int,
        iteration: int,
        seen: tuple[Tensor, Tensor, Tensor],
        *,
        style: float,
        variant: int | None = None,
    ) -> None:
        """Given the picture after an iteration, the photo it follows and its weights, keep and report a step.

        Without a variant's number it is a step of all variants.
        """
        picture, guide, weight = seen
        content = float(((picture - guide).square().mean(0) * weight[0]).mean())
        down, right = picture[:, 1:] - picture[:, :-1], picture[:, :, 1:] - picture[:, :, :-1]
        tv = float(down.abs().mean() + right.abs().mean())
        self._tell(Step(scale, iteration, content, style, tv, style + content, 0.0, 0.0))
        self.steps.append((variant, self.latest))

    def finished(self, variants: int = 1) -> list[tuple[Step, ...]]:
        """Return each variant's trace; the last step, reported once more, has fraction 1."""
        self._tell(self.latest, fraction=1.0)
        traces = []
        for variant in range(variants):
            own = [step for of, step in self.steps if of is None or of == variant]
            traces.append((*own[:-1], replace(own[-1], fraction=1.0, seconds=self.latest.seconds)))
        return traces

    def _tell(self, step: Step, fraction: float = 0.0) -> None:
        reached = max(self.latest.fraction, fraction, min(0.999, self.done / self.predicted))
        self.latest = replace(step, seconds=time.monotonic() - self.started, fraction=reached)
        if self.on_step is not None:
            self.on_step(self.latest)
