"""What callers write, as messages."""
