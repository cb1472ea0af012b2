-- Executions are found by free attributes, by what they repeat, and by when they ended.

ALTER TABLE executions ADD COLUMN origin TEXT;

UPDATE executions SET origin = NULLIF(json_extract(document, '$.origin.execution_id'), '');

CREATE INDEX executions_by_origin ON executions (origin, id) WHERE origin IS NOT NULL;

-- The value is the sort key of weft.server.query.keys, so one index serves texts, numbers and booleans.
CREATE TABLE execution_attributes (
    execution_id TEXT NOT NULL,
    name         TEXT NOT NULL,
    value        TEXT NOT NULL,
    PRIMARY KEY (execution_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX attributes_by_value ON execution_attributes (name, value, execution_id);

-- What is deleted or taken away of one workflow, the longest ended first.
CREATE INDEX executions_by_end ON executions (workflow_id, state, end_time) WHERE end_time IS NOT NULL;

-- Executions that are gone and whose events still have to be: from a time on, in small steps.
CREATE TABLE trash (
    execution_id TEXT    NOT NULL PRIMARY KEY,
    due_time     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
    id        TEXT    NOT NULL PRIMARY KEY,
    state     TEXT    NOT NULL,
    owner     INTEGER,
    total     INTEGER NOT NULL,
    succeeded INTEGER NOT NULL DEFAULT 0,
    skipped   INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    end_time  INTEGER,
    document  TEXT    NOT NULL
) STRICT;

CREATE INDEX batches_open ON batches (id) WHERE end_time IS NULL;
CREATE INDEX batches_ended ON batches (end_time) WHERE end_time IS NOT NULL;

CREATE TABLE batch_items (
    batch_id     TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    execution_id TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    failure      TEXT,
    result_id    TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (batch_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_items_by_state ON batch_items (batch_id, state, number);
