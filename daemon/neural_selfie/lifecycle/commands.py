"""What is to be done after something happened to a job: reminders to the service, never promises.

After a crash each can be found again in the ledger (`due_rendered`, `to_file`, `to_take_back`).
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Publish:
    """Bring the rendered picture and its record into the outbox."""

    job_id: int


@dataclass(frozen=True, slots=True)
class FilePhoto:
    """If no job of the photo is unfinished, move its file to where it now belongs."""

    photo_id: int


@dataclass(frozen=True, slots=True)
class EndWorker:
    """End the worker process that paints this job."""

    job_id: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Bring the photo's file back from originals or failed into the state folder."""

    photo_id: int


Command: TypeAlias = Publish | FilePhoto | EndWorker | TakeBack
