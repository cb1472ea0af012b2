-- What a workflow says of its executions: by which alias they were started, and how long they are kept.

-- By which alias; NULL: by none.
ALTER TABLE executions ADD COLUMN alias text COLLATE "C";
-- How long it is kept after its end, in microseconds; NULL: as the server and the workflow's metadata say.
ALTER TABLE executions ADD COLUMN retention bigint;

DROP INDEX executions_by_end;
-- What is taken away by a policy, the longest ended first …
CREATE INDEX executions_by_end ON executions (workflow_id, state, end_time)
    WHERE end_time IS NOT NULL AND retention IS NULL;
-- … and what says itself how long it is kept.
CREATE INDEX executions_by_keep ON executions ((end_time + retention))
    WHERE end_time IS NOT NULL AND retention IS NOT NULL;
CREATE INDEX executions_by_alias ON executions (alias, id) WHERE alias IS NOT NULL;

-- The labels of the newest version, as JSON text; NULL: none.
ALTER TABLE workflows ADD COLUMN labels text;
