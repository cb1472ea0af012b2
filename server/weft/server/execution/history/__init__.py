"""What happened to an execution, and where that leaves it."""
