"""Expressions and templates: ``${ CEL }`` compiled, bounded and evaluated."""
