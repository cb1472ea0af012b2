"""The commands that tell how everything is."""
