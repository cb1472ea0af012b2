-- name: claim_execution
-- Own an open execution that is nobody's, whose state and waits this release knows; return it, and whether
-- this server owns it. No first row: the lease is lost.
WITH alive AS MATERIALIZED (
    SELECT epoch FROM servers WHERE epoch = $1 AND lease_until > clock_timestamp() FOR KEY SHARE
),
claimed AS (
    UPDATE executions AS e SET owner = alive.epoch FROM alive
    WHERE e.id = $2 AND e.owner IS NULL AND e.end_time IS NULL
        AND e.state = ANY($3::text[]) AND e.waits = ANY($4::text[])
    RETURNING e.document, e.state, e.last_event, e.waits, e.due_time, e.end_time, e.failure
)
SELECT NULL AS granted, NULL AS document, NULL AS state, NULL::bigint AS last_event, NULL AS waits,
    NULL::bigint AS due_time, NULL::bigint AS end_time, NULL AS failure
FROM alive
UNION ALL
SELECT 'yes', * FROM claimed
UNION ALL
SELECT CASE WHEN owner = $1 THEN 'yes' END,
    document, state, last_event, waits, due_time, end_time, failure
FROM executions WHERE id = $2 AND NOT EXISTS (SELECT 1 FROM claimed);

-- name: claim_due
-- Own executions that are nobody's and due, the longest due first; those that another server is about
-- to own are passed over, and those whose state or waits this release does not know.
WITH alive AS MATERIALIZED (
    SELECT epoch FROM servers WHERE epoch = $1 AND lease_until > clock_timestamp() FOR KEY SHARE
),
due AS MATERIALIZED (
    SELECT id FROM executions
    WHERE owner IS NULL AND due_time IS NOT NULL AND due_time <= $2
        AND state = ANY($4::text[]) AND waits = ANY($5::text[])
    ORDER BY due_time, id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE executions AS e SET owner = alive.epoch FROM alive, due WHERE e.id = due.id
RETURNING e.document, e.state, e.last_event, e.waits, e.due_time, e.end_time, e.failure;

-- name: next_due
-- Tell when the next execution is due that claim_due would own.
SELECT due_time FROM executions
WHERE owner IS NULL AND due_time IS NOT NULL AND state = ANY($1::text[]) AND waits = ANY($2::text[])
ORDER BY due_time LIMIT 1;

-- name: waiting_slots
-- Read the slots that somebody waits for.
SELECT DISTINCT slot FROM executions WHERE waits = 'SLOT' AND waits <> '' AND slot IS NOT NULL;

-- name: open_in_slot
-- Count the open executions of a slot, those that wait for their turn as well.
SELECT count(*) FROM executions WHERE slot = $1 AND slot IS NOT NULL AND end_time IS NULL;

-- name: running_in_slot
-- Count the open executions of a slot that have their turn.
SELECT count(*) FROM executions
WHERE slot = $1 AND slot IS NOT NULL AND end_time IS NULL AND waits <> 'SLOT';

-- name: slot_limit
-- Read the limit of a slot that the oldest who waits for it came with.
SELECT slot_limit FROM executions
WHERE slot = $1 AND slot IS NOT NULL AND end_time IS NULL AND waits = 'SLOT' ORDER BY id LIMIT 1;

-- name: grant_slot
-- Make the oldest executions due that wait for a slot.
WITH oldest AS MATERIALIZED (
    SELECT id FROM executions
    WHERE slot = $2 AND slot IS NOT NULL AND end_time IS NULL AND waits = 'SLOT' AND owner IS NULL
    ORDER BY id LIMIT $3
),
granted AS (
    UPDATE executions AS e SET waits = '', due_time = $1 FROM oldest
    WHERE e.id = oldest.id AND e.waits = 'SLOT' AND e.owner IS NULL RETURNING 1
)
SELECT count(*) FROM granted;

-- name: wake_resumed
-- Make executions due that wait for a workflow that is not paused any more.
WITH woken AS (
    UPDATE executions SET due_time = $1
    WHERE waits = 'WORKFLOW' AND waits <> '' AND owner IS NULL AND (due_time IS NULL OR due_time > $1)
        AND NOT EXISTS (
            SELECT 1 FROM workflows AS w
            WHERE w.id = executions.workflow_id AND w.state = 'PAUSED' AND w.deleted = 0
        )
    RETURNING 1
)
SELECT count(*) FROM woken;

-- name: post_command
-- Leave a command.
INSERT INTO commands (execution_id, kind, body) VALUES ($1, $2, $3);

-- name: order_oldest_of_slot
-- Leave a command for the oldest open executions of a slot: all that have to end for one more to run.
INSERT INTO commands (execution_id, kind, body)
SELECT id, $1, $2 FROM executions
WHERE slot = $3 AND slot IS NOT NULL AND end_time IS NULL
ORDER BY id LIMIT greatest(0, 1 - $4::bigint + (
    SELECT count(*) FROM executions WHERE slot = $3 AND slot IS NOT NULL AND end_time IS NULL
))
RETURNING execution_id;

-- name: take_commands
-- Remove the oldest commands for executions that this server owns, or nobody does, and return them; of some
-- kinds, or of all (NULL).
WITH alive AS MATERIALIZED (
    SELECT epoch FROM servers WHERE epoch = $1 AND lease_until > clock_timestamp() FOR KEY SHARE
),
taken AS MATERIALIZED (
    SELECT c.id FROM commands AS c LEFT JOIN executions AS e ON e.id = c.execution_id
    WHERE (e.owner IS NULL OR e.owner = $1) AND ($3::text[] IS NULL OR c.kind = ANY($3::text[]))
    ORDER BY c.id LIMIT $2 FOR UPDATE OF c SKIP LOCKED
)
DELETE FROM commands AS c USING alive, taken WHERE c.id = taken.id
RETURNING c.id, c.execution_id, c.kind, c.body;

-- name: has_commands
-- Tell whether there are commands at all.
SELECT 1 FROM commands LIMIT 1;

-- name: orphans
-- Return open executions whose parent has ended, by id.
SELECT c.id FROM executions AS c JOIN executions AS p ON p.id = c.parent
WHERE c.parent IS NOT NULL AND c.end_time IS NULL AND p.end_time IS NOT NULL AND c.id > $1
ORDER BY c.id LIMIT $2;
