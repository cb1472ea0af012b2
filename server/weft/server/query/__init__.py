"""Filters: a small language in the style of AIP-160, checked, evaluated, and turned into SQL."""
