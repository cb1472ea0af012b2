-- What steps share over all executions: outputs that are used again, and turns.

CREATE TABLE step_cache (
    key         text   COLLATE "C" NOT NULL PRIMARY KEY,
    expire_time bigint NOT NULL,
    output      bytea  NOT NULL
);

CREATE INDEX step_cache_by_time ON step_cache (expire_time);

-- Calls of steps with a limit, in the order they came. The limits are those that each came with.
CREATE TABLE step_permits (
    id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope        text   COLLATE "C" NOT NULL,
    execution_id text   COLLATE "C" NOT NULL,
    path         text   COLLATE "C" NOT NULL,
    -- From when on the call may run; NULL: it waits for its permit.
    begin_time   bigint,
    concurrency  bigint NOT NULL,
    rate         bigint NOT NULL,
    per          bigint NOT NULL,
    UNIQUE (execution_id, path)
);

CREATE INDEX step_permits_waiting ON step_permits (scope, id) WHERE begin_time IS NULL;
CREATE INDEX step_permits_held ON step_permits (scope, execution_id) WHERE begin_time IS NOT NULL;

-- How many calls of a scope begin in the last window that somebody has a place in.
CREATE TABLE step_rates (
    scope        text   COLLATE "C" NOT NULL PRIMARY KEY,
    window_start bigint NOT NULL,
    used         bigint NOT NULL,
    expire_time  bigint NOT NULL
);

CREATE INDEX step_rates_by_time ON step_rates (expire_time);
