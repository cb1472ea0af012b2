"""Schedules: workflows that are started by the clock."""
