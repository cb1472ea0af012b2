-- name: cached_output
-- Find what is kept under a key.
SELECT output FROM step_cache WHERE key = ? AND expire_time > ?;

-- name: cache_output
-- Keep an output in place of what was kept under its key.
INSERT INTO step_cache (key, output, expire_time) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET output = excluded.output, expire_time = excluded.expire_time;

-- name: sweep_cache
-- Delete some outputs whose time is over.
DELETE FROM step_cache WHERE key IN (
    SELECT key FROM step_cache WHERE expire_time <= ?1 ORDER BY expire_time LIMIT ?2
);

-- name: ask_permit
-- Stand in the queue for a permit, unless the call stands there or has one.
INSERT INTO step_permits (scope, execution_id, path, concurrency, rate, per) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (execution_id, path) DO NOTHING;

-- name: get_permit
-- Read from when on a call may begin.
SELECT begin_time FROM step_permits WHERE execution_id = ? AND path = ?;

-- name: permits_of
-- Read of which paths an execution has permits or waits for them, and from when on they may begin.
SELECT scope, path, begin_time FROM step_permits WHERE execution_id = ?;

-- name: drop_permit
-- Forget a call.
DELETE FROM step_permits WHERE execution_id = ? AND path = ?;

-- name: next_permit
-- Find the call that waits longest, and whether its execution is open.
SELECT p.id, p.execution_id, p.concurrency, p.rate, p.per,
    EXISTS (SELECT 1 FROM executions AS e WHERE e.id = p.execution_id AND e.end_time IS NULL) AS alive
FROM step_permits AS p WHERE p.scope = ? AND p.begin_time IS NULL ORDER BY p.id LIMIT 1;

-- name: drop_permit_by_id
-- Forget a call.
DELETE FROM step_permits WHERE id = ?;

-- name: held_permits
-- Count the permits of a scope whose executions are open.
SELECT count(*) FROM step_permits AS p
WHERE p.scope = ? AND p.begin_time IS NOT NULL
    AND EXISTS (SELECT 1 FROM executions AS e WHERE e.id = p.execution_id AND e.end_time IS NULL);

-- name: give_permit
-- Let a call begin at a time.
UPDATE step_permits SET begin_time = ? WHERE id = ?;

-- name: get_rate
-- Read the last window of a scope, and how many begin in it.
SELECT window_start, used FROM step_rates WHERE scope = ?;

-- name: set_rate
-- Remember the last window of a scope.
INSERT INTO step_rates (scope, window_start, used, expire_time) VALUES (?, ?, ?, ?)
ON CONFLICT (scope) DO UPDATE
SET window_start = excluded.window_start, used = excluded.used, expire_time = excluded.expire_time;

-- name: sweep_rates
-- Forget some windows that are over.
DELETE FROM step_rates WHERE scope IN (
    SELECT scope FROM step_rates WHERE expire_time <= ?1 ORDER BY expire_time LIMIT ?2
);

-- name: any_permit
-- Tell whether there is a call with a limit at all.
SELECT 1 FROM step_permits LIMIT 1;

-- name: dead_permits
-- Read what executions hold that have ended.
SELECT id, scope FROM step_permits WHERE begin_time IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM executions AS e WHERE e.id = step_permits.execution_id AND e.end_time IS NULL
) LIMIT ?;

-- name: free_scopes
-- Read for which scopes calls wait although one may begin, or wait whose executions have ended.
SELECT first.scope FROM (
    SELECT scope, min(id) AS id FROM step_permits WHERE begin_time IS NULL GROUP BY scope
) AS waiting
JOIN step_permits AS first ON first.id = waiting.id
WHERE first.concurrency > (
    SELECT count(*) FROM step_permits AS p
    WHERE p.scope = first.scope AND p.begin_time IS NOT NULL
        AND EXISTS (SELECT 1 FROM executions AS e WHERE e.id = p.execution_id AND e.end_time IS NULL)
)
OR NOT EXISTS (SELECT 1 FROM executions AS e WHERE e.id = first.execution_id AND e.end_time IS NULL);

-- name: wake_permitted
-- Make an execution due that nobody owns, from when on a call of it may begin.
UPDATE executions SET due_time = (
    SELECT min(p.begin_time) FROM step_permits AS p
    WHERE p.execution_id = executions.id AND p.begin_time IS NOT NULL
)
WHERE id = ?1 AND owner IS NULL AND waits = 'STEP_LIMIT' AND waits <> '' AND EXISTS (
    SELECT 1 FROM step_permits AS p
    WHERE p.execution_id = executions.id AND p.begin_time IS NOT NULL
        AND (executions.due_time IS NULL OR p.begin_time < executions.due_time)
);

-- name: missed_turns
-- Read which executions nobody owns, and are due later than a call of them may begin.
SELECT e.id FROM executions AS e
WHERE e.owner IS NULL AND e.waits = 'STEP_LIMIT' AND e.waits <> '' AND EXISTS (
    SELECT 1 FROM step_permits AS p
    WHERE p.execution_id = e.id AND p.begin_time IS NOT NULL
        AND (e.due_time IS NULL OR p.begin_time < e.due_time)
) LIMIT ?;
