
-- name: all_workflow_ids
-- Read the ids of all workflows, also of those that are deleted.
SELECT id FROM workflows ORDER BY id;

-- name: discard_ended
-- Take executions out of the table that ended before a time, the longest ended first.
DELETE FROM executions
WHERE id IN (
    SELECT id FROM executions
    WHERE workflow_id = $1 AND state = $2 AND end_time IS NOT NULL AND retention IS NULL AND end_time < $3
    ORDER BY end_time LIMIT $4 FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: discard_kept
-- Take executions out of the table that were kept as long as they say themselves.
DELETE FROM executions
WHERE id IN (
    SELECT id FROM executions
    WHERE end_time IS NOT NULL AND retention IS NOT NULL AND end_time + retention < $1
    ORDER BY end_time + retention LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: discard_attributes
-- Forget what an execution was found by.
DELETE FROM execution_attributes WHERE execution_id = ANY ($1::text[]);

-- name: put_in_trash
-- Remember that the events of an execution have to go.
INSERT INTO trash (execution_id, due_time) SELECT id, $2::bigint FROM unnest($1::text[]) AS id
ON CONFLICT (execution_id) DO UPDATE SET due_time = excluded.due_time;

-- name: due_trash
-- Find an execution whose events have to go.
SELECT execution_id FROM trash WHERE due_time <= $1 LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: delete_events
-- Delete some events of an execution.
DELETE FROM events WHERE execution_id = $1 AND number IN (
    SELECT number FROM events WHERE execution_id = $1 ORDER BY number LIMIT $2
);

-- name: empty_trash
-- Forget an execution that has no events left.
DELETE FROM trash WHERE execution_id = $1;

-- name: has_trash
-- Tell whether events of an execution still have to go.
SELECT 1 FROM trash WHERE execution_id = $1;

-- name: import_execution
-- Store an execution that ended elsewhere, unless it is there.
INSERT INTO executions
    (document, state, last_event, waits, due_time, end_time, failure,
     id, workflow_id, workflow_version, trace_id, create_time, key, slot, slot_limit, origin,
     alias, retention, parent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT (id) DO NOTHING;

-- name: insert_events
-- Store the events of an execution.
INSERT INTO events (execution_id, number, time, kind, attributes, payload)
SELECT $1::text, number, time, kind, attributes, payload
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])
    AS event (number, time, kind, attributes, payload);

-- name: insert_attributes
-- Make executions findable by attributes.
INSERT INTO execution_attributes (execution_id, name, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[]);
