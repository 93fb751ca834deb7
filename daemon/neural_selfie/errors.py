"""One class per cause of failure. What to do about it is an attribute of the class, so no caller asks for types.

`code` is the stable word in the ledger, in `.error.json` and in the log. `retryable`: another attempt may succeed, and
it is counted. `environmental`: the cause lies outside photo and program (disk full, share gone, weights missing); the
job waits and no attempt is counted. `exit_code` is what a command ends with. Every message is a sentence for the
person who has to act on it; every class can be pickled, because errors come back from worker processes.
"""

from typing import ClassVar


class SelfieError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    environmental: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or self.code).strip()


class UsageError(SelfieError):
    """The command was not called as it should be."""

    code = "usage"
    exit_code = 64


class LedgerBusyError(SelfieError):
    """Another daemon works on this state folder."""

    code = "ledger_busy"
    exit_code = 75


class PermissionDeniedError(SelfieError):
    """A file or folder may not be used by this user."""

    code = "permission"
    environmental = True
    exit_code = 77


class ConfigError(SelfieError):
    """The configuration cannot be used."""

    code = "config"
    exit_code = 78


class PhotoRefusedError(SelfieError):
    """This photo cannot be painted, today or tomorrow."""

    code = "photo_refused"


class NotAPictureError(PhotoRefusedError):
    """The file is not a picture in a format that can be read."""

    code = "not_a_picture"


class NotAFileError(PhotoRefusedError):
    """A link, pipe, socket or device is not a photo and is never opened."""

    code = "not_a_file"


class DamagedPhotoError(PhotoRefusedError):
    """The file begins as a picture but cannot be decoded."""

    code = "damaged_photo"


class TruncatedPhotoError(DamagedPhotoError):
    """The picture ends too early: it may still be copied, so it is looked at again before it counts as damaged."""

    code = "truncated_photo"


class PhotoTooLargeError(PhotoRefusedError):
    """The picture has more pixels or bytes than the configured limit."""

    code = "photo_too_large"


class PhotoTooSmallError(PhotoRefusedError):
    """The picture has too few pixels to be painted."""

    code = "photo_too_small"


class SidecarError(PhotoRefusedError):
    """The sidecar beside the photo cannot be understood."""

    code = "sidecar"


class PicksError(PhotoRefusedError):
    """A file of picks cannot be understood."""

    code = "picks"


class StyleUnavailableError(SelfieError):
    """A style image is missing or cannot be decoded."""

    code = "style_unavailable"
    environmental = True


class EngineUnavailableError(SelfieError):
    """The engine cannot run here: it, or the weights it needs, are not installed."""

    code = "engine_unavailable"
    environmental = True


class WeightsUnavailableError(EngineUnavailableError):
    """The network's weights are not there, or the file cannot be used."""

    code = "weights_unavailable"


class StorageUnavailableError(SelfieError):
    """A folder is full, read-only or gone."""

    code = "storage_unavailable"
    environmental = True


class OutOfDeviceMemoryError(SelfieError):
    """The device has too little free memory for this picture."""

    code = "out_of_memory"
    environmental = True


class EngineFailedError(SelfieError):
    """The engine raised an error that nobody foresaw."""

    code = "engine_failed"
    retryable = True


class PhotoChangedError(SelfieError):
    """Somebody wrote to the photo after it was taken in: it is another photo now."""

    code = "photo_changed"


class WorkerDiedError(SelfieError):
    """The worker process ended while it painted."""

    code = "worker_died"
    retryable = True


class WorkerHungError(SelfieError):
    """The worker process made no progress for too long and was ended."""

    code = "worker_hung"
    retryable = True
