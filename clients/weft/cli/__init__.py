"""The ``weft`` command: everything a person or a script asks of a Weft server."""
