"""The ledger: the SQLite record of every photo and job. It is the queue, and the truth after a crash.

It knows nothing of folders (it never looks at a file it has a path of), of workers or of the configuration.
"""

from neural_selfie.ledger.admission import Admission
from neural_selfie.ledger.rows import LedgerEvent, plan_key
from neural_selfie.ledger.store import Ledger, open_ledger

__all__ = ["Admission", "Ledger", "LedgerEvent", "open_ledger", "plan_key"]
