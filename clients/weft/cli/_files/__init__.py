"""Definitions as files: read, checked by line, compared and written in one form."""
