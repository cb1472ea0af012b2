"""Workflows as drawings."""
