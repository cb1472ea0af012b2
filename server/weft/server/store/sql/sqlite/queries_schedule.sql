-- name: insert_schedule
-- Store a new schedule.
INSERT INTO schedules (id, name, workflow_id, state, revision, due_time, plan, document)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: schedule_by_name
-- Find the id of the schedule that has a name.
SELECT id FROM schedules WHERE name = ?;

-- name: update_schedule
-- Replace a schedule that still has the expected revision.
UPDATE schedules SET workflow_id = ?, state = ?, revision = ?, due_time = ?, plan = ?, document = ?
WHERE id = ? AND revision = ?;

-- name: delete_schedule
-- Remove a schedule that still has the expected revision.
DELETE FROM schedules WHERE id = ? AND revision = ?;

-- name: delete_schedule_runs
-- Remove the runs of a schedule.
DELETE FROM schedule_runs WHERE schedule_id = ?;

-- name: get_schedule
-- Find a schedule by id or by name.
SELECT document, plan, state, revision, last_run, started, skipped, missed, failed,
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'PENDING'),
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'STARTED')
FROM schedules AS s WHERE id = ?1 OR name = ?1;

-- name: list_schedules
-- Page through schedules by name, of one workflow and in one state unless these are empty.
SELECT document, plan, state, revision, last_run, started, skipped, missed, failed,
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'PENDING'),
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'STARTED')
FROM schedules AS s
WHERE (?1 = '' OR workflow_id = ?1) AND (?2 = '' OR state = ?2) AND name > ?3 ORDER BY name LIMIT ?4 OFFSET ?5;

-- name: count_schedules
-- Count schedules, of one workflow and in one state unless these are empty.
SELECT count(*) FROM schedules WHERE (?1 = '' OR workflow_id = ?1) AND (?2 = '' OR state = ?2);

-- name: next_schedule_time
-- Find when a schedule is due next.
SELECT min(due_time) FROM schedules WHERE due_time IS NOT NULL;

-- name: claim_schedules
-- Own some schedules that are due: there is one process, so every other owner is gone.
UPDATE schedules SET owner = ?1
WHERE id IN (SELECT id FROM schedules WHERE due_time <= ?2 ORDER BY due_time LIMIT ?3);

-- name: claimed_schedules
-- Read what is owned and due.
SELECT document, plan, state, revision, last_run, started, skipped, missed, failed,
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'PENDING'),
    (SELECT count(*) FROM schedule_runs AS r WHERE r.schedule_id = s.id AND r.state = 'STARTED')
FROM schedules AS s WHERE owner = ?1 AND due_time <= ?2 ORDER BY due_time LIMIT ?3;

-- name: settle_schedule
-- Let go of a schedule that is owned, counting its runs.
UPDATE schedules SET owner = NULL, last_run = last_run + ?1,
    started = started + ?2, skipped = skipped + ?3, missed = missed + ?4, failed = failed + ?5
WHERE id = ?6 AND owner = ?7
RETURNING last_run;

-- name: advance_schedule
-- Store what comes next for a schedule that nobody changed.
UPDATE schedules SET state = ?, revision = ?, due_time = ?, plan = ?, document = ? WHERE id = ? AND revision = ?;

-- name: number_schedule_runs
-- Keep numbers for runs that are added, and make their schedule due.
UPDATE schedules SET last_run = last_run + ?1, due_time = ?2 WHERE id = ?3 RETURNING last_run;

-- name: insert_schedule_run
-- Store a run.
INSERT INTO schedule_runs (schedule_id, number, state, buffers, document) VALUES (?, ?, ?, ?, ?);

-- name: update_schedule_run
-- Store what came of a run.
UPDATE schedule_runs SET state = ?, document = ? WHERE schedule_id = ? AND number = ?;

-- name: get_schedule_run
-- Find a run.
SELECT number, state, document FROM schedule_runs WHERE schedule_id = ? AND number = ?;

-- name: schedule_runs_in
-- Read the oldest runs in a state, those that buffer all last.
SELECT number, state, document FROM schedule_runs
WHERE schedule_id = ? AND state = ? ORDER BY buffers, number LIMIT ?;

-- name: list_schedule_runs
-- Page through the runs of a schedule, newest first.
SELECT number, state, document FROM schedule_runs
WHERE schedule_id = ? AND number < ? ORDER BY number DESC LIMIT ? OFFSET ?;

-- name: count_schedule_runs
-- Count the runs of a schedule.
SELECT count(*) FROM schedule_runs WHERE schedule_id = ?;

-- name: list_schedule_runs_by_state
-- Page through the runs of a schedule in one state, newest first.
SELECT number, state, document FROM schedule_runs
WHERE schedule_id = ? AND state = ? AND number < ? ORDER BY number DESC LIMIT ? OFFSET ?;

-- name: count_schedule_runs_by_state
-- Count the runs of a schedule in one state.
SELECT count(*) FROM schedule_runs WHERE schedule_id = ? AND state = ?;

-- name: forget_schedule_runs
-- Remove some runs that are over, up to a number.
DELETE FROM schedule_runs WHERE schedule_id = ?1 AND number IN (
    SELECT number FROM schedule_runs
    WHERE schedule_id = ?1 AND number <= ?2 AND state NOT IN ('PENDING', 'STARTED') ORDER BY number LIMIT ?3
);
