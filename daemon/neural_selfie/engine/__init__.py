"""The engines as a library: `stylize` is the one entry, recipes say with which numbers.

Importing this package is cheap; torch is imported when `stylize` is first asked for. The daemon's parent process
reads `engine.recipe` only and never imports torch.
"""

from typing import TYPE_CHECKING, Any

from neural_selfie.engine.recipe import FeedforwardRecipe, GatysRecipe, PatchRecipe, Recipe

if TYPE_CHECKING:
    from neural_selfie.engine.entry import Step, Stylized, stylize

__all__ = ["FeedforwardRecipe", "GatysRecipe", "PatchRecipe", "Recipe", "Step", "Stylized", "stylize"]


def __getattr__(name: str) -> Any:
    """Given a public name that needs torch, import it on first use; raise AttributeError for any other."""
    if name in {"Step", "Stylized", "stylize"}:
        from neural_selfie.engine import entry  # noqa: PLC0415 - torch must not load with the package

        return getattr(entry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
