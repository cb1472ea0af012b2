-- name: about_server
-- Tell what kind of server it is, and whether this role may make the schema.
SELECT current_setting('server_version_num')::integer AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('fsync') AS fsync,
    pg_is_in_recovery() AS standby,
    EXISTS (
        SELECT 1 FROM pg_namespace WHERE nspname = $1 AND NOT has_schema_privilege(oid, 'USAGE')
    ) AS closed;

-- name: has_schema
-- Tell whether a schema is there; who may not make one cannot ask for it to be made unless it is missing.
SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1);

-- name: count_foreign_tables
-- Tell whether a schema without migrations belongs to something else.
SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
    AND NOT EXISTS (
        SELECT 1 FROM pg_class AS m
        WHERE m.relnamespace = n.oid AND m.relname = 'schema_migrations'
    );

-- name: create_schema_migrations
-- Make the table that remembers which migrations ran.
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer NOT NULL PRIMARY KEY,
    name       text    NOT NULL,
    checksum   text    NOT NULL,
    apply_time bigint  NOT NULL
);

-- name: commit_durably
-- Wait for the disk in this session.
SET synchronous_commit = on;

-- name: commit_early
-- Do not wait for the disk in this session.
SET synchronous_commit = off;

-- name: has_migrations
-- Tell whether the table of migrations is there.
SELECT to_regclass('schema_migrations') IS NOT NULL;

-- name: applied_migrations
-- Read which migrations ran, in order.
SELECT number, name, checksum FROM schema_migrations ORDER BY number;

-- name: record_migration
-- Remember that a migration ran.
INSERT INTO schema_migrations (number, name, checksum, apply_time) VALUES ($1, $2, $3, $4);

-- name: lock_session
-- Wait for a lock that this session holds until it ends or lets go.
SELECT pg_advisory_lock($1, $2);

-- name: show_session
-- Hold a lock by which others see that this session is there; the one before it may not have ended yet.
SELECT pg_advisory_lock_shared($1, $2);

-- name: unlock_session
-- Let go of it.
SELECT pg_advisory_unlock($1, $2);

-- name: lock_transaction
-- Wait for locks that this transaction holds to its end, in the order given.
SELECT pg_advisory_xact_lock(wanted) FROM unnest($1::bigint[]) AS wanted;

-- name: probe
-- Write, and read what was written.
UPDATE servers SET probes = probes + 1
WHERE epoch = $1 AND lease_until > clock_timestamp() RETURNING probes;

-- name: recall_request
-- Find what the first request with a key returned.
SELECT fingerprint, document FROM requests WHERE method = $1 AND request_id = $2;

-- name: record_request
-- Remember what a request returned.
INSERT INTO requests (method, request_id, fingerprint, document, create_time) VALUES ($1, $2, $3, $4, $5);

-- name: forget_requests
-- Drop the requests that are older than a time.
WITH gone AS (DELETE FROM requests WHERE create_time < $1 RETURNING 1) SELECT count(*) FROM gone;

-- name: registry_changed
-- Tell other servers that services or workflows have changed.
UPDATE changes SET registry = registry + 1;

-- name: instances_changed
-- Tell other servers that instances were added or removed.
UPDATE changes SET instances = instances + 1;
