-- Times are integer microseconds since 1970 in UTC. Documents are JSON text as
-- weft.server.store.codec writes it; columns beside a document repeat what is
-- searched or guarded.

CREATE TABLE services (
    id       TEXT    NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    state    TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    document TEXT    NOT NULL
) STRICT;

CREATE INDEX services_by_state ON services (state, name);

CREATE TABLE instances (
    id         TEXT NOT NULL PRIMARY KEY,
    service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    document   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX instances_by_service ON instances (service_id);

CREATE TABLE workflows (
    id       TEXT    NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    deleted  INTEGER NOT NULL DEFAULT 0,
    document TEXT    NOT NULL
) STRICT;

-- A deleted workflow gives its name back.
CREATE UNIQUE INDEX workflows_by_name ON workflows (name) WHERE deleted = 0;
CREATE INDEX workflows_by_state ON workflows (state, name) WHERE deleted = 0;

CREATE TABLE workflow_versions (
    workflow_id TEXT    NOT NULL REFERENCES workflows (id),
    version     INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    definition  TEXT    NOT NULL,
    PRIMARY KEY (workflow_id, version)
) STRICT;

CREATE TABLE executions (
    id             TEXT    NOT NULL PRIMARY KEY,
    workflow_id    TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    last_event     INTEGER NOT NULL,
    document       TEXT    NOT NULL,
    request_method TEXT,
    request_id     TEXT,
    fingerprint    BLOB
) STRICT, WITHOUT ROWID;

-- One index for every filter of the list, each ending in the paging key. The
-- one by state also finds what is open, so that needs none of its own.
CREATE INDEX executions_by_workflow ON executions (workflow_id, id);
CREATE INDEX executions_by_workflow_state ON executions (workflow_id, state, id);
CREATE INDEX executions_by_state ON executions (state, id);
CREATE UNIQUE INDEX executions_by_request ON executions (request_method, request_id)
    WHERE request_id IS NOT NULL;

-- The payload stands last, so that a read without it does not touch its pages.
-- There is no foreign key: an append has just updated the execution's row.
CREATE TABLE events (
    execution_id TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    time         INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    attributes   TEXT    NOT NULL,
    payload      BLOB,
    PRIMARY KEY (execution_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    method      TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    document    TEXT    NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (method, request_id)
) STRICT;

CREATE INDEX requests_by_time ON requests (create_time);

-- The row that proves that a write works; the filler proves that there is space.
CREATE TABLE health (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    serial INTEGER NOT NULL,
    filler BLOB
) STRICT;

INSERT INTO health (id, serial) VALUES (1, 0);
