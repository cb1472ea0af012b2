"""Typed calls of the ExecutionService."""
