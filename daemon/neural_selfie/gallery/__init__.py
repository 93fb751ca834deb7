"""The gallery: the page people open to see every painting beside its photo. It opens from disk, without a server.

`index.html` is the same for every outbox. What it shows are small scripts under `gallery/data`, made from the records
alone: `index.js` lists the shards that hold a line for each painting, `now.js` says what is going on, and what is told
about one painting lies in `gallery/details`. Nothing here asks the ledger, or paints.
"""

from neural_selfie.gallery.entries import ASSETS, Entry, Skipped, preview_of
from neural_selfie.gallery.hanging import Order, Outcome, build, hang
from neural_selfie.gallery.index import GalleryIndex, read_entries

__all__ = [
    "ASSETS",
    "Entry",
    "GalleryIndex",
    "Order",
    "Outcome",
    "Skipped",
    "build",
    "hang",
    "preview_of",
    "read_entries",
]
