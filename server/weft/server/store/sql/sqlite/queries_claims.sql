-- name: take_epoch
-- Become the one who writes.
UPDATE fence SET epoch = epoch + 1 RETURNING epoch;

-- name: free_owned
-- Free what earlier epochs owned.
UPDATE executions SET owner = NULL WHERE owner IS NOT NULL;

-- name: claim_execution
-- Own an open execution that is nobody's, whose state and waits this release knows (JSON texts of lists).
UPDATE executions SET owner = ?1 WHERE id = ?2 AND owner IS NULL AND end_time IS NULL
    AND state IN (SELECT value FROM json_each(?3)) AND waits IN (SELECT value FROM json_each(?4));

-- name: claimed_execution
-- Read an execution and who owns it.
SELECT owner, document, state, last_event, waits, due_time, end_time, failure
FROM executions WHERE id = ?;

-- name: claim_due
-- Own executions that are nobody's and due, the longest due first; not those whose state or waits this
-- release does not know.
UPDATE executions SET owner = ?1
WHERE id IN (
    SELECT id FROM executions
    WHERE owner IS NULL AND due_time IS NOT NULL AND due_time <= ?2
        AND state IN (SELECT value FROM json_each(?4)) AND waits IN (SELECT value FROM json_each(?5))
    ORDER BY due_time, id LIMIT ?3
)
RETURNING document, state, last_event, waits, due_time, end_time, failure;

-- name: next_due
-- Tell when the next execution is due that claim_due would own.
SELECT due_time FROM executions
WHERE owner IS NULL AND due_time IS NOT NULL
    AND state IN (SELECT value FROM json_each(?1)) AND waits IN (SELECT value FROM json_each(?2))
ORDER BY due_time LIMIT 1;

-- name: open_in_slot
-- Count the open executions of a slot, those that wait for their turn as well.
SELECT count(*) FROM executions WHERE slot = ? AND slot IS NOT NULL AND end_time IS NULL;

-- name: running_in_slot
-- Count the open executions of a slot that have their turn.
SELECT count(*) FROM executions
WHERE slot = ? AND slot IS NOT NULL AND end_time IS NULL AND waits <> 'SLOT';

-- name: waiting_slots
-- Read the slots that somebody waits for, with the limit that the oldest of them came with.
SELECT slot, slot_limit, min(id) FROM executions WHERE waits = 'SLOT' AND waits <> '' GROUP BY slot;

-- name: grant_slot
-- Make the oldest executions due that wait for a slot.
UPDATE executions SET waits = '', due_time = ?1
WHERE id IN (
    SELECT id FROM executions
    WHERE slot = ?2 AND slot IS NOT NULL AND end_time IS NULL AND waits = 'SLOT'
    ORDER BY id LIMIT ?3
);

-- name: wake_resumed
-- Make executions due that wait for a workflow that is not paused any more.
UPDATE executions SET due_time = ?1
WHERE waits = 'WORKFLOW' AND waits <> '' AND owner IS NULL AND (due_time IS NULL OR due_time > ?1)
    AND NOT EXISTS (
        SELECT 1 FROM workflows AS w
        WHERE w.id = executions.workflow_id AND w.state = 'PAUSED' AND w.deleted = 0
    );

-- name: post_command
-- Leave a command.
INSERT INTO commands (execution_id, kind, body) VALUES (?, ?, ?);

-- name: order_oldest_of_slot
-- Leave a command for the oldest open executions of a slot: all that have to end for one more to run.
INSERT INTO commands (execution_id, kind, body)
SELECT id, ?1, ?2 FROM executions
WHERE slot = ?3 AND slot IS NOT NULL AND end_time IS NULL
ORDER BY id LIMIT max(0, 1 - ?4 + (
    SELECT count(*) FROM executions WHERE slot = ?3 AND slot IS NOT NULL AND end_time IS NULL
));

-- name: any_command
-- Tell whether there is a command.
SELECT 1 FROM commands LIMIT 1;

-- name: take_commands
-- Remove the oldest commands and return them; of some kinds (JSON text of a list), or of all (NULL).
DELETE FROM commands WHERE id IN (
    SELECT id FROM commands
    WHERE ?2 IS NULL OR kind IN (SELECT value FROM json_each(?2))
    ORDER BY id LIMIT ?1
)
RETURNING id, execution_id, kind, body;

-- name: orphans
-- Return open executions whose parent has ended, by id.
SELECT c.id FROM executions AS c JOIN executions AS p ON p.id = c.parent
WHERE c.parent IS NOT NULL AND c.end_time IS NULL AND p.end_time IS NOT NULL AND c.id > ?
ORDER BY c.id LIMIT ?;
