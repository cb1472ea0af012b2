-- name: commit_batch
-- Store new executions and append to others, each as a whole or not at all; return the ids of those
-- that were, and '' when this server is one. What fails is left out: the others go on.
WITH alive AS MATERIALIZED (
    SELECT epoch FROM servers WHERE epoch = $1 AND lease_until > clock_timestamp() FOR KEY SHARE
),
updated AS (
    UPDATE executions AS e
    SET state = a.state, last_event = a.last_event, waits = a.waits, due_time = a.due_time,
        end_time = a.end_time, failure = a.failure,
        owner = CASE WHEN a.release THEN NULL ELSE alive.epoch END
    FROM alive, unnest(
        $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[],
        $9::text[], $10::boolean[]
    ) AS a (id, expected, state, last_event, waits, due_time, end_time, failure, release)
    WHERE e.id = a.id AND e.last_event = a.expected AND e.owner = alive.epoch AND e.end_time IS NULL
    RETURNING e.id
),
inserted AS (
    INSERT INTO executions
        (document, state, last_event, waits, due_time, end_time, failure,
         id, workflow_id, workflow_version, trace_id, create_time, key, slot, slot_limit, origin,
         alias, retention, parent, owner, request_method, request_id, fingerprint)
    SELECT n.document, n.state, n.last_event, n.waits, n.due_time, n.end_time, n.failure,
        n.id, n.workflow_id, n.workflow_version, n.trace_id, n.create_time, n.key, n.slot, n.slot_limit, n.origin,
        n.alias, n.retention, n.parent, CASE WHEN n.owned THEN alive.epoch END, n.request_method, n.request_id,
        n.fingerprint
    FROM alive, unnest(
        $11::text[], $12::text[], $13::bigint[], $14::text[], $15::bigint[], $16::bigint[], $17::text[],
        $18::text[], $19::text[], $20::bigint[], $21::text[], $22::bigint[], $23::text[], $24::text[],
        $25::integer[], $26::text[], $27::text[], $28::bigint[], $29::text[],
        $30::boolean[], $31::text[], $32::text[], $33::bytea[]
    ) AS n (document, state, last_event, waits, due_time, end_time, failure,
        id, workflow_id, workflow_version, trace_id, create_time, key, slot, slot_limit, origin,
        alias, retention, parent, owned, request_method, request_id, fingerprint)
    ON CONFLICT (request_method, request_id) WHERE request_id IS NOT NULL DO NOTHING
    RETURNING id
),
done AS MATERIALIZED (
    SELECT ARRAY (SELECT id FROM updated UNION ALL SELECT id FROM inserted) AS ids
),
logged AS (
    INSERT INTO events (execution_id, number, time, kind, attributes, payload)
    SELECT ev.execution_id, ev.number, ev.time, ev.kind, ev.attributes, ev.payload
    FROM unnest(
        $34::text[], $35::bigint[], $36::bigint[], $37::text[], $38::text[], $39::bytea[]
    ) AS ev (execution_id, number, time, kind, attributes, payload)
    WHERE ev.execution_id COLLATE "C" = ANY ((SELECT ids FROM done)::text[])
),
findable AS (
    INSERT INTO execution_attributes (execution_id, name, value)
    SELECT at.execution_id, at.name, at.value
    FROM unnest($40::text[], $41::text[], $42::text[]) AS at (execution_id, name, value)
    WHERE at.execution_id COLLATE "C" = ANY ((SELECT ids FROM done)::text[])
)
SELECT unnest(ids) AS id FROM done UNION ALL SELECT '' FROM alive;

-- name: execution_by_request
-- Find the execution that a request started.
SELECT fingerprint, document, state, last_event, waits, due_time, end_time, failure
FROM executions WHERE request_method = $1 AND request_id = $2;

-- name: get_execution
-- Find an execution by id.
SELECT document, state, last_event, waits, due_time, end_time, failure
FROM executions WHERE id = $1;

-- name: execution_by_key
-- Find the open execution of a key, else the newest one.
SELECT document, state, last_event, waits, due_time, end_time, failure FROM (
    SELECT 1 AS place, * FROM executions WHERE key = $1 AND end_time IS NULL
    UNION ALL
    (SELECT 2 AS place, * FROM executions WHERE key = $1 ORDER BY id DESC LIMIT 1)
) AS found ORDER BY place LIMIT 1;

-- name: read_events
-- Read a part of a history with its payloads, up to a size but at least one event.
SELECT number, time, kind, attributes, payload FROM (
    SELECT number, time, kind, attributes, payload,
        sum(octet_length(attributes) + coalesce(octet_length(payload), 0)) OVER (ORDER BY number) AS size,
        row_number() OVER (ORDER BY number) AS place
    FROM (
        SELECT * FROM events WHERE execution_id = $1 AND number > $2 ORDER BY number LIMIT $3
    ) AS page
) AS sized
WHERE size <= $4 OR place = 1 ORDER BY number;

-- name: read_events_without_payloads
-- Read a part of a history without touching its payloads, up to a size but at least one event.
SELECT number, time, kind, attributes, NULL::bytea AS payload FROM (
    SELECT number, time, kind, attributes,
        sum(octet_length(attributes)) OVER (ORDER BY number) AS size,
        row_number() OVER (ORDER BY number) AS place
    FROM (
        SELECT * FROM events WHERE execution_id = $1 AND number > $2 ORDER BY number LIMIT $3
    ) AS page
) AS sized
WHERE size <= $4 OR place = 1 ORDER BY number;
