"""The commands of workflows."""
