-- name: insert_execution
-- Store a new execution, unless its request started one already.
INSERT INTO executions
    (id, workflow_id, state, last_event, document, request_method, request_id, fingerprint)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request_method, request_id) WHERE request_id IS NOT NULL DO NOTHING;

-- name: update_execution
-- Replace the summary of an execution that is open and whose newest event is the expected one.
UPDATE executions SET state = ?, last_event = ?, document = ?
WHERE id = ? AND last_event = ? AND state = 'RUNNING';

-- name: insert_event
-- Append an event to a history.
INSERT INTO events (execution_id, number, time, kind, attributes, payload) VALUES (?, ?, ?, ?, ?, ?);

-- name: execution_by_request
-- Find the execution that a request started.
SELECT fingerprint, document FROM executions WHERE request_method = ? AND request_id = ?;

-- name: get_execution
-- Find an execution by id.
SELECT document FROM executions WHERE id = ?;

-- name: list_executions
-- Page through all executions, newest first.
SELECT document FROM executions WHERE id < ? ORDER BY id DESC LIMIT ? OFFSET ?;

-- name: count_executions
-- Count all executions.
SELECT count(*) FROM executions;

-- name: list_executions_by_workflow
-- Page through the executions of one workflow, newest first.
SELECT document FROM executions WHERE workflow_id = ? AND id < ? ORDER BY id DESC LIMIT ? OFFSET ?;

-- name: count_executions_by_workflow
-- Count the executions of one workflow.
SELECT count(*) FROM executions WHERE workflow_id = ?;

-- name: list_executions_by_state
-- Page through the executions in one state, newest first.
SELECT document FROM executions WHERE state = ? AND id < ? ORDER BY id DESC LIMIT ? OFFSET ?;

-- name: count_executions_by_state
-- Count the executions in one state.
SELECT count(*) FROM executions WHERE state = ?;

-- name: list_executions_by_workflow_state
-- Page through the executions of one workflow in one state, newest first.
SELECT document FROM executions
WHERE workflow_id = ? AND state = ? AND id < ? ORDER BY id DESC LIMIT ? OFFSET ?;

-- name: count_executions_by_workflow_state
-- Count the executions of one workflow in one state.
SELECT count(*) FROM executions WHERE workflow_id = ? AND state = ?;

-- name: open_executions
-- Read the executions that have not ended, by id.
SELECT document FROM executions WHERE state = 'RUNNING' AND id > ? ORDER BY id LIMIT ?;

-- name: read_events
-- Read a part of a history with its payloads.
SELECT number, time, kind, attributes, payload FROM events
WHERE execution_id = ? AND number > ? ORDER BY number LIMIT ?;

-- name: read_events_without_payloads
-- Read a part of a history without touching its payloads.
SELECT number, time, kind, attributes, NULL FROM events
WHERE execution_id = ? AND number > ? ORDER BY number LIMIT ?;
