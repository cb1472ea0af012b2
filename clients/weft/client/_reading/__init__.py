"""Messages to records: what the server answers."""
