"""How executions get on, shown to people."""
