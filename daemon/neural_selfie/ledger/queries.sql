-- Every statement of the ledger, each under its name. `:name` is an argument.
-- "Unfinished" is always: queued, running, rendered, waiting.

-- name: photo_add
INSERT INTO photo (sha256, name, dropped, path, place, folder, format, width, height, size_bytes, taken_at,
                   dropped_at, sidecar)
VALUES (:sha256, :name, :dropped, :path, 'inbox', :folder, :format, :width, :height, :size_bytes, :taken_at,
        :dropped_at, :sidecar);

-- name: photo_by_id
SELECT * FROM photo WHERE id = :id;

-- name: photo_by_sha256
SELECT * FROM photo WHERE sha256 = :sha256;

-- name: photo_folder_taken
SELECT 1 FROM photo WHERE folder = :folder;

-- name: photos
SELECT * FROM photo ORDER BY id;

-- name: photos_by_place
SELECT * FROM photo WHERE place = :place ORDER BY id;

-- name: photos_in_transit
SELECT * FROM photo WHERE destination IS NOT NULL ORDER BY id;

-- name: photos_to_file
SELECT * FROM photo
WHERE place = 'state'
  AND NOT EXISTS (SELECT 1 FROM job WHERE photo_id = photo.id
                  AND state IN ('queued', 'running', 'rendered', 'waiting'))
ORDER BY id;

-- name: photos_to_take_back
SELECT * FROM photo
WHERE place IN ('originals', 'failed')
  AND id IN (SELECT photo_id FROM job WHERE state IN ('queued', 'waiting'))
ORDER BY id;

-- name: photos_kept_and_failed
SELECT * FROM photo
WHERE place = 'kept'
  AND id IN (SELECT photo_id FROM job WHERE state = 'failed')
  AND id NOT IN (SELECT photo_id FROM job WHERE state IN ('queued', 'running', 'rendered', 'waiting'))
ORDER BY id;

-- name: photo_drop_again
UPDATE photo
SET name = :name, dropped = :dropped, path = :path, place = :place, sidecar = :sidecar, dropped_at = :dropped_at
WHERE id = :id;

-- name: photo_place
UPDATE photo SET place = :place, path = :path, sidecar = :sidecar, destination = :destination WHERE id = :id;

-- name: photo_moving
UPDATE photo SET destination = :destination WHERE id = :id;

-- name: job_add
INSERT INTO job (photo_id, plan, plan_key, state, queued_at)
VALUES (:photo_id, :plan, :plan_key, 'queued', :queued_at);

-- name: job_by_id
SELECT * FROM job WHERE id = :id;

-- name: job_by_plan
SELECT * FROM job WHERE photo_id = :photo_id AND plan_key = :plan_key;

-- name: job_picture_replaced
SELECT 1 FROM job AS job JOIN job AS later ON later.photo_id = job.photo_id AND later.output = job.output
WHERE job.id = :id AND later.id != job.id AND later.state = 'done' AND later.finished_at > job.finished_at;

-- name: job_write
UPDATE job
SET state = :state, attempts = :attempts, failures = :failures, queued_at = :queued_at, started_at = :started_at,
    finished_at = :finished_at, next_try_at = :next_try_at, cause = :cause, reason = :reason,
    cancel_requested = :cancel_requested, output = :output
WHERE id = :id;

-- name: job_ask_cancel
UPDATE job SET cancel_requested = 1 WHERE id = :id;

-- name: jobs
SELECT * FROM job ORDER BY id LIMIT :limit;

-- name: jobs_newest_first
SELECT * FROM job ORDER BY id DESC LIMIT :limit;

-- name: jobs_by_state
SELECT * FROM job WHERE state = :state ORDER BY id LIMIT :limit;

-- name: jobs_by_state_newest_first
SELECT * FROM job WHERE state = :state ORDER BY id DESC LIMIT :limit;

-- name: jobs_by_photo
SELECT * FROM job WHERE photo_id = :photo_id AND (:state IS NULL OR state = :state) ORDER BY id LIMIT :limit;

-- name: jobs_by_photo_newest_first
SELECT * FROM job WHERE photo_id = :photo_id AND (:state IS NULL OR state = :state) ORDER BY id DESC LIMIT :limit;

-- name: jobs_asked_to_cancel
SELECT * FROM job
WHERE cancel_requested = 1 AND state IN ('queued', 'running', 'rendered', 'waiting')
ORDER BY id;

-- name: job_next
SELECT job.* FROM job JOIN photo ON photo.id = job.photo_id
WHERE job.state = 'queued' AND job.next_try_at <= :now AND job.cancel_requested = 0
  AND photo.place IN ('state', 'kept') AND photo.destination IS NULL
  AND job.id NOT IN (SELECT value FROM json_each(:exclude))
ORDER BY job.queued_at, job.id LIMIT 1;

-- name: jobs_beside
SELECT * FROM job
WHERE photo_id = (SELECT photo_id FROM job WHERE id = :id) AND id != :id
  AND state = 'queued' AND next_try_at <= :now AND cancel_requested = 0 AND failures = 0
ORDER BY queued_at, id;

-- name: jobs_due
SELECT * FROM job WHERE state = :state AND next_try_at <= :now ORDER BY next_try_at, id;

-- name: jobs_with_masks
SELECT job.* FROM job JOIN photo ON photo.id = job.photo_id
WHERE json_extract(plan, '$.mask.sha256') IN (SELECT value FROM json_each(:masks))
AND NOT (state IN ('failed', 'cancelled') AND place IN ('deleted', 'lost'));

-- name: next_due_at
SELECT min(next_try_at) AS at FROM job WHERE state IN ('queued', 'waiting', 'rendered') AND next_try_at > :now;

-- name: unfinished
SELECT count(*) AS jobs FROM job
WHERE photo_id = :photo_id AND state IN ('queued', 'running', 'rendered', 'waiting');

-- name: counts
SELECT state, count(*) AS jobs FROM job GROUP BY state;

-- name: event_add
INSERT INTO event (photo_id, job_id, at, kind, detail) VALUES (:photo_id, :job_id, :at, :kind, :detail);

-- name: events
SELECT * FROM event ORDER BY id;

-- name: events_by_job
SELECT * FROM event WHERE job_id = :job_id ORDER BY id;

-- name: events_by_photo
SELECT * FROM event WHERE photo_id = :photo_id ORDER BY id;

-- name: dropped_again
SELECT * FROM event
WHERE id > (SELECT coalesce(max(id), 0) FROM event) - 20000 AND kind = 'photo.dropped_again'
ORDER BY id DESC LIMIT :limit;

-- name: kept_add
INSERT INTO kept (path, size, mtime_ns, inode, photo_id) VALUES (:path, :size, :mtime_ns, :inode, :photo_id)
ON CONFLICT (path) DO UPDATE
SET size = excluded.size, mtime_ns = excluded.mtime_ns, inode = excluded.inode, photo_id = excluded.photo_id;

-- name: kept_find
SELECT photo_id FROM kept WHERE path = :path AND size = :size AND mtime_ns = :mtime_ns AND inode = :inode;

-- name: kept_forget
DELETE FROM kept WHERE path = :path;

-- name: departure_begin
INSERT INTO departure (path, destination, sidecar, mask) VALUES (:path, :destination, :sidecar, :mask)
ON CONFLICT (path) DO UPDATE
SET destination = excluded.destination, sidecar = excluded.sidecar, mask = excluded.mask;

-- name: departure_end
DELETE FROM departure WHERE path = :path;

-- name: departures
SELECT * FROM departure ORDER BY path;

-- name: violations
SELECT 'job ' || id || ' is ' || state || ' but has no picture' AS violation
FROM job WHERE state IN ('rendered', 'done') AND output IS NULL
UNION ALL
SELECT 'job ' || id || ' is ' || state || ' but was never started'
FROM job WHERE state IN ('running', 'rendered', 'done', 'failed') AND (started_at IS NULL OR attempts = 0)
UNION ALL
SELECT 'job ' || id || ' has failed more often than it was started' FROM job WHERE failures > attempts
UNION ALL
SELECT 'job ' || id || ' is ' || state || ' but carries a time of its end'
FROM job WHERE state IN ('queued', 'running', 'rendered', 'waiting') AND finished_at IS NOT NULL
UNION ALL
SELECT 'job ' || id || ' is ' || state || ' but nobody knows since when'
FROM job WHERE state IN ('done', 'failed', 'cancelled') AND finished_at IS NULL
UNION ALL
SELECT 'job ' || job.id || ' is ' || job.state || ' but its photo is ' || photo.place
FROM job JOIN photo ON photo.id = job.photo_id
WHERE job.state IN ('queued', 'waiting') AND photo.place IN ('deleted', 'lost')
UNION ALL
SELECT 'job ' || job.id || ' is ' || job.state || ' but its photo is in ' || photo.place
FROM job JOIN photo ON photo.id = job.photo_id
WHERE job.state IN ('running', 'rendered') AND photo.place IN ('originals', 'failed', 'deleted')
UNION ALL
SELECT 'photo ' || id || ' is on its way though its file is gone'
FROM photo WHERE place IN ('deleted', 'lost') AND destination IS NOT NULL
UNION ALL
SELECT 'job ' || job.id || ' is ' || job.state || ' but its last event says otherwise'
FROM job LEFT JOIN event ON event.id = (SELECT max(id) FROM event WHERE job_id = job.id AND kind != 'job.cancel_asked')
WHERE json_extract(event.detail, '$.to') IS NOT job.state;

-- name: broken_references
PRAGMA foreign_key_check;

-- name: broken_pages
PRAGMA quick_check;

-- name: data_version
PRAGMA data_version;
