"""Executions: the engine, the journal and who follows it."""
