"""The commands of executions, batches and attempts."""
