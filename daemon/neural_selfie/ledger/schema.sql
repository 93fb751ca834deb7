-- The ledger, version 1. Paths are BLOBs because file names need not be UTF-8; times are seconds since the epoch.
-- Rows of photo and job are never deleted; event only grows.

CREATE TABLE photo (
    id          INTEGER PRIMARY KEY,
    sha256      TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),
    name        TEXT NOT NULL,
    dropped     BLOB NOT NULL,          -- relative to the inbox
    path        BLOB NOT NULL,          -- where its file is, or was last
    -- inbox -> state -> originals | failed | deleted ; originals, failed -> state (taken back) ; inbox -> kept
    -- any -> lost ; originals, failed, deleted, lost, kept -> inbox (dropped again)
    place       TEXT NOT NULL CHECK (place IN ('inbox', 'state', 'originals', 'failed', 'kept', 'deleted', 'lost')),
    folder      TEXT NOT NULL UNIQUE,   -- its folder in the outbox
    format      TEXT NOT NULL,
    width       INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    size_bytes  INTEGER NOT NULL,
    taken_at    TEXT,
    dropped_at  REAL NOT NULL,
    sidecar     BLOB,
    destination BLOB                    -- set while the file is being moved
) STRICT;

CREATE INDEX photo_place ON photo (place);
CREATE INDEX photo_destination ON photo (id) WHERE destination IS NOT NULL;

CREATE TABLE job (
    id               INTEGER PRIMARY KEY,
    photo_id         INTEGER NOT NULL REFERENCES photo (id),
    plan             TEXT NOT NULL CHECK (json_valid(plan)),   -- preset, variant, engine, recipe, styles, seed
    plan_key         TEXT NOT NULL,                            -- SHA-256 of what decides how the picture looks
    -- queued   -> running, waiting, cancelled
    -- running  -> rendered, queued, failed, waiting, cancelled
    -- rendered -> done, rendered, queued, cancelled
    -- waiting  -> queued, cancelled
    -- done -> queued (dropped again) ; failed, cancelled -> queued (retried)
    state            TEXT NOT NULL CHECK (state IN
                     ('queued', 'running', 'rendered', 'done', 'waiting', 'failed', 'cancelled')),
    attempts         INTEGER NOT NULL DEFAULT 0,
    failures         INTEGER NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND attempts),
    queued_at        REAL NOT NULL,
    started_at       REAL,
    finished_at      REAL,
    next_try_at      REAL NOT NULL DEFAULT 0,
    cause            TEXT,
    reason           TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    output           TEXT,
    UNIQUE (photo_id, plan_key),
    CHECK ((output IS NOT NULL) = (state IN ('rendered', 'done'))),
    CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))),
    CHECK (started_at IS NOT NULL OR state NOT IN ('running', 'rendered', 'done', 'failed'))
) STRICT;

CREATE INDEX job_state ON job (state);
CREATE INDEX job_line ON job (state, queued_at, id);
CREATE INDEX job_alarm ON job (next_try_at) WHERE state IN ('queued', 'waiting', 'rendered');
CREATE INDEX job_cancel ON job (id) WHERE cancel_requested = 1;

CREATE TABLE event (
    id       INTEGER PRIMARY KEY,
    photo_id INTEGER NOT NULL REFERENCES photo (id),
    job_id   INTEGER REFERENCES job (id),
    at       REAL NOT NULL,
    kind     TEXT NOT NULL,
    detail   TEXT NOT NULL CHECK (json_valid(detail))
) STRICT;

CREATE INDEX event_photo ON event (photo_id);
CREATE INDEX event_job ON event (job_id);

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;

CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;

-- Photos that stay in the inbox (originals: keep), so that a restart does not read them all again.
CREATE TABLE kept (
    path     BLOB PRIMARY KEY,
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode    TEXT NOT NULL,             -- unsigned 64 bits on some file systems, more than INTEGER holds
    photo_id INTEGER NOT NULL REFERENCES photo (id)
) STRICT;
