"""Operators of the source, as CEL has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from weft.cli.importing.cel import ADD, AND, ATOM, CHOICE, MULTIPLY, OR, RELATION, UNARY
from weft.cli.importing.nodes import Expr, Node

__all__ = ["both", "choose", "function", "infix", "invert", "method"]

_RANKS: Final = {
    "||": OR, "&&": AND, "==": RELATION, "!=": RELATION, "<": RELATION, "<=": RELATION, ">": RELATION,
    ">=": RELATION, "in": RELATION, "+": ADD, "-": ADD, "*": MULTIPLY, "/": MULTIPLY, "%": MULTIPLY,
}  # fmt: skip


def infix(left: Node, operator: str, right: Node) -> Expr:
    """Put an operator between two values."""
    rank = _RANKS[operator]
    associates = operator in {"||", "&&"}
    own = rank if rank != RELATION else rank + 1  # a comparison of a comparison is bracketed
    text = f"{left.expr().at(own)} {operator} {right.expr().at(rank if associates else rank + 1)}"
    return Expr(text, rank)


def both(parts: Sequence[Node], operator: str) -> Expr:
    """Join conditions by ``&&`` or ``||``."""
    found = parts[0].expr()
    for part in parts[1:]:
        found = infix(found, operator, part)
    return found


def invert(node: Node) -> Expr:
    """Say the opposite."""
    return Expr(f"!{node.expr().at(ATOM)}", UNARY)


def choose(condition: Node, then: Node, otherwise: Node) -> Expr:
    """Take one of two."""
    text = f"{condition.expr().at(OR)} ? {then.expr().at(OR)} : {otherwise.expr().at(CHOICE)}"
    return Expr(text, CHOICE)


def function(name: str, *arguments: Node) -> Expr:
    """Call a function."""
    return Expr(f"{name}({', '.join(each.expr().text for each in arguments)})")


def method(name: str, target: Node, *arguments: Node) -> Expr:
    """Call a function of a value."""
    return Expr(f"{target.expr().at(ATOM)}.{name}({', '.join(each.expr().text for each in arguments)})")
