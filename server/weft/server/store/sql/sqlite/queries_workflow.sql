-- name: workflow_by_name
-- Tell who has a name.
SELECT id FROM workflows WHERE name = ? AND deleted = 0;

-- name: insert_workflow
-- Store a new workflow.
INSERT INTO workflows (id, name, state, revision, version, document, labels) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: update_workflow
-- Replace a workflow that still has the expected revision.
UPDATE workflows SET name = ?, state = ?, revision = ?, version = ?, document = ?, labels = ?
WHERE id = ? AND revision = ? AND deleted = 0;

-- name: delete_workflow
-- Mark a workflow that still has the expected revision as deleted.
UPDATE workflows SET deleted = 1 WHERE id = ? AND revision = ? AND deleted = 0;

-- name: add_workflow_version
-- Store a version, unless it is there: a stored version never changes.
INSERT INTO workflow_versions (workflow_id, version, create_time, definition) VALUES (?, ?, ?, ?)
ON CONFLICT (workflow_id, version) DO NOTHING;

-- name: get_workflow
-- Find a workflow by id or, unless it is deleted, by name; version 0 is the latest.
SELECT w.document, w.deleted, v.version, v.create_time, v.definition
FROM (
    SELECT * FROM workflows WHERE id = ?1
    UNION ALL
    SELECT * FROM workflows WHERE name = ?1 AND deleted = 0
    LIMIT 1
) AS w
JOIN workflow_versions AS v
    ON v.workflow_id = w.id AND v.version = CASE ?2 WHEN 0 THEN w.version ELSE ?2 END;

-- name: list_workflows
-- Page through the workflows that are not deleted by name.
SELECT w.document, w.deleted, v.version, v.create_time, v.definition
FROM workflows AS w
JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.version
WHERE w.deleted = 0 AND w.name > ?
ORDER BY w.name LIMIT ? OFFSET ?;

-- name: count_workflows
-- Count the workflows that are not deleted.
SELECT count(*) FROM workflows WHERE deleted = 0;

-- name: list_workflows_by_state
-- Page through the workflows in one state that are not deleted by name.
SELECT w.document, w.deleted, v.version, v.create_time, v.definition
FROM workflows AS w
JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.version
WHERE w.deleted = 0 AND w.state = ? AND w.name > ?
ORDER BY w.name LIMIT ? OFFSET ?;

-- name: count_workflows_by_state
-- Count the workflows in one state that are not deleted.
SELECT count(*) FROM workflows WHERE deleted = 0 AND state = ?;

-- name: list_workflows_by_labels
-- Page through the workflows that have labels, perhaps in one state, that are not deleted by name.
SELECT w.document, w.deleted, v.version, v.create_time, v.definition
FROM workflows AS w
JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.version
WHERE w.deleted = 0 AND (?1 = '' OR w.state = ?1) AND w.labels IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM json_each(?2) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM json_each(w.labels) AS label
            WHERE label.key = wanted.key AND label.value = wanted.value
        )
    )
    AND w.name > ?3
ORDER BY w.name LIMIT ?4 OFFSET ?5;

-- name: count_workflows_by_labels
-- Count the workflows that have labels, perhaps in one state, that are not deleted.
SELECT count(*) FROM workflows AS w
WHERE w.deleted = 0 AND (?1 = '' OR w.state = ?1) AND w.labels IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM json_each(?2) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM json_each(w.labels) AS label
            WHERE label.key = wanted.key AND label.value = wanted.value
        )
    );

-- name: list_workflow_versions
-- Page through the versions of a workflow, newest first.
SELECT w.document, w.deleted, v.version, v.create_time, v.definition
FROM workflows AS w
JOIN workflow_versions AS v ON v.workflow_id = w.id
WHERE w.id = ? AND v.version < ?
ORDER BY v.version DESC LIMIT ? OFFSET ?;

-- name: count_workflow_versions
-- Count the versions of a workflow.
SELECT count(*) FROM workflow_versions WHERE workflow_id = ?;

-- name: paused_workflows
-- Read which workflows are paused.
SELECT id FROM workflows WHERE deleted = 0 AND state = 'PAUSED';
