"""The record of a painted picture: from a task and what the engine did to all that a bit-identical repeat needs.

Runs in the worker. It writes nothing.
"""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neural_selfie import record
from neural_selfie.model import Plan, Task

if TYPE_CHECKING:
    from neural_selfie.engine.entry import Stylized
    from neural_selfie.engine.images import Picture


def record_of(
    task: Task,
    member: Task,
    picture: "Picture",
    painting: "Stylized",
    *,
    started_at: float,
    seconds: Mapping[str, float],
    file: str,
    sha256: str | None,
) -> record.Record:
    """Given the task that was painted, one member of its batch, photo and painting, return the member's record.

    `seconds`: reading and painting stand there as long as they took for the whole batch.
    """
    plan = member.plan
    height, width = painting.image.shape[1:]
    return record.Record(
        photo=record.PhotoPart(
            name=task.photo_name,
            sha256=task.photo_sha256,
            width=picture.pixels.shape[1],
            height=picture.pixels.shape[0],
            taken_at=picture.taken_at,
        ),
        preset=plan.preset,
        variant=dict(plan.variant),
        recipe=dict(plan.recipe) | mask_part(plan) | start_part(plan) | together_part(task),
        styles=tuple(record.StylePart(name=use.name, sha256=use.sha256, weight=use.weight) for use in plan.styles),
        engine=engine_part(plan.engine, painting),
        seed=plan.seed,
        attempts=member.attempt,
        timings=record.Timings(
            queued_at=utc(member.queued_at),
            started_at=utc(started_at),
            finished_at=utc(dt.datetime.now(dt.UTC).timestamp()),
            seconds=dict(seconds),
        ),
        trace=tuple(
            record.TracePart(
                scale=step.scale,
                iteration=step.iteration,
                content=step.content,
                style=step.style,
                tv=step.tv,
                total=step.total,
                seconds=round(step.seconds, 3),
            )
            for step in painting.trace
        ),
        output=record.Output(file=file, sha256=sha256, width=width, height=height),
        warnings=(*picture.warnings, *painting.warnings),
    )


def mask_part(plan: Plan) -> dict[str, Any]:
    """Given a plan, return what its record says of the mask: name, hash, and the regions in the order of the styles."""
    if plan.mask is None:
        return {}
    regions = [use.region for use in plan.styles]
    return {"mask": {"name": plan.mask.name, "sha256": plan.mask.sha256, "regions": regions}}


def start_part(plan: Plan) -> dict[str, Any]:
    """Given a plan, return what its record says of the image that `start: file` began with: name and hash."""
    return {} if plan.start is None else {"start_image": {"name": plan.start.name, "sha256": plan.start.sha256}}


def together_part(task: Task) -> dict[str, Any]:
    """Given the task that was painted, return what each record of its batch says of it: the variants, in their order.

    Painted alone, each of them may come out different in the last digits; so whoever repeats one repeats them all.
    """
    return {"together": [dict(member.plan.variant) for member in task.members]} if task.together else {}


def engine_part(name: str, painting: "Stylized") -> record.EnginePart:
    """Given an engine's result, return what a bit-identical repeat needs to know of it."""
    import torch  # noqa: PLC0415 - loads in the worker only

    from neural_selfie.engine import entry  # noqa: PLC0415

    return record.EnginePart(
        name=name,
        version=entry.ENGINE_VERSION,
        weights_sha256=painting.weights_sha256,
        torch=torch.__version__,
        device=painting.device,
        dtype=painting.dtype,
    )


def utc(seconds: float) -> str:
    """Given seconds since the epoch, return ISO 8601 in UTC with milliseconds."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
