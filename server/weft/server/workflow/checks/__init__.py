"""Everything that is wrong with a definition, found before it is stored."""
