-- Whose child an execution is.

-- Id of the parent; NULL: it has none.
ALTER TABLE executions ADD COLUMN parent TEXT;

UPDATE executions SET parent = json_extract(document, '$.parent.execution_id');

CREATE INDEX executions_by_parent ON executions (parent, id) WHERE parent IS NOT NULL;
