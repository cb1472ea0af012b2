"""The form of definitions: ids, members, limits, and where lists and children lead."""
