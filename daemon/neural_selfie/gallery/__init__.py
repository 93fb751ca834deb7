"""The gallery: the page people open to see every painting beside its photo. It opens from disk, without a server.

`page.render` is pure; `build` reads records and writes the page. Nothing here asks the ledger, or paints.
"""

from neural_selfie.gallery.build import GalleryIndex, build, read_entries
from neural_selfie.gallery.entries import Entry, Skipped, Trouble, preview_of
from neural_selfie.gallery.page import render

__all__ = ["Entry", "GalleryIndex", "Skipped", "Trouble", "build", "preview_of", "read_entries", "render"]
