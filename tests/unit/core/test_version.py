"""Versions and ranges of versions: what is in, what is out, and in which order they stand."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.core.version import VersionRange, api_version, check_version, is_version, sort_versions

_IN = (
    ("^1.4", "1.4.0 1.4.2 1.9 1.4.2+build.7 v1.5"),
    ("^0.3", "0.3.0 0.3.9"),
    ("^0.0.3", "0.0.3"),
    ("^0", "0.0.1 0.9"),
    ("~2.1", "2.1 2.1.7"),
    ("~2", "2.0 2.9.9"),
    ("1.x", "1 1.0.0 1.9.9"),
    ("1.4.*", "1.4 1.4.9"),
    ("1.4", "1.4.0 1.4.9"),
    ("1.4.2", "1.4.2 v1.4.2 1.4.2+abc 1.4.2.0"),
    ("=1.4.2", "1.4.2"),
    (">=1.2,<2", "1.2 1.9.9"),
    (">= 1.2 < 2", "1.2 1.9.9"),
    (">1.4", "1.5 2.0"),
    (">1.4.2", "1.4.3"),
    ("<=1.4", "1.4.9 0.1"),
    ("^1.2 || ^3", "1.2 3.7"),
    ("2.0.0-rc.1", "2.0.0-rc.1"),
    ("^2.0.0-rc.1", "2.0.0-rc.1 2.0.0-rc.2 2.0.0 2.3.0"),
    (">=2.0.0-beta,<2.0.0", "2.0.0-beta 2.0.0-rc.1"),
    ("2024.11-abc", "2024.11-abc"),
    ("2024.x", "2024.11"),
    ("=nightly", "nightly"),
    ("1.4.0rc1", "1.4.0rc1 1.4.0-rc.1"),
    ("*", "1 nightly 2.0.0-rc.1"),
    ("", "1 nightly 2.0.0-rc.1"),
)
_OUT = (
    ("^1.4", "1.3.9 2.0.0 2.0.0-rc.1 1.5.0-rc.1 1.5.0rc1 1.5.0.dev3 nightly"),
    ("^0.3", "0.2.9 0.4.0"),
    ("^0.0.3", "0.0.2 0.0.4"),
    ("~2.1", "2.0.9 2.2.0"),
    ("1.x", "0.9 2.0 nightly"),
    ("1.4", "1.5 1.3.9"),
    ("1.4.2", "1.4.3 1.4.2-rc.1 1.4.2.1"),
    (">=1.2,<2", "1.1.9 2.0.0"),
    (">1.4", "1.4.9"),
    ("<=1.4", "1.5"),
    ("^1.2||^3", "2.0 1.1"),
    ("^2.0.0-rc.1", "2.0.0-beta 2.4.0-rc.1 3.0.0"),
    ("=nightly", "nightly-2 1.0"),
)


@pytest.mark.parametrize(("text", "version"), [(r, v) for r, versions in _IN for v in versions.split()])
def test_takes(text: str, version: str) -> None:
    """A range takes the versions that npm and cargo would take."""
    assert VersionRange.parse(text).admits(version)


@pytest.mark.parametrize(("text", "version"), [(r, v) for r, versions in _OUT for v in versions.split()])
def test_refuses(text: str, version: str) -> None:
    """A range refuses the others, pre-releases that it does not name, and texts that are no version."""
    assert not VersionRange.parse(text).admits(version)


@pytest.mark.parametrize(
    "text",
    ["^", "abc", "^abc", ">=", ">=1.2,", ",", "1.2 - 1.4", "||", "^1 ||", "1..2", "=>1", "!1", "^1" * 200],
)
def test_unreadable(text: str) -> None:
    """What is no range is refused by name, with the field that it stood in."""
    with pytest.raises(ValidationError) as raised:
        VersionRange.parse(text, "steps[1].service_version")
    (violation,) = raised.value.violations
    assert violation.field == "steps[1].service_version"
    assert violation.reason == Rule.VERSION_INVALID


def test_no_version() -> None:
    """An instance that says no version is taken when every version is, and otherwise never."""
    assert VersionRange.parse("*").admits("")
    assert not VersionRange.parse(">=0").admits("")
    assert not VersionRange.of_api("1.4").admits("")


def test_any() -> None:
    """Empty and ``*`` mean any; what was written can still be told apart."""
    assert VersionRange.parse(" ").any
    assert VersionRange.parse("*").any
    assert VersionRange.parse("^1 || *").any
    assert not VersionRange.parse("1.x").any
    assert (VersionRange.parse("").text, VersionRange.parse("*").text, str(VersionRange())) == ("", "*", "*")


def test_api_version() -> None:
    """The API version is the major version; a text that is no version stands for itself."""
    assert [api_version(it) for it in ("1.4.2", "v2.0.0-rc.1", "0.3.1", "7", "nightly", "")] == [
        "1",
        "2",
        "0",
        "7",
        "nightly",
        "",
    ]


def test_range_of_an_api_version() -> None:
    """It takes everything of the same major version, pre-releases too, and nothing else."""
    taken = VersionRange.of_api("2.1.0")
    assert str(taken) == "2.x"
    assert [it for it in ("2.0.0-rc.1", "2.9", "1.9", "3.0", "") if taken.admits(it)] == ["2.0.0-rc.1", "2.9"]
    assert VersionRange.of_api("nightly").admits("nightly")
    assert not VersionRange.of_api("nightly").admits("weekly")


def test_within_an_api_version() -> None:
    """Of what a range takes, the rest is of one API version; only ``*`` goes on to take no version at all."""
    wide = VersionRange.parse(">=1.2").within_api("2.1")
    assert [it for it in ("1.9", "2.0", "2.9", "3.0", "", "2.5-rc.1") if wide.admits(it)] == ["2.0", "2.9"]
    explicit = VersionRange.parse("*").within_api("2.1")
    assert [it for it in ("1.9", "2.0", "2.5-rc.1", "") if explicit.admits(it)] == ["2.0", "2.5-rc.1", ""]
    assert (wide.any, explicit.any, str(wide)) == (False, False, ">=1.2")


def test_named_api_versions() -> None:
    """A range names those that it begins in."""
    named = {
        it: set(VersionRange.parse(it).api_versions) for it in (">=1.2,<3", "^1||~2.1", "<2", "*", "=tip")
    }
    assert named == {">=1.2,<3": {"1"}, "^1||~2.1": {"1", "2"}, "<2": set(), "*": set(), "=tip": {"tip"}}


def test_a_version_to_register() -> None:
    """It may be any text that a range can name."""
    assert not [fault for it in ("", "1.4.2", "2024.11-abc", "nightly") for fault in check_version("v", it)]
    for bad in ("1.4 beta", "^1", "1,2", "*", "1" * 129):
        (fault,) = check_version("service.version", bad)
        assert (fault.field, fault.reason) == ("service.version", Rule.VERSION_INVALID)


def test_order() -> None:
    """Newest first; a pre-release stands before its release; what cannot be ordered comes last."""
    newest_first = [
        "10.0",
        "2.0.0",
        "2.0.0-rc.10",
        "2.0.0-rc.2",
        "2.0.0-rc",
        "2.0.0-7",
        "1.4.2.post1",
        "v1.4.2",
        "1.4.0rc1",
        "1.4.0.dev3",
        "nightly",
        "",
    ]
    assert sort_versions(reversed(newest_first)) == newest_first
    assert not is_version("nightly")


_numbers = st.lists(st.integers(0, 12), min_size=1, max_size=4)
_pre = st.lists(st.sampled_from(["rc", "beta", "1", "10", "x-y"]), max_size=2)
_versions = st.builds(
    lambda numbers, pre, build: ".".join(map(str, numbers)) + ("-" + ".".join(pre) if pre else "") + build,
    _numbers,
    _pre,
    st.sampled_from(["", "+b1"]),
)


@settings(max_examples=150)
@given(_versions)
def test_a_version_is_in_its_own_ranges(version: str) -> None:
    """Whatever a version is, ``=``, ``>=``, ``<=``, ``^`` and ``~`` of it take it."""
    assert all(
        VersionRange.parse(f"{operator}{version}").admits(version)
        for operator in ("=", ">=", "<=", "^", "~", "")
    )
    assert VersionRange.of_api(version).admits(version)


@settings(max_examples=150)
@given(_numbers, st.lists(_versions, max_size=6))
def test_caret_stays_compatible(numbers: list[int], versions: list[str]) -> None:
    """What a caret takes is never older, and of the same API version."""
    low = ".".join(map(str, numbers))
    taken = [version for version in versions if VersionRange.parse(f"^{low}").admits(version)]
    assert all(api_version(version) == api_version(low) for version in taken)
    assert all(VersionRange.parse(f">={low}").admits(version) for version in taken)


@settings(max_examples=150)
@given(st.lists(_versions, max_size=8))
def test_one_order(versions: list[str]) -> None:
    """The order does not depend on where a version stood, and agrees with the comparisons."""
    ordered = sort_versions(versions)
    assert ordered == sort_versions(reversed(versions))
    assert sorted(ordered) == sorted(versions)
    for newer, older in pairwise(ordered):
        assert not VersionRange.parse(f">{newer},>{older}-0").admits(older)


@settings(max_examples=200)
@given(st.text(alphabet="0123456789.xv^~<>=*|, -+abc", max_size=24))
def test_every_text_is_read_or_refused(text: str) -> None:
    """No text makes reading a range, or asking it, fail in another way."""
    with suppress(ValidationError):
        taken = VersionRange.parse(text)
        assert taken.admits(text) in {True, False}
        assert VersionRange.parse(str(taken)).any == taken.any
