"""What checks stand on: problems, places, actions, and what is known of values."""
