"""Versions of services, and ranges of them.

Versions are ordered as semantic versions are (semver.org), with any number of
numbers: ``v1.4.2``, ``2.0.0-rc.1+build.7``, ``2024.11-abc``. PEP 440 alone would
not do: it refuses the last one, takes ``1.4.2-1`` for something *after* 1.4.2,
and most services are not written in Python. What only PEP 440 knows is read by
its rules: ``1.4.0rc1``, ``1.4.0.dev3``, ``1.4.2.post1``. Build metadata counts
nowhere. A text that is neither is a version too, though no range but its own
exact text (``=nightly``) takes it.

A range is one or several of these, joined by commas (and) or ``||`` (or):

===================  ====================================================
``^1.4``             ``>=1.4,<2``; ``^0.3`` is ``>=0.3,<0.4``
``~2.1``             ``>=2.1,<2.2``; ``~2`` is ``>=2,<3``
``1.x``, ``1.4``     every 1.…, every 1.4.…
``1.4.2``            that one
``>=1.2,<2``         also ``>``, ``<=``, ``=``
``*``, empty         any, also no version at all
===================  ====================================================

A pre-release is taken only by a range that names a pre-release of the same
numbers, as npm and cargo have it: ``^2.0.0-rc.1`` takes ``2.0.0-rc.2`` and
``2.3.0``, not ``2.4.0-rc.1``; ``^1.4`` takes no pre-release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import eq, ge, gt, le, lt
from typing import Final

from packaging.version import InvalidVersion
from packaging.version import Version as PythonVersion

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["VersionRange", "api_version", "check_version", "is_version", "sort_versions", "version_key"]

_SEMVER: Final = re.compile(
    r"[vV]?(?P<numbers>\d+(?:\.\d+){0,5})"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_CLAUSE: Final = re.compile(r"(?P<operator>\^|~|>=|<=|>|<|={0,2})(?P<version>[^\s<>=^~,|]+)")
_TEXT: Final = re.compile(r"[^\s<>=^~,|*]+")
"""What can be named by a range."""
_EXACT: Final = re.compile(r"={1,2}(?P<text>[^\s<>=^~,|]+)")
_WILD: Final = re.compile(r"(?P<numbers>[vV]?\d+(?:\.\d+){0,4})(?:\.[xX*])+", re.ASCII)
_OPERATOR_GAP: Final = re.compile(r"([\^~<>=])\s+")
_ANYTHING: Final = frozenset({"", "*", "x", "X"})
_LONGEST: Final = 128
"""Of a version, as everywhere in the API; a range may be twice as long."""
_WHOLE: Final = 3
"""How many numbers a version has that stands for itself only."""

_Numbers = tuple[int, ...]
_Key = tuple[_Numbers, tuple[tuple[int, int, str], ...]]

_RELEASED: Final = ((2, 0, ""),)
"""Sorts after every part of a pre-release."""


@dataclass(frozen=True, slots=True)
class _Version:
    """A version that could be read."""

    numbers: _Numbers
    """As written, zeros at the end included."""
    pre: tuple[tuple[int, int, str], ...]
    """The parts of the pre-release, in a form that sorts; empty for a release."""

    @property
    def release(self) -> _Numbers:
        """The numbers in one form: 1.4 and 1.4.0 are the same version."""
        return _trim(self.numbers)

    @property
    def key(self) -> _Key:
        """What orders versions."""
        return self.release, self.pre or _RELEASED


@dataclass(frozen=True, slots=True)
class _Bound:
    """One comparison that a version must pass."""

    compare: Callable[[_Key, _Key], bool]
    version: _Version

    def passed_by(self, version: _Version) -> bool:
        return self.compare(version.key, self.version.key)

    def names_pre_release_of(self, version: _Version) -> bool:
        return bool(self.version.pre) and self.version.release == version.release


@dataclass(frozen=True, slots=True)
class _All:
    """Comparisons that a version must pass together, or one exact text."""

    bounds: tuple[_Bound, ...] = ()
    text: str | None = None

    def admits(self, text: str, version: _Version | None) -> bool:
        if self.text is not None:
            return text == self.text
        if version is None or not all(bound.passed_by(version) for bound in self.bounds):
            return False
        return not version.pre or any(bound.names_pre_release_of(version) for bound in self.bounds)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Which versions of a service a caller takes; see the module for how it is written."""

    text: str = ""
    """As it was written, without spaces around it; empty: nothing was said."""
    _choices: tuple[_All, ...] = field(default=(), repr=False, compare=False)
    _api: str | None = field(default=None, repr=False)
    _unversioned: bool = field(default=False, repr=False)

    @classmethod
    def parse(cls, text: str, field: str = "version") -> VersionRange:
        """Read a range.

        Args:
            text: Such as ``^1.4``.
            field: Path of the text in the request, for the error.

        Raises:
            ValidationError: VERSION_INVALID.
        """
        text = text.strip()
        if text in _ANYTHING:
            return cls(text)
        if len(text) > 2 * _LONGEST:
            raise _invalid(field, f"{text[:80]!r}… is longer than {2 * _LONGEST} characters")
        joined = _OPERATOR_GAP.sub(r"\1", text)
        choices = tuple(_read_all(part.strip(), text, field) for part in joined.split("||"))
        return cls(text, () if _All() in choices else choices)

    @classmethod
    def of_api(cls, version: str) -> VersionRange:
        """Return the range of every version, pre-releases included, of the same API version."""
        api = api_version(version)
        return cls(f"{api}.x" if _read(version) else f"={api}", _api=api)

    def within_api(self, version: str) -> VersionRange:
        """Return what of this range is of the same API version as a version.

        ``*``, which asks for no version, goes on to take those that say none.
        """
        return replace(self, _api=api_version(version), _unversioned=self.any and bool(self.text))

    @property
    def api_versions(self) -> frozenset[str]:
        """The API versions that the range itself names: ``1`` of ``>=1.2,<2``; none of ``<2``."""
        bounds = [bound for choice in self._choices for bound in choice.bounds]
        named = {str(it.version.numbers[0]) for it in bounds if it.compare in {ge, gt, eq}}
        return frozenset(named.union(it.text for it in self._choices if it.text))

    @property
    def any(self) -> bool:
        """Whether every version is taken, also an unknown one."""
        return not self._choices and self._api is None

    def admits(self, version: str) -> bool:
        """Tell whether a version is in the range. No version is in ranges of ``any`` only."""
        if self.any:
            return True
        version = version.strip()
        if not version:
            return self._unversioned
        if self._api is not None and api_version(version) != self._api:
            return False
        read = _read(version)
        return not self._choices or any(choice.admits(version, read) for choice in self._choices)

    def __str__(self) -> str:
        return self.text or "*"


def check_version(field: str, text: str) -> list[Violation]:
    """Return the fault of a version to register, if it has one: a range must be able to name it."""
    if text and (len(text) > _LONGEST or _TEXT.fullmatch(text) is None):
        why = f"at most {_LONGEST} characters, without spaces and the signs of a range"
        return [Violation(field, f"{text[:80]!r} is no version: {why}", Rule.VERSION_INVALID)]
    return []


def is_version(text: str) -> bool:
    """Tell whether a text can be ordered among versions, rather than only compared as it is."""
    return _read(text) is not None


def api_version(version: str) -> str:
    """Return what compatible versions have in common: ``1`` of ``1.4.2``.

    It is the major version, also of ``0.x``: software before 1.0 promises nothing, and
    to keep each of its minor versions alive side by side would help nobody (a step that
    depends on one writes ``^0.3``). A text that is no version stands for itself.
    """
    version = version.strip()
    read = _read(version)
    return version if read is None else str(read.numbers[0])


def sort_versions(versions: Iterable[str]) -> list[str]:
    """Return versions newest first; those that cannot be ordered come last, by text."""
    return sorted(versions, key=version_key, reverse=True)


def version_key(text: str) -> tuple[bool, _Key, str]:
    """Return what a version is compared by: the greatest is the newest."""
    read = _read(text.strip())
    return (False, ((), ()), text) if read is None else (True, read.key, text)


@lru_cache(maxsize=4096)
def _read(text: str) -> _Version | None:
    """Read a version; None when the text is none."""
    if len(text) > _LONGEST:
        return None
    if found := _SEMVER.fullmatch(text):
        numbers = tuple(int(number) for number in found["numbers"].split("."))
        return _Version(
            numbers, tuple(_part(part) for part in found["pre"].split(".")) if found["pre"] else ()
        )
    return _read_python(text)


def _part(text: str) -> tuple[int, int, str]:
    """Put a part of a pre-release in a form that sorts: numbers by value, and before words."""
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)


def _read_python(text: str) -> _Version | None:
    """Read what only PEP 440 has: ``1.4.0rc1``, ``1.4.0.dev3``, ``1.4.2.post1``."""
    try:
        version = PythonVersion(text)
    except InvalidVersion:
        return None
    if version.epoch or (version.dev is not None and (version.pre or version.post is not None)):
        return None
    numbers = version.release
    if version.post is not None:
        numbers = (*numbers, *(0,) * (_WHOLE - len(numbers)), version.post)
    pre: tuple[tuple[int, int, str], ...] = ()
    if version.dev is not None:
        pre = ((0, 0, ""), (0, version.dev, ""))
    elif version.pre:
        pre = ((1, 0, version.pre[0]), (0, version.pre[1], ""))
    return _Version(numbers, pre)


def _read_all(part: str, whole: str, field: str) -> _All:
    """Read what is joined by commas."""
    clauses = [clause for text in part.split(",") for clause in (text.split() or [""])]
    exact = _EXACT.fullmatch(part)
    if exact and _read(exact["text"]) is None and _WILD.fullmatch(exact["text"]) is None:
        return _All(text=exact["text"])
    return _All(tuple(bound for clause in clauses for bound in _read_clause(clause, whole, field)))


def _read_clause(clause: str, whole: str, field: str) -> tuple[_Bound, ...]:
    if clause in _ANYTHING and clause:
        return ()
    found = _CLAUSE.fullmatch(clause)
    if found is None:
        raise _unreadable(clause, whole, field)
    text = found["version"]
    wild = _WILD.fullmatch(text)
    version = _read(wild["numbers"] if wild else text)
    if version is None:
        raise _unreadable(clause, whole, field)
    return _bounds(found["operator"], version, partial=wild is not None or len(version.numbers) < _WHOLE)


def _bounds(operator: str, version: _Version, *, partial: bool) -> tuple[_Bound, ...]:
    """Turn one clause into comparisons; a partial version stands for all that begin with it."""
    last = len(version.numbers) - 1
    partial = partial and not version.pre
    if operator == "^":
        return _between(version, next((at for at, n in enumerate(version.numbers) if n), last))
    if operator == "~":
        return _between(version, min(1, last))
    if operator in {"", "=", "=="}:
        return _between(version, last) if partial else (_Bound(eq, version),)
    if operator == ">" and partial:
        return (_Bound(ge, _after(version, last)),)
    if operator == "<=" and partial:
        return (_Bound(lt, _after(version, last)),)
    return (_Bound({">": gt, ">=": ge, "<": lt, "<=": le}[operator], version),)


def _between(version: _Version, at: int) -> tuple[_Bound, ...]:
    """From a version to the next one that differs at that place."""
    return _Bound(ge, version), _Bound(lt, _after(version, at))


def _after(version: _Version, at: int) -> _Version:
    return _Version((*version.numbers[:at], version.numbers[at] + 1), ())


def _trim(numbers: _Numbers) -> _Numbers:
    end = len(numbers)
    while end > 1 and numbers[end - 1] == 0:
        end -= 1
    return numbers[:end]


def _unreadable(clause: str, whole: str, field: str) -> ValidationError:
    where = f"{clause[:80]!r} in {whole[:80]!r}" if clause != whole else f"{whole[:80]!r}"
    if clause and _CLAUSE.fullmatch(clause) and clause[0] not in "^~<>=":
        hint = f"a version without numbers is written ={clause[:80]}"
    else:
        hint = "write it like ^1.4, ~2.1, >=1.2,<2, 1.x or 1.4.2"
    return _invalid(field, f"{where} is no range of versions; {hint}")


def _invalid(field: str, text: str) -> ValidationError:
    return ValidationError([Violation(field, text, Rule.VERSION_INVALID)])
