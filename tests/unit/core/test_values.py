"""Values behave as frozen dataclasses do, but for what they cost."""

from __future__ import annotations

import dataclasses

import pytest

from weft.core import values


@values.dataclass(frozen=True, slots=True, kw_only=True)
class Cheap:
    number: int
    text: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    number: int
    text: str = ""


@values.dataclass(frozen=True)
class Listed:
    items: list[int]


def test_it_compares_hashes_and_shows_itself_as_a_frozen_one() -> None:
    assert Cheap(number=1) == Cheap(number=1, text="") != Cheap(number=2)
    assert hash(Cheap(number=1, text="a")) == hash(Frozen(number=1, text="a"))
    assert repr(Cheap(number=1)) == repr(Frozen(number=1)).replace("Frozen", "Cheap")
    assert dataclasses.replace(Cheap(number=1), text="b") == Cheap(number=1, text="b")


def test_one_that_holds_what_changes_cannot_be_hashed() -> None:
    with pytest.raises(TypeError):
        hash(Listed([1]))


def test_it_has_no_room_for_other_fields() -> None:
    assert not hasattr(Cheap(number=1), "__dict__")


def test_it_is_made_without_a_call_for_each_field() -> None:
    assert "__setattr__" not in Cheap.__init__.__code__.co_names
    assert "__setattr__" in Frozen.__init__.__code__.co_names
