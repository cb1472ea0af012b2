CREATE TABLE schedules (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    workflow_id TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    due_time    INTEGER,
    owner       INTEGER,
    last_run    INTEGER NOT NULL DEFAULT 0,
    started     INTEGER NOT NULL DEFAULT 0,
    skipped     INTEGER NOT NULL DEFAULT 0,
    missed      INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    plan        TEXT    NOT NULL,
    document    TEXT    NOT NULL
) STRICT;

CREATE INDEX schedules_due ON schedules (due_time) WHERE due_time IS NOT NULL;
CREATE INDEX schedules_owned ON schedules (owner) WHERE owner IS NOT NULL;

CREATE TABLE schedule_runs (
    schedule_id TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    buffers     INTEGER NOT NULL,
    document    TEXT    NOT NULL,
    PRIMARY KEY (schedule_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedule_runs_by_state ON schedule_runs (schedule_id, state, buffers, number);
