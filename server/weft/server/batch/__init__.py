"""Batches: one operation on every execution that a filter selected."""
