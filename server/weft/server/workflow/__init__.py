"""Definitions of workflows and their versions."""
