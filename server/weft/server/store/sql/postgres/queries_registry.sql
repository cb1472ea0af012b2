
-- name: service_by_name
-- Tell who has a name.
SELECT id FROM services WHERE name = $1;

-- name: insert_service
-- Store a new service.
INSERT INTO services (id, name, state, revision, document, descriptors) VALUES ($1, $2, $3, $4, $5, $6);

-- name: update_service
-- Replace a service that still has the expected revision.
UPDATE services SET name = $1, state = $2, revision = $3, document = $4, descriptors = $5
WHERE id = $6 AND revision = $7;

-- name: delete_service
-- Remove a service that still has the expected revision; its instances follow by cascade.
DELETE FROM services WHERE id = $1 AND revision = $2;

-- name: get_service
-- Find a service by id or by name; no name looks like an id.
SELECT document, descriptors FROM services WHERE id = $1
UNION ALL
SELECT document, descriptors FROM services WHERE name = $1
LIMIT 1;

-- name: list_services
-- Page through all services by name.
SELECT document FROM services WHERE name > $1 ORDER BY name LIMIT $2 OFFSET $3;

-- name: count_services
-- Count all services.
SELECT count(*) FROM services;

-- name: list_services_by_state
-- Page through the services in one state by name.
SELECT document FROM services WHERE state = $1 AND name > $2 ORDER BY name LIMIT $3 OFFSET $4;

-- name: count_services_by_state
-- Count the services in one state.
SELECT count(*) FROM services WHERE state = $1;

-- name: put_instance
-- Store or replace an instance, while its service is there.
INSERT INTO instances (id, service_id, document)
SELECT $1::text, $2::text, $3::text WHERE EXISTS (SELECT 1 FROM services WHERE id = $2)
ON CONFLICT (id) DO UPDATE SET service_id = excluded.service_id, document = excluded.document;

-- name: delete_instance
-- Remove an instance.
DELETE FROM instances WHERE id = $1;

-- name: all_instances
-- Read every instance by id.
SELECT document FROM instances ORDER BY id;

-- name: exchange_heartbeats
-- Tell which instances were heard of here, and read what other servers heard of late.
WITH told AS (
    INSERT INTO heartbeats (instance_id, token, health, note, heard_time, server)
    SELECT h.id, h.token, h.health, h.note, clock_timestamp() - h.age * interval '1 microsecond', $1
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        AS h (id, token, health, note, age)
    WHERE EXISTS (SELECT 1 FROM instances AS i WHERE i.id = h.id COLLATE "C")
    ON CONFLICT (instance_id) DO UPDATE SET token = excluded.token, health = excluded.health,
        note = excluded.note, heard_time = excluded.heard_time, server = excluded.server
    WHERE excluded.heard_time > heartbeats.heard_time
)
SELECT instance_id, token, health, note,
    (extract(epoch FROM clock_timestamp() - heard_time) * 1000000)::bigint AS age
FROM heartbeats WHERE server <> $1 AND heard_time > clock_timestamp() - interval '5 seconds';
