-- name: insert_batch
-- Store a new batch.
INSERT INTO batches (id, state, total, end_time, document) VALUES (?, ?, ?, ?, ?);

-- name: insert_batch_items
-- Store the items of a batch: ids of executions as a JSON array.
INSERT INTO batch_items (batch_id, number, execution_id, state)
SELECT ?1, key + 1, value, 'PENDING' FROM json_each(?2);

-- name: get_batch
-- Find a batch by id.
SELECT document, state, total, succeeded, skipped, failed, end_time FROM batches WHERE id = ?;

-- name: list_batches
-- Page through all batches, newest first.
SELECT document, state, total, succeeded, skipped, failed, end_time
FROM batches WHERE id < ? ORDER BY id DESC LIMIT ? OFFSET ?;

-- name: count_batches
-- Count all batches.
SELECT count(*) FROM batches;

-- name: list_batch_items
-- Page through the items of a batch.
SELECT number, execution_id, state, failure, result_id FROM batch_items
WHERE batch_id = ? AND number > ? ORDER BY number LIMIT ? OFFSET ?;

-- name: count_batch_items
-- Count the items of a batch.
SELECT count(*) FROM batch_items WHERE batch_id = ?;

-- name: list_batch_items_by_state
-- Page through the items of a batch in one state.
SELECT number, execution_id, state, failure, result_id FROM batch_items
WHERE batch_id = ? AND state = ? AND number > ? ORDER BY number LIMIT ? OFFSET ?;

-- name: count_batch_items_by_state
-- Count the items of a batch in one state.
SELECT count(*) FROM batch_items WHERE batch_id = ? AND state = ?;

-- name: claim_batch
-- Own the oldest open batch that nobody works on: there is one process, so every other epoch is gone.
UPDATE batches SET owner = ?1
WHERE id = (
    SELECT id FROM batches WHERE end_time IS NULL AND (owner IS NULL OR owner <> ?1) ORDER BY id LIMIT 1
)
RETURNING document, state, total, succeeded, skipped, failed, end_time;

-- name: record_batch
-- Count what came of items, in a batch that is owned and was open when they were begun; the last one ends it.
UPDATE batches SET
    succeeded = succeeded + ?1, skipped = skipped + ?2, failed = failed + ?3,
    state = CASE WHEN end_time IS NULL AND succeeded + skipped + failed + ?1 + ?2 + ?3 = total THEN 'COMPLETED' ELSE state END,
    end_time = CASE WHEN end_time IS NULL AND succeeded + skipped + failed + ?1 + ?2 + ?3 = total THEN ?4 ELSE end_time END
WHERE id = ?5 AND owner = ?6 AND (end_time IS NULL OR state = 'CANCELLED')
RETURNING document, state, total, succeeded, skipped, failed, end_time;

-- name: record_batch_item
-- Store what came of an item.
UPDATE batch_items SET state = ?, failure = ?, result_id = ?
WHERE batch_id = ? AND number = ? AND state = 'PENDING';

-- name: cancel_batch
-- Stop a batch that is open.
UPDATE batches SET state = 'CANCELLED', end_time = ? WHERE id = ? AND end_time IS NULL;

-- name: old_batch
-- Find the batch that ended longest ago, before a time.
SELECT id FROM batches WHERE end_time IS NOT NULL AND end_time < ? ORDER BY end_time LIMIT 1;

-- name: delete_batch_items
-- Delete some items of a batch.
DELETE FROM batch_items WHERE batch_id = ?1 AND number IN (
    SELECT number FROM batch_items WHERE batch_id = ?1 LIMIT ?2
);

-- name: delete_batch
-- Delete a batch without items.
DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM batch_items WHERE batch_id = ?1);
