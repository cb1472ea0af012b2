"""A definition that is run against given results: nothing is called."""
