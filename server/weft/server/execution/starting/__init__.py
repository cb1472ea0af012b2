"""Accepts executions: new ones, repeats of a request, children, and old ones run anew."""
