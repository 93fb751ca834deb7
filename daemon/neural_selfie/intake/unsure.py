"""Photos that were admitted and are gone from the inbox: on their way into the state folder when it failed, or lost."""

from dataclasses import dataclass, field

import structlog

from neural_selfie.errors import SelfieError
from neural_selfie.filing import Desk, taking
from neural_selfie.model import Place

log = structlog.get_logger()


@dataclass(slots=True)
class Unsure:
    """The ids of such photos, and when each is looked for. `reason`: why the last of them could not be taken in."""

    desk: Desk
    photos: dict[int, float] = field(default_factory=dict)
    reason: str | None = None

    def settle(self, now: float) -> list[int]:
        """Finish taking them in, or find out that they are lost; where a folder is away, later.

        Return the ids of photos that are taken in and need no picture any more, so that they can be filed.
        """
        ended = []
        for photo_id in [photo_id for photo_id, at in self.photos.items() if at <= now]:
            photo = self.desk.ledger.photo(photo_id)
            try:
                if photo.place is Place.INBOX:  # else it was dropped again meanwhile
                    taking.take_in_again(self.desk, photo, now)
            except (SelfieError, OSError) as error:
                self.photos[photo_id] = now + self.desk.settings.retry.waiting_seconds
                self.reason = str(error)
                log.warning("photo.not_taken_in", photo=photo.name, reason=str(error))
            else:
                del self.photos[photo_id]
                ended += [photo_id] if self.desk.ledger.unfinished(photo_id) == 0 else []
        return ended
