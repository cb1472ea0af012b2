-- What steps share over all executions: outputs that are used again, and turns.

CREATE TABLE step_cache (
    key         TEXT    NOT NULL PRIMARY KEY,
    expire_time INTEGER NOT NULL,
    output      BLOB    NOT NULL
) STRICT;

CREATE INDEX step_cache_by_time ON step_cache (expire_time);

-- Calls of steps with a limit, in the order they came. The limits are those that each came with.
CREATE TABLE step_permits (
    id           INTEGER NOT NULL PRIMARY KEY,
    scope        TEXT    NOT NULL,
    execution_id TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    -- From when on the call may run; NULL: it waits for its permit.
    begin_time   INTEGER,
    concurrency  INTEGER NOT NULL,
    rate         INTEGER NOT NULL,
    per          INTEGER NOT NULL,
    UNIQUE (execution_id, path)
) STRICT;

CREATE INDEX step_permits_waiting ON step_permits (scope, id) WHERE begin_time IS NULL;
CREATE INDEX step_permits_held ON step_permits (scope, execution_id) WHERE begin_time IS NOT NULL;

-- How many calls of a scope begin in the last window that somebody has a place in.
CREATE TABLE step_rates (
    scope        TEXT    NOT NULL PRIMARY KEY,
    window_start INTEGER NOT NULL,
    used         INTEGER NOT NULL,
    expire_time  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX step_rates_by_time ON step_rates (expire_time);
