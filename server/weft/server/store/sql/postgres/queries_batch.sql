
-- name: insert_batch
-- Store a new batch.
INSERT INTO batches (id, state, total, end_time, document) VALUES ($1, $2, $3, $4, $5);

-- name: insert_batch_items
-- Store the items of a batch.
INSERT INTO batch_items (batch_id, number, execution_id, state)
SELECT $1::text, item.number, item.id, 'PENDING'
FROM unnest($2::text[]) WITH ORDINALITY AS item (id, number);

-- name: get_batch
-- Find a batch by id.
SELECT document, state, total, succeeded, skipped, failed, end_time FROM batches WHERE id = $1;

-- name: list_batches
-- Page through all batches, newest first.
SELECT document, state, total, succeeded, skipped, failed, end_time
FROM batches WHERE id < $1 ORDER BY id DESC LIMIT $2 OFFSET $3;

-- name: count_batches
-- Count all batches.
SELECT count(*) FROM batches;

-- name: list_batch_items
-- Page through the items of a batch.
SELECT number, execution_id, state, failure, result_id FROM batch_items
WHERE batch_id = $1 AND number > $2 ORDER BY number LIMIT $3 OFFSET $4;

-- name: count_batch_items
-- Count the items of a batch.
SELECT count(*) FROM batch_items WHERE batch_id = $1;

-- name: list_batch_items_by_state
-- Page through the items of a batch in one state.
SELECT number, execution_id, state, failure, result_id FROM batch_items
WHERE batch_id = $1 AND state = $2 AND number > $3 ORDER BY number LIMIT $4 OFFSET $5;

-- name: count_batch_items_by_state
-- Count the items of a batch in one state.
SELECT count(*) FROM batch_items WHERE batch_id = $1 AND state = $2;

-- name: claim_batch
-- Own the oldest open batch that no living server works on.
WITH alive AS MATERIALIZED (
    SELECT epoch FROM servers WHERE epoch = $1 AND lease_until > clock_timestamp() FOR KEY SHARE
)
UPDATE batches AS b SET owner = alive.epoch FROM alive
WHERE b.id = (
    SELECT id FROM batches
    WHERE end_time IS NULL
        AND (owner IS NULL OR NOT EXISTS (SELECT 1 FROM servers WHERE epoch = batches.owner))
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING document, state, total, succeeded, skipped, failed, end_time;

-- name: record_batch
-- Count what came of items, in a batch that is owned and was open when they were begun; the last one ends it.
UPDATE batches SET
    succeeded = succeeded + $1::bigint, skipped = skipped + $2::bigint, failed = failed + $3::bigint,
    state = CASE WHEN end_time IS NULL AND succeeded + skipped + failed + $1::bigint + $2::bigint + $3::bigint = total THEN 'COMPLETED' ELSE state END,
    end_time = CASE WHEN end_time IS NULL AND succeeded + skipped + failed + $1::bigint + $2::bigint + $3::bigint = total THEN $4::bigint ELSE end_time END
WHERE id = $5 AND owner = $6 AND (end_time IS NULL OR state = 'CANCELLED') AND EXISTS (
    SELECT 1 FROM servers WHERE epoch = $6 AND lease_until > clock_timestamp() FOR KEY SHARE
)
RETURNING document, state, total, succeeded, skipped, failed, end_time;

-- name: record_batch_item
-- Store what came of an item.
UPDATE batch_items SET state = $1, failure = $2, result_id = $3
WHERE batch_id = $4 AND number = $5 AND state = 'PENDING';

-- name: cancel_batch
-- Stop a batch that is open.
UPDATE batches SET state = 'CANCELLED', end_time = $1 WHERE id = $2 AND end_time IS NULL;

-- name: old_batch
-- Find the batch that ended longest ago, before a time.
SELECT id FROM batches WHERE end_time IS NOT NULL AND end_time < $1 ORDER BY end_time LIMIT 1;

-- name: delete_batch_items
-- Delete some items of a batch.
DELETE FROM batch_items WHERE batch_id = $1 AND number IN (
    SELECT number FROM batch_items WHERE batch_id = $1 LIMIT $2
);

-- name: delete_batch
-- Delete a batch without items.
DELETE FROM batches WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM batch_items WHERE batch_id = $1);
