"""The data of definitions: what is there on every way, and whether it fits."""
