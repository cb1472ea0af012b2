-- name: all_workflow_ids
-- Read the ids of all workflows, also of those that are deleted.
SELECT id FROM workflows ORDER BY id;

-- name: discard_ended
-- Take executions out of the table that ended before a time, the longest ended first.
DELETE FROM executions
WHERE id IN (
    SELECT id FROM executions
    WHERE workflow_id = ? AND state = ? AND end_time IS NOT NULL AND retention IS NULL AND end_time < ?
    ORDER BY end_time LIMIT ?
)
RETURNING id;

-- name: discard_kept
-- Take executions out of the table that were kept as long as they say themselves.
DELETE FROM executions
WHERE id IN (
    SELECT id FROM executions
    WHERE end_time IS NOT NULL AND retention IS NOT NULL AND end_time + retention < ?
    ORDER BY end_time + retention LIMIT ?
)
RETURNING id;

-- name: discard_attributes
-- Forget what an execution was found by.
DELETE FROM execution_attributes WHERE execution_id = ?;

-- name: put_in_trash
-- Remember that the events of an execution have to go.
INSERT INTO trash (execution_id, due_time) VALUES (?, ?)
ON CONFLICT (execution_id) DO UPDATE SET due_time = excluded.due_time;

-- name: due_trash
-- Find an execution whose events have to go.
SELECT execution_id FROM trash WHERE due_time <= ? LIMIT 1;

-- name: delete_events
-- Delete some events of an execution.
DELETE FROM events WHERE execution_id = ?1 AND number IN (
    SELECT number FROM events WHERE execution_id = ?1 ORDER BY number LIMIT ?2
);

-- name: empty_trash
-- Forget an execution that has no events left.
DELETE FROM trash WHERE execution_id = ?;

-- name: has_trash
-- Tell whether events of an execution still have to go.
SELECT 1 FROM trash WHERE execution_id = ?;

-- name: import_execution
-- Store an execution that ended elsewhere, unless it is there.
INSERT INTO executions
    (document, state, last_event, waits, due_time, end_time, failure,
     id, workflow_id, create_time, key, slot, slot_limit, origin, alias, retention, parent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING;
