"""The one table that says which event leads from which state where; what it does not hold does not happen."""

from collections.abc import Mapping
from types import MappingProxyType

from neural_selfie.errors import SelfieError
from neural_selfie.lifecycle.events import (
    CancelRequested,
    DroppedAgain,
    Event,
    Interrupted,
    PhotoLost,
    PublishDelayed,
    Published,
    Rendered,
    RenderFailed,
    Retried,
    SpoolLost,
    Started,
    Waits,
    Woken,
    kind_of,
)
from neural_selfie.model import JobState

_S = JobState
TRANSITIONS: Mapping[JobState, Mapping[type[Event], JobState | tuple[JobState, ...]]] = MappingProxyType(
    {
        _S.QUEUED: {
            Started: _S.RUNNING,
            Waits: _S.WAITING,
            PhotoLost: _S.CANCELLED,
            CancelRequested: _S.CANCELLED,
        },
        _S.RUNNING: {
            Rendered: _S.RENDERED,
            RenderFailed: (_S.QUEUED, _S.FAILED),
            Waits: _S.WAITING,
            Interrupted: (_S.QUEUED, _S.FAILED),
            CancelRequested: _S.CANCELLED,
        },
        _S.RENDERED: {
            Published: _S.DONE,
            PublishDelayed: _S.RENDERED,
            SpoolLost: _S.QUEUED,
            CancelRequested: _S.CANCELLED,
        },
        _S.WAITING: {
            Woken: _S.QUEUED,
            Retried: _S.QUEUED,
            PhotoLost: _S.CANCELLED,
            CancelRequested: _S.CANCELLED,
        },
        _S.DONE: {DroppedAgain: _S.QUEUED},
        _S.FAILED: {Retried: _S.QUEUED},
        _S.CANCELLED: {Retried: _S.QUEUED},
    }
)

FINISHED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})


class IllegalTransitionError(SelfieError):
    """This cannot happen to a job in this state; nothing was changed. `args` are the state and the event."""

    code = "illegal_transition"

    def __init__(self, state: JobState, event: Event) -> None:
        super().__init__(state, event)
        self.state = state
        self.event = event

    def __str__(self) -> str:
        return f"A job that is {self.state} cannot take the event {kind_of(type(self.event))}."


class StaleAttemptError(IllegalTransitionError):
    """The event comes from an older attempt than the one under way; nothing was changed."""

    code = "stale_attempt"

    def __str__(self) -> str:
        return f"The event {kind_of(type(self.event))} comes from an older attempt and was dropped."


def diagram() -> str:
    """Return TRANSITIONS as the text of a Mermaid state diagram, one arrow per pair of states."""
    arrows: dict[tuple[JobState, JobState], list[str]] = {}
    for source, row in TRANSITIONS.items():
        for event_type, targets in row.items():
            for target in (targets,) if isinstance(targets, JobState) else targets:
                arrows.setdefault((source, target), []).append(kind_of(event_type).replace("_", " "))
    lines = ["stateDiagram-v2", "    [*] --> queued"]
    lines += [f"    {source} --> {target}: {', '.join(labels)}" for (source, target), labels in arrows.items()]
    return "\n".join(lines) + "\n"
