"""The commands that call services, and find where they are."""
