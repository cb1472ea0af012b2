"""Definitions of other workflow languages, as definitions of Weft.

Pure functions: a document in, definitions and notes out. A note says what could
not be carried over, or what means something slightly different, and where it
stands in the source.

- ``notes``: what is said about an import.
- ``naming``: ids, names and reasons made of foreign names.
- ``cel``, ``operators``, ``pratt``: foreign expressions, as expressions of Weft.
- ``nodes``, ``objects``: the data that they are about.
- ``pieces``, ``graph``, ``flow``: states and tasks that lead to each other, as lists of steps.
- ``asl``: the States Language; ``cncf``: Serverless Workflow 1.0.
- ``writing``: the definitions as YAML; ``command``: ``weft workflows import``.
"""
