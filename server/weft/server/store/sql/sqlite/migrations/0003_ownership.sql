-- Executions get owners, times to be worked on, keys and slots; what changes of them leaves the document.

-- Who may write. There is one process, which counts its takeovers: a write of an older epoch is refused.
CREATE TABLE fence (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL
) STRICT;

INSERT INTO fence (id, epoch) VALUES (1, 0);

-- The epoch that owns the execution; NULL: nobody.
ALTER TABLE executions ADD COLUMN owner INTEGER;
-- When it wants to be worked on; NULL: it waits for a command, or has ended.
ALTER TABLE executions ADD COLUMN due_time INTEGER;
-- What it waits for, as weft.server.execution.model.Waits has it.
ALTER TABLE executions ADD COLUMN waits TEXT NOT NULL DEFAULT '';
ALTER TABLE executions ADD COLUMN create_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN end_time INTEGER;
-- JSON text of why it ended.
ALTER TABLE executions ADD COLUMN failure TEXT;
-- The id that the caller chose.
ALTER TABLE executions ADD COLUMN key TEXT;
-- The concurrency key, and how many of it run at the same time.
ALTER TABLE executions ADD COLUMN slot TEXT;
ALTER TABLE executions ADD COLUMN slot_limit INTEGER NOT NULL DEFAULT 0;

UPDATE executions SET
    create_time = json_extract(document, '$.create_time'),
    end_time = json_extract(document, '$.end_time'),
    failure = json_extract(document, '$.failure'),
    due_time = CASE WHEN state = 'RUNNING' THEN 0 END,
    document = json_remove(document, '$.state', '$.failure', '$.last_event', '$.end_time');

-- What nobody owns and is due is found here …
CREATE INDEX executions_due ON executions (due_time, id) WHERE owner IS NULL AND due_time IS NOT NULL;
-- … and here what an epoch that is gone leaves behind.
CREATE INDEX executions_owned ON executions (owner) WHERE owner IS NOT NULL;
CREATE INDEX executions_by_wait ON executions (waits, workflow_id) WHERE waits <> '';
CREATE INDEX executions_by_slot ON executions (slot, id) WHERE slot IS NOT NULL AND end_time IS NULL;
CREATE INDEX executions_by_key ON executions (key, id) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX executions_open_key ON executions (key) WHERE key IS NOT NULL AND end_time IS NULL;

-- What one server asks of the one that owns an execution.
CREATE TABLE commands (
    id           INTEGER NOT NULL PRIMARY KEY,
    execution_id TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    body         BLOB    NOT NULL
) STRICT;
