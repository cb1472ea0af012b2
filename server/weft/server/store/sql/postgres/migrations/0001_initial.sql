-- Times are integer microseconds since 1970 in UTC, except leases, which run by the
-- clock of this database. Documents are JSON text as weft.server.store.codec writes
-- it (jsonb would not give back what it was given); columns beside a document repeat
-- what is searched or guarded. Texts sort by their code points, as everywhere in Weft.

-- The servers that are alive, each with an epoch of its own. Who is not here writes nothing.
CREATE TABLE servers (
    epoch       bigint      NOT NULL PRIMARY KEY,
    name        text        NOT NULL,
    lease_until timestamptz NOT NULL,
    join_time   timestamptz NOT NULL DEFAULT clock_timestamp(),
    probes      bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Counts epochs: a sequence would do, were its numbers never given twice after a crash. And the changes
-- of services, workflows and instances, so that other servers read anew what they keep.
CREATE TABLE changes (
    id        integer NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch     bigint  NOT NULL DEFAULT 0,
    registry  bigint  NOT NULL DEFAULT 0,
    instances bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

INSERT INTO changes (id) VALUES (1);

CREATE TABLE services (
    id          text   COLLATE "C" NOT NULL PRIMARY KEY,
    name        text   COLLATE "C" NOT NULL UNIQUE,
    state       text   COLLATE "C" NOT NULL,
    revision    bigint NOT NULL,
    document    text   NOT NULL,
    descriptors bytea
);

CREATE INDEX services_by_state ON services (state, name);

CREATE TABLE instances (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    service_id text COLLATE "C" NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    document   text NOT NULL
);

CREATE INDEX instances_by_service ON instances (service_id);

-- When instances were heard of, and by which server: not durable, so it is kept out of the log.
CREATE UNLOGGED TABLE heartbeats (
    instance_id text        COLLATE "C" NOT NULL PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
    token       text        NOT NULL,
    health      text        NOT NULL,
    note        text        NOT NULL,
    heard_time  timestamptz NOT NULL,
    server      bigint      NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE workflows (
    id       text    COLLATE "C" NOT NULL PRIMARY KEY,
    name     text    COLLATE "C" NOT NULL,
    state    text    COLLATE "C" NOT NULL,
    revision bigint  NOT NULL,
    version  bigint  NOT NULL,
    deleted  integer NOT NULL DEFAULT 0,
    document text    NOT NULL
);

-- A deleted workflow gives its name back.
CREATE UNIQUE INDEX workflows_by_name ON workflows (name) WHERE deleted = 0;
CREATE INDEX workflows_by_state ON workflows (state, name) WHERE deleted = 0;

CREATE TABLE workflow_versions (
    workflow_id text   COLLATE "C" NOT NULL REFERENCES workflows (id),
    version     bigint NOT NULL,
    create_time bigint NOT NULL,
    definition  text   NOT NULL,
    PRIMARY KEY (workflow_id, version)
);

-- There is room on every page, so that what changes with a step stays on it and no index is written.
CREATE TABLE executions (
    id               text    COLLATE "C" NOT NULL PRIMARY KEY,
    workflow_id      text    COLLATE "C" NOT NULL,
    workflow_version bigint  NOT NULL,
    trace_id         text    COLLATE "C",
    state            text    COLLATE "C" NOT NULL,
    last_event       bigint  NOT NULL,
    document         text    NOT NULL,
    request_method   text    COLLATE "C",
    request_id       text    COLLATE "C",
    fingerprint    bytea,
    owner          bigint,
    due_time       bigint,
    waits            text    COLLATE "C" NOT NULL DEFAULT '',
    create_time      bigint  NOT NULL,
    end_time       bigint,
    failure        text,
    key              text    COLLATE "C",
    slot             text    COLLATE "C",
    slot_limit       integer NOT NULL DEFAULT 0,
    origin           text    COLLATE "C"
) WITH (fillfactor = 70);

CREATE INDEX executions_by_workflow ON executions (workflow_id, id);
CREATE INDEX executions_by_workflow_state ON executions (workflow_id, state, id);
CREATE INDEX executions_by_state ON executions (state, id);
CREATE UNIQUE INDEX executions_by_request ON executions (request_method, request_id)
    WHERE request_id IS NOT NULL;
-- What nobody owns and is due is found here …
CREATE INDEX executions_due ON executions (due_time, id) WHERE owner IS NULL AND due_time IS NOT NULL;
-- … and here what a server that is gone leaves behind.
CREATE INDEX executions_owned ON executions (owner) WHERE owner IS NOT NULL;
CREATE INDEX executions_by_wait ON executions (waits, workflow_id) WHERE waits <> '';
CREATE INDEX executions_by_slot ON executions (slot, id) WHERE slot IS NOT NULL AND end_time IS NULL;
CREATE INDEX executions_by_key ON executions (key, id) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX executions_open_key ON executions (key) WHERE key IS NOT NULL AND end_time IS NULL;

CREATE INDEX executions_by_origin ON executions (origin, id) WHERE origin IS NOT NULL;
-- What is deleted or taken away of one workflow, the longest ended first.
CREATE INDEX executions_by_end ON executions (workflow_id, state, end_time) WHERE end_time IS NOT NULL;

-- The value is the sort key of weft.server.query.keys, so one index serves texts, numbers and booleans.
CREATE TABLE execution_attributes (
    execution_id text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    value        text COLLATE "C" NOT NULL,
    PRIMARY KEY (execution_id, name)
);

CREATE INDEX attributes_by_value ON execution_attributes (name, value, execution_id);

-- There is no foreign key: an append has just updated the execution's row.
CREATE TABLE events (
    execution_id text   COLLATE "C" NOT NULL,
    number       bigint NOT NULL,
    time         bigint NOT NULL,
    kind         text   NOT NULL,
    attributes   text   NOT NULL,
    payload      bytea,
    PRIMARY KEY (execution_id, number)
);

-- Executions that are gone and whose events still have to be: from a time on, in small steps.
CREATE TABLE trash (
    execution_id text   COLLATE "C" NOT NULL PRIMARY KEY,
    due_time     bigint NOT NULL
);

CREATE TABLE batches (
    id        text    COLLATE "C" NOT NULL PRIMARY KEY,
    state     text    COLLATE "C" NOT NULL,
    owner     bigint,
    total     bigint  NOT NULL,
    succeeded bigint  NOT NULL DEFAULT 0,
    skipped   bigint  NOT NULL DEFAULT 0,
    failed    bigint  NOT NULL DEFAULT 0,
    end_time  bigint,
    document  text    NOT NULL
);

CREATE INDEX batches_open ON batches (id) WHERE end_time IS NULL;
CREATE INDEX batches_ended ON batches (end_time) WHERE end_time IS NOT NULL;

CREATE TABLE batch_items (
    batch_id     text   COLLATE "C" NOT NULL,
    number       bigint NOT NULL,
    execution_id text   COLLATE "C" NOT NULL,
    state        text   COLLATE "C" NOT NULL,
    failure      text,
    result_id    text   COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (batch_id, number)
);

CREATE INDEX batch_items_by_state ON batch_items (batch_id, state, number);

-- What one server asks of the one that owns an execution.
CREATE TABLE commands (
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id text   COLLATE "C" NOT NULL,
    kind         text   NOT NULL,
    body         bytea  NOT NULL
);

CREATE TABLE requests (
    method      text   COLLATE "C" NOT NULL,
    request_id  text   COLLATE "C" NOT NULL,
    fingerprint bytea  NOT NULL,
    document    text   NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (method, request_id)
);

CREATE INDEX requests_by_time ON requests (create_time);
