CREATE TABLE schedules (
    id          text   COLLATE "C" NOT NULL PRIMARY KEY,
    name        text   COLLATE "C" NOT NULL UNIQUE,
    workflow_id text   COLLATE "C" NOT NULL,
    state       text   COLLATE "C" NOT NULL,
    revision    bigint NOT NULL,
    due_time    bigint,
    owner       bigint,
    last_run    bigint NOT NULL DEFAULT 0,
    started     bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    missed      bigint NOT NULL DEFAULT 0,
    failed      bigint NOT NULL DEFAULT 0,
    plan        text   NOT NULL,
    document    text   NOT NULL
);

CREATE INDEX schedules_due ON schedules (due_time) WHERE due_time IS NOT NULL;
CREATE INDEX schedules_owned ON schedules (owner) WHERE owner IS NOT NULL;

CREATE TABLE schedule_runs (
    schedule_id text   COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    state       text   COLLATE "C" NOT NULL,
    buffers     bigint NOT NULL,
    document    text   NOT NULL,
    PRIMARY KEY (schedule_id, number)
);

CREATE INDEX schedule_runs_by_state ON schedule_runs (schedule_id, state, buffers, number);
