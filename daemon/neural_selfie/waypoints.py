"""The way of a photo as a table of waypoints: the places in the code where a kill or a power cut would be felt most.

`reached` is called at each of them and does nothing. It is here for the reader, who finds at every name what is true of
photo, ledger and folders at that moment, and for the tests, which let a daemon die at every one of them and look at
what the next start makes of it. No setting and no environment variable changes what it does.
"""

from collections.abc import Mapping
from types import MappingProxyType

# What is not mentioned is as it was at the waypoint before. "Company" is a photo's sidecar and mask.
WAYPOINTS: Mapping[str, str] = MappingProxyType(
    {
        # From the inbox into the state folder
        "photo.sighted": "A file lies in the inbox and may settle; nothing is written down.",
        "photo.inspected": "The inspector has said whether it is a whole picture; nothing is written down.",
        "mask.kept": "A copy of its mask lies in the state folder under its hash; nothing is written down.",
        "photo.admitted": "The ledger has the photo (place inbox) and its jobs; every file is still in the inbox.",
        "photo.taken": "The photo lies in the state folder, its company in the inbox; the ledger says inbox.",
        "photo.remembered": "With `keep`: the ledger knows the file that stays in the inbox; the place is still inbox.",
        "photo.ready": "The ledger says state (or kept), and photo and company are there: it may be painted.",
        # From the line to the outbox
        "job.started": "The ledger says running; no worker has the job yet.",
        "job.handed_out": "A worker paints; the ledger says running.",
        "job.came_back": "The daemon has the picture in memory or knows why there is none; the ledger says running.",
        "result.spooled": "Picture and record lie in the state folder; the ledger says running.",
        "job.rendered": "The ledger says rendered; the outbox has nothing, or what an earlier try left.",
        "outbox.folder_made": "The photo has its folder in the outbox; the picture is in the state folder only.",
        "preview.published": "The outbox has the small copy of the photo; the picture is in the state folder only.",
        "picture.published": "The outbox has the picture without its record, so that it counts as not there.",
        "record.published": "The outbox has picture and record; the ledger still says rendered.",
        "job.done": "The ledger says done; the state folder still has the picture, too.",
        "spool.emptied": "The state folder has no picture of the job any more.",
        "gallery.updated": "The page shows what the outbox has.",
        # From the state folder to originals or failed, and back
        "photo.finished": "No job of the photo is unfinished; it lies in the state folder (or the inbox, with `keep`).",
        "destination.written": "The ledger knows where the photo is about to be moved; it has not moved.",
        "photo.moved": "The photo lies in originals or failed; the ledger says state, on its way there.",
        "photo.returned": "The photo lies in the state folder again; the ledger says failed, on its way back.",
        "photo.deleted": "With `delete`: the photo is gone, its company is not; the ledger says state.",
        "photo.filed": "The ledger says where the photo is for good, and its company is there, too.",
        # What travels with a photo, and what is said of it
        "mask.moved": "The mask is where its photo is; the sidecar may still be where both were.",
        "sidecar.moved": "The sidecar is where its photo is; the ledger does not say so yet.",
        "explanation.written": "failed/ has the explanation of a file; the file itself may still be on its way.",
        "explanation.withdrawn": "failed/ has no explanation any more; its file may still be there.",
        # Second copies and refused files
        "departure.written": "The ledger knows where the file is about to go; it has not moved.",
        "departure.left": "The file lies in originals or failed, or is deleted; its company is where it was.",
        "departure.ended": "The company has followed, and the ledger has forgotten the departure.",
        # Inside each durable operation on a file
        "write.synced": "The new content lies whole under a temporary name; the old one is in place.",
        "write.named": "The new content is in place; the folder is not synced.",
        "removal.done": "The file has no name any more; the folder is not synced.",
        "move.begun": "The file and its content are on the disk, where it was.",
        "move.copied": "To another file system: a whole copy lies there under a temporary name.",
        "move.named": "The file has its new name (to another file system: and still its old one); nothing is synced.",
        "move.doubled": "To another file system: the file is safe there, and still where it was.",
        "move.claimed": "To another file system: the file is safe there; where it was it has a temporary name.",
        "move.left": "To another file system: the file is gone from where it was; that folder is not synced.",
        "move.twin_found": "A move that had been cut short is being completed: the file is safe in both places.",
        # The next start
        "recovery.begun": "The daemon has its lock and its ledger; all is as the last run left it.",
        "recovery.move_settled": "A photo that was on its way has arrived, or is back where it was.",
        "recovery.departure_settled": "A file that was departing is gone with its company, or has not left.",
        "recovery.taken_in": "A photo that was admitted has been taken in.",
        "recovery.put_back": "A job that was being painted is in the line again.",
        "recovery.explained": "With `keep`: a failure is explained that nobody had been told of.",
        "recovery.spool_swept": "A painted picture that nobody waits for is removed.",
        "recovery.part_removed": "A half-made file is removed.",
        "recovery.ended": "Every photo is in exactly one place, and no job is running.",
    }
)


def reached(_waypoint: str) -> None:
    """Given the name of a waypoint that was just reached, do nothing."""
