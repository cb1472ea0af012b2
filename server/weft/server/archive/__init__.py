"""Archives: executions that have ended, as JSON lines."""
