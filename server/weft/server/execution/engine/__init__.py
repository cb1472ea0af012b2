"""Drives the executions that this server owns: claims them, runs their attempts, waits, and gives them up."""
