"""An objective recorded once as a CUDA graph and replayed: a GPU is no longer kept waiting for hundreds of launches.

For pictures of one size on a GPU. Where the recording fails (a library that may not be recorded), the objective goes on
without it, only slower.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_selfie.engine.gatys.objective import Losses
from neural_selfie.engine.gatys.optimise import Evaluate

_WARM_UPS = 3  # before recording, as PyTorch's documentation of CUDA graphs asks for


@dataclass(frozen=True, slots=True)
class _Recording:
    """What a replay reads (`image`) and overwrites."""

    graph: torch.cuda.CUDAGraph
    image: Tensor
    losses: Losses
    gradient: Tensor


def replayed(evaluate: Evaluate) -> Evaluate:
    """Given an objective, return one with the same results that records itself at the first image it is given."""
    recordings: list[_Recording | None] = []

    def call(image: Tensor) -> tuple[Losses, Tensor]:
        if image.device.type != "cuda":
            return evaluate(image)
        if not recordings:
            recordings.append(_recorded(evaluate, image))
        recording = recordings[0]
        if recording is None or recording.image.shape != image.shape:
            return evaluate(image)
        recording.image.copy_(image)
        recording.graph.replay()
        # Copies: the next replay writes to the same memory.
        found = recording.losses
        return Losses(found.content.clone(), found.style.clone(), found.tv.clone()), recording.gradient.clone()

    return call


def _recorded(evaluate: Callable[[Tensor], tuple[Losses, Tensor]], image: Tensor) -> _Recording | None:
    still = image.clone()
    try:
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                evaluate(still)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses, gradient = evaluate(still)
    except torch.cuda.OutOfMemoryError:
        raise  # the ladder knows what to do
    except RuntimeError:
        torch.cuda.synchronize()
        return None
    return _Recording(graph, still, losses, gradient)
