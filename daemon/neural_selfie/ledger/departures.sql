-- The ledger, version 2: files that leave the inbox or failed/ without being the one file of a photo, that is second
-- copies and what is refused. A row is there from before the move until the last of the company has followed: after a
-- crash the rest is done, and there are neither two of them nor a sidecar without its photo.

CREATE TABLE departure (
    path        BLOB PRIMARY KEY,       -- where the file is, or was
    destination BLOB,                   -- where it is going; NULL: it is removed
    sidecar     BLOB,                   -- where its company was
    mask        BLOB
) STRICT;
