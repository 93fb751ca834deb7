"""Where an engine computes: choose the device, and keep its results repeatable while it works.

Nothing here touches the caller's random state, thread counts or default type; `repeatable` puts cuDNN's switches back.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from neural_selfie.errors import EngineUnavailableError, OutOfDeviceMemoryError


def choose_device(wanted: str) -> torch.device:
    """Given "auto", "cpu", "cuda" or "cuda:N", return the device; raise EngineUnavailableError if it is not there."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise EngineUnavailableError(f"There is no device called '{wanted}'. Use auto, cpu or cuda.") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise EngineUnavailableError(f"The device '{wanted}' is not supported. Use auto, cpu or cuda.")
    if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
        raise EngineUnavailableError(f"This machine offers no GPU called '{wanted}'. Use auto or cpu instead.")
    return device


def device_name(device: torch.device) -> str:
    """Given a device, return the name that a record shows: "cpu" or, say, "cuda (NVIDIA RTX A2000)"."""
    return "cpu" if device.type == "cpu" else f"cuda ({torch.cuda.get_device_name(device)})"


@contextmanager
def repeatable(device: torch.device, *, fast: bool = False) -> Iterator[None]:
    """Given a device, run the body without gradients; on a GPU with deterministic algorithms and in full precision.

    `fast`: a GPU's convolutions may round their factors to ten bits (TF32), and cuDNN tries which of its algorithms is
    the fastest, so that two runs may differ in the last digits. Everything is put back afterwards. A CUDA
    out-of-memory error leaves as OutOfDeviceMemoryError.
    """
    with torch.inference_mode():
        if device.type != "cuda":
            yield
            return
        try:
            with (
                torch.cuda.device(device),
                torch.backends.cudnn.flags(enabled=True, benchmark=fast, deterministic=not fast, allow_tf32=fast),
            ):
                yield
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfDeviceMemoryError(
                "The GPU has too little free memory for a picture of this size. "
                "Close other programs that use it, or choose a smaller size."
            ) from error
