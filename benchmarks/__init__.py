"""Benchmarks of Weft: what it costs, measured beside what it is compared with.

Run them with ``make bench``, or ``python -m benchmarks``; ``docs/benchmarks.md``
describes the method and what each figure means.
"""
