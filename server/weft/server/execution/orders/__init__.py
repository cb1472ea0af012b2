"""What may be asked of an open execution, and reaching it wherever it is."""
