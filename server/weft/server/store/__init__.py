"""Where everything is kept: one port, and its adapters."""
