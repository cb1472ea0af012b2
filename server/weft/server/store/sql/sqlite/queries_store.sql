-- name: create_schema_migrations
-- Make the table that remembers which migrations ran.
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    checksum   TEXT    NOT NULL,
    apply_time INTEGER NOT NULL
) STRICT;

-- name: count_foreign_tables
-- Tell whether a database without migrations belongs to something else.
SELECT count(*) FROM sqlite_master
WHERE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations');

-- name: applied_migrations
-- Read which migrations ran, in order.
SELECT number, name, checksum FROM schema_migrations ORDER BY number;

-- name: record_migration
-- Remember that a migration ran.
INSERT INTO schema_migrations (number, name, checksum, apply_time) VALUES (?, ?, ?, ?);

-- name: touch_health
-- Write the probe's row.
UPDATE health SET serial = serial + 1;

-- name: fill_health
-- Take space, to see whether there is some.
UPDATE health SET serial = serial + 1, filler = zeroblob(?);

-- name: empty_health
-- Give the space back.
UPDATE health SET filler = NULL;

-- name: read_health
-- Read the probe's row.
SELECT serial FROM health;

-- name: recall_request
-- Find what the first request with a key returned.
SELECT fingerprint, document FROM requests WHERE method = ? AND request_id = ?;

-- name: record_request
-- Remember what a request returned.
INSERT INTO requests (method, request_id, fingerprint, document, create_time) VALUES (?, ?, ?, ?, ?);

-- name: forget_requests
-- Drop the requests that are older than a time.
DELETE FROM requests WHERE create_time < ?;

-- name: owners
-- Read who owns what.
SELECT id, owner FROM executions WHERE owner IS NOT NULL;

-- name: current_epoch
-- Read who may write.
SELECT epoch FROM fence;
