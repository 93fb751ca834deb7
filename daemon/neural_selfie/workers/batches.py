"""Which pictures are painted in one go: the variants of one photo's sweep, where the engine gains from it.

Pure: it looks at plans. That they are of the same photo is up to the caller.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from neural_selfie.engine.recipe import BATCHED_OF, apart
from neural_selfie.model import Plan, Task

# The photo's and the styles' features are computed once for all; by eight that is spread thin enough. More would only
# take more memory, make the first picture wait longer, and lose more when the worker dies.
CEILING: Final = 8


def batchable(plan: Plan, other: Plan) -> bool:
    """Given two plans for one photo, return whether they are painted in one go.

    They are variants of the same sweep that differ in numbers of the engine's BATCHED_OF only; seed, styles, mask,
    start image, weights, size and format are the same. All that differs stands in `variant`, so from one recipe and
    the variants follow the others.
    """
    if plan.engine not in BATCHED_OF or plan.variant.keys() != other.variant.keys():
        return False
    if replace(plan, variant={}, recipe={}) != replace(other, variant={}, recipe={}):
        return False
    return apart(plan.recipe, other.recipe) <= plan.variant.keys() & set(BATCHED_OF[plan.engine])


def batches(plans: Sequence[Plan]) -> list[list[int]]:
    """Given the plans of one photo, return their positions batch by batch; the first of each in the order of plans."""
    left = list(range(len(plans)))
    found = []
    while left:
        batch = [number for number in left if number == left[0] or batchable(plans[left[0]], plans[number])][:CEILING]
        left = [number for number in left if number not in batch]
        found.append(batch)
    return found


def as_one(tasks: Sequence[Task]) -> Task:
    """Given tasks that are painted in one go, return the one task that holds them all, in their order."""
    return replace(tasks[0], together=tuple(tasks[1:]))
