"""What happened while a painting was made: a step for every evaluation, and how far that is of the predicted work.

Losses are fetched from a GPU only every few evaluations. It predicts work, not time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from neural_selfie.engine.gatys.objective import Losses
from neural_selfie.engine.step import Step

_FETCH_EVERY = 5  # evaluations on a GPU; a processor's losses are at hand


@dataclass(slots=True)
class Journal:
    """The traces of so many variants. `predicted`: the work of the whole way, in any unit."""

    predicted: float
    variants: int
    on_step: Callable[[Step], None] | None = None
    warnings: list[str] = field(default_factory=list)
    done: float = 0.0
    _traces: tuple[list[Step], ...] = ()
    _started: float = field(default_factory=time.monotonic)
    _pending: list[tuple[Sequence[int], int, Losses, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._traces = tuple([] for _ in range(self.variants))

    def watch(self, members: Sequence[int], scale: int, work: float) -> Callable[[Losses], None]:
        """Given the variants that an optimisation is for and the work of one evaluation, return who writes it down.

        Losses of one image for several variants are everyone's.
        """

        def write(losses: Losses) -> None:
            self.done += work
            self._pending.append((members, scale, losses, self.done, time.monotonic() - self._started))
            if losses.content.device.type == "cpu" or len(self._pending) >= _FETCH_EVERY:
                self.fetch()

        return write

    def fetch(self) -> None:
        """Write down all losses that have come, and tell the last."""
        for members, scale, losses, done, seconds in self._pending:
            rows = [_numbers(part) for part in (losses.content, losses.style, losses.tv, losses.total)]
            for place, member in enumerate(members):
                content, style, tv, total = (row[place if len(row) > 1 else 0] for row in rows)
                trace = self._traces[member]
                iteration = trace[-1].iteration + 1 if trace and trace[-1].scale == scale else 1
                fraction = max(trace[-1].fraction if trace else 0.0, min(0.999, done / self.predicted))
                trace.append(Step(scale, iteration, content, style, tv, total, seconds, fraction))
        if self._pending and self.on_step is not None:
            self.on_step(self._traces[self._pending[-1][0][0]][-1])
        self._pending.clear()

    def mark(self) -> tuple[int, ...]:
        """Return how long the traces are, for `back_to`."""
        self.fetch()
        return tuple(len(trace) for trace in self._traces)

    def back_to(self, mark: tuple[int, ...]) -> None:
        """Forget what came after a mark: that way ran out of memory."""
        self._pending.clear()
        for trace, length in zip(self._traces, mark, strict=True):
            del trace[length:]

    def trace(self, variant: int) -> tuple[Step, ...]:
        """Return every step of a variant, the shared ones included; the last has fraction 1."""
        self.fetch()
        *steps, last = self._traces[variant]
        return (*steps, replace(last, fraction=1.0))

    def finished(self) -> None:
        """Tell that everything is done."""
        self.fetch()
        if self.on_step is not None:
            self.on_step(replace(self._traces[0][-1], fraction=1.0))


def _numbers(values: Tensor) -> list[float]:
    numbers: list[float] = values.tolist()
    return numbers
