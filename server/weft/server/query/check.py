"""A filter read and checked: a predicate, or all its faults with where they stand."""

from __future__ import annotations

from datetime import datetime

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.server.query._parser import MAX_BYTES, TooDeepFault, TooManyFault, parse_tree
from weft.server.query._scanner import SyntaxFault
from weft.server.query._tests import TestFault, Tests
from weft.server.query.fields import Schema
from weft.server.query.predicate import All, Any, Negation, Predicate
from weft.server.query.tree import And, Comparison, Not, Operator, Or, Tree

__all__ = ["parse", "read_filter"]


def parse(text: str, where: str = "filter") -> Tree | None:
    """Read the form of a filter; None when it is empty.

    Args:
        text: The filter.
        where: Name of the request's field, for messages.

    Raises:
        ValidationError: It is none; the fault says at which column.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = f"has {size:,} bytes, at most {MAX_BYTES:,} are allowed"
        raise ValidationError([Violation(where, message, Rule.TOO_LONG)])
    try:
        return parse_tree(text)
    except SyntaxFault as fault:
        rule = Rule.FILTER_SYNTAX
        if isinstance(fault, TooManyFault):
            rule = Rule.TOO_MANY
        elif isinstance(fault, TooDeepFault):
            rule = Rule.FILTER_TOO_DEEP
        raise ValidationError([_violation(where, fault.at, fault.message, rule)]) from None


def read_filter(text: str, schema: Schema, now: datetime, where: str = "filter") -> Predicate | None:
    """Read a filter; None when it is empty, and so asks for everything.

    Args:
        text: The filter.
        schema: What it may name.
        now: What ``now`` means.
        where: Name of the request's field, for messages.

    Raises:
        ValidationError: With all its faults.
    """
    tree = parse(text, where)
    if tree is None:
        return None
    checker = _Checker(Tests(schema, now), where)
    predicate = checker.check(tree)
    if checker.faults:
        raise ValidationError(checker.faults)
    return predicate


def _violation(where: str, at: int, message: str, rule: Rule) -> Violation:
    return Violation(where, f"at column {at + 1}: {message}", rule)


class _Checker:
    def __init__(self, tests: Tests, where: str) -> None:
        self._tests = tests
        self._where = where
        self.faults: list[Violation] = []

    def check(self, tree: Tree) -> Predicate:
        match tree:
            case And():
                return All(tuple(map(self.check, tree.terms)))
            case Or():
                return Any(tuple(map(self.check, tree.terms)))
            case Not():
                return Negation(self.check(tree.term))
            case Comparison():
                return self._comparison(tree)

    def _comparison(self, said: Comparison) -> Predicate:
        try:
            test = self._tests.of(said)
        except TestFault as fault:
            self.faults.append(_violation(self._where, fault.at, fault.message, fault.rule))
            return Any(())
        return Negation(test) if said.operator is Operator.NOT_EQUAL else test
