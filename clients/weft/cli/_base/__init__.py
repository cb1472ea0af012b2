"""What every command shares: options, sessions, input, output, errors and interrupts."""
