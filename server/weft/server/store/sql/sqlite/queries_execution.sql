-- name: insert_execution
-- Store a new execution, unless its request started one already.
INSERT INTO executions
    (document, state, last_event, waits, due_time, end_time, failure,
     id, workflow_id, create_time, key, slot, slot_limit, origin, alias, retention, parent,
     owner, request_method, request_id, fingerprint)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request_method, request_id) WHERE request_id IS NOT NULL DO NOTHING;

-- name: update_execution
-- Replace what changes of an execution that is open, owned, and whose newest event is the expected one:
-- state, last_event, waits, due_time, end_time, failure, owner; id, the expected event, the epoch.
UPDATE executions
SET state = new.column1, last_event = new.column2, waits = new.column3, due_time = new.column4,
    end_time = new.column5, failure = new.column6, owner = new.column7
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS new
WHERE id = new.column8 AND executions.last_event = new.column9 AND executions.owner = new.column10
    AND executions.end_time IS NULL;

-- name: advance_execution
-- Likewise, where only the newest event changes: last_event; id, the expected event, the epoch.
UPDATE executions SET last_event = new.column1
FROM (VALUES (?, ?, ?, ?)) AS new
WHERE id = new.column2 AND executions.last_event = new.column3 AND executions.owner = new.column4
    AND executions.end_time IS NULL;

-- name: insert_event
-- Append an event to a history.
INSERT INTO events (execution_id, number, time, kind, attributes, payload) VALUES (?, ?, ?, ?, ?, ?);

-- name: insert_attribute
-- Make an execution findable by an attribute.
INSERT INTO execution_attributes (execution_id, name, value) VALUES (?, ?, ?);

-- name: execution_by_request
-- Find the execution that a request started.
SELECT fingerprint, document, state, last_event, waits, due_time, end_time, failure
FROM executions WHERE request_method = ? AND request_id = ?;

-- name: get_execution
-- Find an execution by id.
SELECT document, state, last_event, waits, due_time, end_time, failure
FROM executions WHERE id = ?;

-- name: execution_by_key
-- Find the open execution of a key, else the newest one.
SELECT document, state, last_event, waits, due_time, end_time, failure FROM (
    SELECT * FROM executions WHERE key = ?1 AND end_time IS NULL
    UNION ALL
    SELECT * FROM (SELECT * FROM executions WHERE key = ?1 ORDER BY id DESC LIMIT 1)
) LIMIT 1;

-- name: read_events
-- Read a part of a history with its payloads.
SELECT number, time, kind, attributes, payload FROM events
WHERE execution_id = ? AND number > ? ORDER BY number LIMIT ?;

-- name: read_events_without_payloads
-- Read a part of a history without touching its payloads.
SELECT number, time, kind, attributes, NULL FROM events
WHERE execution_id = ? AND number > ? ORDER BY number LIMIT ?;
