"""The calls of a mesh channel: attempts, and what holds them together."""
