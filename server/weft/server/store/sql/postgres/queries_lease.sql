-- name: join_servers
-- Become one of the servers, with a new epoch and a lease.
WITH next AS (
    UPDATE changes SET epoch = epoch + 1 RETURNING epoch
)
INSERT INTO servers (epoch, name, lease_until)
SELECT epoch, $1, clock_timestamp() + $2::interval FROM next
RETURNING epoch;

-- name: tick
-- Renew the lease; tell how many servers there are, and what they have counted. No row: the lease is lost.
WITH renewed AS (
    UPDATE servers SET lease_until = clock_timestamp() + $2::interval
    WHERE epoch = $1 AND lease_until > clock_timestamp()
    RETURNING epoch
)
SELECT c.registry, c.instances,
    (SELECT count(*) FROM servers WHERE lease_until > clock_timestamp()) AS alive,
    ARRAY(
        SELECT s.epoch FROM servers AS s
        WHERE s.epoch <> $1 AND s.lease_until > clock_timestamp() AND NOT EXISTS (
            SELECT 1 FROM pg_locks AS l
            WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND l.classid = $3::bigint::oid AND l.objid = s.epoch::oid AND l.objsubid = 2
        )
    ) AS silent,
    EXISTS (SELECT 1 FROM servers WHERE lease_until <= clock_timestamp()) AS expired
FROM renewed, changes AS c;

-- name: reap_servers
-- Remove servers whose lease ran out, or whose session is gone; one that is amid a commit, later.
DELETE FROM servers WHERE epoch IN (
    SELECT epoch FROM servers
    WHERE lease_until <= clock_timestamp() OR epoch = ANY ($1::bigint[])
    ORDER BY epoch FOR UPDATE SKIP LOCKED
)
RETURNING epoch, name;

-- name: leave_servers
-- Be no server any more; waits for what is being committed.
DELETE FROM servers WHERE epoch = ANY ($1::bigint[]);

-- name: free_owned
-- Free what servers owned that are gone.
WITH freed AS (
    UPDATE executions SET owner = NULL WHERE owner = ANY ($1::bigint[]) RETURNING 1
)
SELECT count(*) FROM freed;

-- name: notify
-- Give hints to the other servers.
SELECT pg_notify($1, hint) FROM unnest($2::text[]) AS hint;

-- name: members
-- Read which servers have joined, whether their leases hold, and how much they own.
SELECT s.epoch, s.name, s.lease_until > clock_timestamp() AS alive,
    (SELECT count(*) FROM executions AS e WHERE e.owner = s.epoch) AS executions
FROM servers AS s ORDER BY s.epoch;

-- name: owners
-- Read who owns what.
SELECT id, owner FROM executions WHERE owner IS NOT NULL;
