-- Open children are found without a look at all that have ended.

CREATE INDEX open_children ON executions (id) WHERE parent IS NOT NULL AND end_time IS NULL;
