-- name: insert_schedule
-- Store a new schedule.
INSERT INTO schedules (id, name, workflow_id, state, revision, due_time, plan, document)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: schedule_by_name
-- Find the id of the schedule that has a name.
SELECT id FROM schedules WHERE name = $1;

-- name: update_schedule
-- Replace a schedule that still has the expected revision.
UPDATE schedules SET workflow_id = $1, state = $2, revision = $3, due_time = $4, plan = $5, document = $6
WHERE id = $7 AND revision = $8;

-- name: delete_schedule
-- Remove a schedule that still has the expected revision.
DELETE FROM schedules WHERE id = $1 AND revision = $2;

-- name: delete_schedule_runs
-- Remove the runs of a schedule.
DELETE FROM schedule_runs WHERE schedule_id = $1;

-- name: get_schedule
-- Find a schedule by id or by name.
SELECT document, plan, state, revision, last_run, started, skipped, missed, failed,
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'PENDING'),
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'STARTED')
FROM schedules AS s WHERE id = $1 OR name = $1;

-- name: list_schedules
-- Page through schedules by name, of one workflow and in one state unless these are empty.
SELECT document, plan, state, revision, last_run, started, skipped, missed, failed,
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'PENDING'),
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'STARTED')
FROM schedules AS s
WHERE ($1::text = '' OR workflow_id = $1) AND ($2::text = '' OR state = $2) AND name > $3 ORDER BY name LIMIT $4 OFFSET $5;

-- name: count_schedules
-- Count schedules, of one workflow and in one state unless these are empty.
SELECT count(*) FROM schedules WHERE ($1::text = '' OR workflow_id = $1) AND ($2::text = '' OR state = $2);

-- name: next_schedule_time
-- Find when a schedule is due next.
SELECT min(due_time) FROM schedules WHERE due_time IS NOT NULL;

-- name: claim_schedules
-- Own some schedules that are due and that no other living server works on.
WITH alive AS MATERIALIZED (
    SELECT epoch FROM servers WHERE epoch = $1 AND lease_until > clock_timestamp() FOR KEY SHARE
)
UPDATE schedules AS s SET owner = alive.epoch FROM alive
WHERE s.id IN (
    SELECT id FROM schedules
    WHERE due_time <= $2
        AND (owner IS NULL OR owner = $1 OR NOT EXISTS (SELECT 1 FROM servers WHERE epoch = schedules.owner))
    ORDER BY due_time LIMIT $3 FOR UPDATE SKIP LOCKED
);

-- name: claimed_schedules
-- Read what is owned and due.
SELECT document, plan, state, revision, last_run, started, skipped, missed, failed,
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'PENDING'),
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'STARTED')
FROM schedules AS s WHERE owner = $1 AND due_time <= $2 ORDER BY due_time LIMIT $3;

-- name: settle_schedule
-- Let go of a schedule that is owned, counting its runs.
UPDATE schedules SET owner = NULL, last_run = last_run + $1::bigint,
    started = started + $2::bigint, skipped = skipped + $3::bigint, missed = missed + $4::bigint, failed = failed + $5::bigint
WHERE id = $6 AND owner = $7
RETURNING last_run;

-- name: advance_schedule
-- Store what comes next for a schedule that nobody changed.
UPDATE schedules SET state = $1, revision = $2, due_time = $3, plan = $4, document = $5 WHERE id = $6 AND revision = $7;

-- name: number_schedule_runs
-- Keep numbers for runs that are added, and make their schedule due.
UPDATE schedules SET last_run = last_run + $1::bigint, due_time = $2 WHERE id = $3 RETURNING last_run;

-- name: insert_schedule_run
-- Store a run.
INSERT INTO schedule_runs (schedule_id, number, state, buffers, document) VALUES ($1, $2, $3, $4, $5);

-- name: update_schedule_run
-- Store what came of a run.
UPDATE schedule_runs SET state = $1, document = $2 WHERE schedule_id = $3 AND number = $4;

-- name: get_schedule_run
-- Find a run.
SELECT number, state, document FROM schedule_runs WHERE schedule_id = $1 AND number = $2;

-- name: schedule_runs_in
-- Read the oldest runs in a state, those that buffer all last.
SELECT number, state, document FROM schedule_runs
WHERE schedule_id = $1 AND state = $2 ORDER BY buffers, number LIMIT $3;

-- name: list_schedule_runs
-- Page through the runs of a schedule, newest first.
SELECT number, state, document FROM schedule_runs
WHERE schedule_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3 OFFSET $4;

-- name: count_schedule_runs
-- Count the runs of a schedule.
SELECT count(*) FROM schedule_runs WHERE schedule_id = $1;

-- name: list_schedule_runs_by_state
-- Page through the runs of a schedule in one state, newest first.
SELECT number, state, document FROM schedule_runs
WHERE schedule_id = $1 AND state = $2 AND number < $3 ORDER BY number DESC LIMIT $4 OFFSET $5;

-- name: count_schedule_runs_by_state
-- Count the runs of a schedule in one state.
SELECT count(*) FROM schedule_runs WHERE schedule_id = $1 AND state = $2;

-- name: forget_schedule_runs
-- Remove some runs that are over, up to a number.
DELETE FROM schedule_runs WHERE schedule_id = $1 AND number IN (
    SELECT number FROM schedule_runs
    WHERE schedule_id = $1 AND number <= $2 AND state NOT IN ('PENDING', 'STARTED') ORDER BY number LIMIT $3
);
