"""Where the file of a photo goes: taken in from the inbox, filed with the originals, or laid in failed/ with a reason.

Guarantees: each move is written down in the ledger before it happens and is finished after a crash, with all that
belongs to the photo; nothing is ever overwritten; a file leaves a place only when it is safely in the next.
Does not guarantee: anything about a file that a person moves out of the state folder by hand.

`taking` brings photos into the state folder, `away` out of it, `departing` moves what is no photo's one file, `company`
is what travels with them, `explaining` says why.
"""

from neural_selfie.filing.desk import Desk

__all__ = ["Desk"]
