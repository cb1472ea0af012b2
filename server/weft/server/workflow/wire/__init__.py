"""Workflows on the wire: RPCs to use cases, messages to models, and back."""
