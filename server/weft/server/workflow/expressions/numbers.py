"""Where an expression calculates with numbers of different types, which CEL refuses.

JSON knows one kind of number and CEL two, and an ``int`` beside a ``double`` is
an error there. Declared types tell it before, values when it has happened; what
has neither (a call, a choice) counts as unknown and is never reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import takewhile
from typing import Final

from weft.server.workflow.expressions.syntax import Call, Group, Literal, Macro, Mention, Node

__all__ = ["EACH", "Kinds", "Mix", "Operand", "find_mix", "show"]

Kinds = frozenset[str]
"""What a value may be: ``int``, ``double``, both; nothing when that is not known."""
FindKinds = Callable[[Mention], Kinds]

EACH: Final = -1
"""Among the members of a mention: any element of a list."""

_UNKNOWN: Final[Kinds] = frozenset()
_INT: Final[Kinds] = frozenset({"int"})
_DOUBLE: Final[Kinds] = frozenset({"double"})
_RESULTS: Final = {"int": _INT, "size": _INT, "double": _DOUBLE}
_SUM: Final = frozenset("+-")
_PRODUCT: Final = frozenset("*/%")
_SIGNS: Final = frozenset("-!&|=")
"""What may stand before a value; of two-character operators the second."""


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of an operation."""

    kinds: Kinds
    """What it may be."""
    text: str = "…"
    """As it is written, as far as that is short."""

    def as_double(self) -> str:
        """Return how to write it as a double."""
        if self.kinds == _DOUBLE:
            return self.text
        return f"{self.text}.0" if self.text.isdecimal() else f"double({self.text})"


@dataclass(frozen=True, slots=True)
class Mix:
    """An operation on an int and a double."""

    left: Operand
    """What stands before the operator."""
    operator: str
    """Such as ``*``."""
    right: Operand
    """What stands behind it."""

    def __str__(self) -> str:
        return f"{self.left.text} {self.operator} {self.right.text}"

    @property
    def types(self) -> str:
        """Return it by types, such as ``int * double``."""
        return f"{_show(self.left)} {self.operator} {_show(self.right)}"

    @property
    def corrected(self) -> str:
        """Return how to write it instead."""
        return f"{self.left.as_double()} {self.operator} {self.right.as_double()}"

    @property
    def correction(self) -> str:
        """Return what to write for the one side that is an int, or for both."""
        sides = [side for side in (self.left, self.right) if "int" in side.kinds]
        return sides[0].as_double() if len(sides) == 1 else self.corrected


def find_mix(group: Group, kinds: FindKinds) -> Mix | None:
    """Return the first operation that mixes, or may mix, an int and a double."""
    finder = _Finder(kinds)
    finder.of_group(group)
    return finder.found[0] if finder.found else None


class _Finder:
    def __init__(self, kinds: FindKinds) -> None:
        self.found: list[Mix] = []
        self._kinds = kinds
        self._elements: dict[str, Mention | None] = {}

    def of_group(self, group: Group) -> Kinds:
        """Look at every operation of a group; return what the group as a whole is."""
        starts: list[str] = []
        runs: list[list[tuple[str, Operand]]] = []
        for operator, chain in zip(group.operators, group.chains, strict=True):
            operand = self._operand(chain)
            if runs and operator in _SUM | _PRODUCT:
                runs[-1].append((operator, operand))
            else:
                starts.append(operator)
                runs.append([("", operand)])
        results = [self._calculate(run).kinds for run in runs]
        if starts[-2:] == ["?", ":"] and all(results[-2:]):
            return results[-2] | results[-1]
        return results[0] if len(results) == 1 else _UNKNOWN

    def _calculate(self, run: list[tuple[str, Operand]]) -> Operand:
        """Combine operands: products first, then sums, each from the left."""
        terms: list[tuple[str, Operand]] = []
        for operator, operand in run:
            if operator in _PRODUCT:
                before, left = terms[-1]
                terms[-1] = (before, self._combine(left, (operator, operand)))
            else:
                terms.append((operator, operand))
        return reduce(self._combine, terms[1:], terms[0][1])

    def _combine(self, left: Operand, step: tuple[str, Operand]) -> Operand:
        operator, right = step
        if not left.kinds or not right.kinds:
            return Operand(_UNKNOWN)
        if len(left.kinds | right.kinds) > 1:
            self.found.append(Mix(left, operator, right))
            return Operand(_UNKNOWN)
        return Operand(left.kinds)

    def _operand(self, chain: list[Node]) -> Operand:
        signs = [node.text for node in takewhile(_is_sign, chain) if isinstance(node, Literal)]
        values = chain[len(signs) :]
        found = Operand(_UNKNOWN)
        for at, node in enumerate(values):
            found = self._node(node, values[:at])
        return Operand(_UNKNOWN if "!" in signs else found.kinds, "-" * signs.count("-") + found.text)

    def _node(self, node: Node, before: list[Node]) -> Operand:
        """Return what a chain is up to this node."""
        match node:
            case Literal() if not before:
                return Operand(_of_literal(node.text), node.text)
            case Mention() if not before:
                path = self._resolve(node)
                return Operand(self._kinds(path) if path else _UNKNOWN, show(node))
            case Macro():
                self._of_macro(node, before)
            case Call():
                self.of_group(node.arguments)
                return Operand(_RESULTS.get(node.name, _UNKNOWN), f"{node.name}(…)" if not before else "…")
            case Group():
                inner = self.of_group(node)
                return Operand(inner if not before and node.bracket == "(" else _UNKNOWN)
            case _:
                pass
        return Operand(_UNKNOWN)

    def _of_macro(self, macro: Macro, before: list[Node]) -> None:
        """Look at a body; of its element something is known when the list is a path."""
        only = before[0] if len(before) == 1 else None
        source = self._resolve(only) if isinstance(only, Mention) else None
        element = Mention(source.root, (*source.members, EACH)) if source else None
        outer = dict(self._elements)
        self._elements[macro.variable] = element
        self.of_group(macro.body)
        self._elements = outer

    def _resolve(self, mention: Mention) -> Mention | None:
        """Return the path from a variable of the scope; none for an element of something unknown."""
        if mention.root not in self._elements:
            return mention
        element = self._elements[mention.root]
        return Mention(element.root, (*element.members, *mention.members)) if element else None


def _is_sign(node: Node) -> bool:
    return isinstance(node, Literal) and node.text in _SIGNS


def _of_literal(text: str) -> Kinds:
    if text.isdecimal() or text[:2] in {"0x", "0X"}:
        return _INT if text[-1] not in "uU" else _UNKNOWN
    return _DOUBLE if text[:1] in set(".0123456789") and text[-1] not in "uU" else _UNKNOWN


def show(mention: Mention) -> str:
    """Write a path as an expression does."""
    text = mention.root
    for member in mention.members:
        if isinstance(member, int):
            text += f"[{member}]"
        else:
            text += f".{member}" if member.isidentifier() else f'["{member}"]'
    return text


def _show(operand: Operand) -> str:
    return " or ".join(sorted(operand.kinds, reverse=True))
