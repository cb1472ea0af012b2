"""API versions side by side: what a registration replaces, what is left, and what a caller gets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.errors import ResourceNotFoundError, ValidationError
from weft.core.reasons import Reason, Rule
from weft.core.version import VersionRange, api_version, sort_versions
from weft.server.registry.model import Action, Service
from weft.server.registry.versions import MAX_OTHER_VERSIONS, choose, join, leave

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def registered(version: str, action: str = "", **rest: object) -> Service:
    """Make a registration whose action names its version."""
    made = Service(
        id="svc_1",
        name="carts",
        version=version,
        actions=(Action(name=action or f"v{version}"),),
        descriptor_set=version.encode(),
        create_time=NOW,
        update_time=NOW,
    )
    return replace(made, **rest)  # type: ignore[arg-type] # fields of every type


def joined(*versions: str) -> Service:
    first, *others = versions
    service = registered(first)
    for version in others:
        service = join(service, registered(version))
    return service


def versions_of(service: Service) -> list[str]:
    return [it.version for it in service.versions]


def test_another_api_version_is_kept_beside() -> None:
    """The newest one is the service itself, whichever came last; each has its own actions and descriptors."""
    for order in (("1.4.2", "2.0.0", "0.9"), ("2.0.0", "0.9", "1.4.2")):
        service = joined(*order)
        assert versions_of(service) == ["2.0.0", "1.4.2", "0.9"]
        assert [it.actions[0].name for it in service.versions] == ["v2.0.0", "v1.4.2", "v0.9"]
        assert [it.descriptor_set for it in service.versions] == [b"2.0.0", b"1.4.2", b"0.9"]


def test_the_same_api_version_is_replaced() -> None:
    """The last registration of it wins, as it does without versions."""
    assert versions_of(joined("1.4.2", "1.5.0")) == ["1.5.0"]
    assert versions_of(joined("1.4.2", "1.3.0")) == ["1.3.0"]
    assert versions_of(joined("2.0", "1.4.2", "1.3.0")) == ["2.0", "1.3.0"]


def test_description_and_endpoint_are_those_of_the_newest() -> None:
    """A provider of an older version that starts again does not change them."""
    new = registered("2.0", description="new", endpoint="grpc://b:1", metadata={"a": 2})
    old = registered("1.0", description="old", endpoint="grpc://a:1", metadata={"a": 1})
    for service in (join(new, old), join(old, new)):
        assert (service.description, service.endpoint, service.metadata) == ("new", "grpc://b:1", {"a": 2})


def test_no_version_holds_for_every_version() -> None:
    """So nothing stands beside it: it takes the place of all, and any version takes its place."""
    assert versions_of(joined("1.0", "2.0", "")) == [""]
    assert versions_of(joined("", "1.0")) == ["1.0"]


def test_a_repeat_changes_nothing() -> None:
    """The service is equal, so that its revision and the times of its versions stay."""
    service = joined("1.0", "2.0")
    later = NOW + timedelta(days=1)
    for version in ("1.0", "2.0"):
        assert join(service, registered(version, update_time=later)) == service
    changed = join(service, registered("1.0", action="other", update_time=later))
    assert (changed.other_versions[0].update_time, changed != service) == (later, True)


def test_there_are_at_most_so_many() -> None:
    """One more is refused, by field and rule; one that replaces is not."""
    service = joined(*(f"{number}.0" for number in range(MAX_OTHER_VERSIONS + 1)))
    assert len(service.other_versions) == MAX_OTHER_VERSIONS
    join(service, registered("3.1"))
    with pytest.raises(ValidationError) as refused:
        join(service, registered("99.0"))
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("service.version", Rule.TOO_MANY)


def test_an_api_version_leaves() -> None:
    """It is named by itself or by any version of it; the others stay as they are."""
    service = joined("1.4.2", "2.0.0", "3.0.0")
    left = leave(service, "2.7")
    assert left is not None
    assert versions_of(left) == ["3.0.0", "1.4.2"]
    assert left.version == "3.0.0"


def test_when_the_newest_leaves_the_next_takes_its_place() -> None:
    """With its actions and descriptors; the endpoint was of the one that went."""
    service = replace(joined("1.4.2", "2.0.0"), endpoint="grpc://b:1")
    left = leave(service, "2")
    assert left is not None
    assert (left.version, left.actions[0].name, left.descriptor_set) == ("1.4.2", "v1.4.2", b"1.4.2")
    assert (left.other_versions, left.endpoint) == ((), "")


def test_when_the_last_leaves_nothing_is_left() -> None:
    """Then the service is to be removed as a whole."""
    assert leave(registered("1.4.2"), "1") is None


def test_what_is_not_there_cannot_leave() -> None:
    """The error has the versions that there are."""
    for service, known in ((joined("1.4.2", "2.0.0"), "2.0.0, 1.4.2"), (registered(""), "")):
        with pytest.raises(ResourceNotFoundError) as missing:
            leave(service, "7")
        assert missing.value.reason == Reason.SERVICE_VERSION_NOT_FOUND
        assert missing.value.metadata["available"] == known


@pytest.mark.parametrize(
    ("wanted", "version", "takes"),
    [
        ("", "2.1", "2.0 2.9"),
        ("*", "2.1", "2.0 2.9 -"),
        ("^1.4", "1.4.2", "1.4.2 1.9"),
        (">=1", "2.1", "2.0 2.9"),
        ("<2", "1.4.2", "1.4.2 1.0 1.9"),
        ("~1.9", "1.4.2", "1.9"),
        ("^3", None, ""),
    ],
)
def test_a_caller_gets_the_newest_in_the_range(wanted: str, version: str | None, takes: str) -> None:
    """With its instances only: those of another API version would not know the actions."""
    choice = choose(joined("1.4.2", "2.1"), VersionRange.parse(wanted))
    assert (choice.offer.version if choice else None) == version
    instances = [
        it for it in ("1.0", "1.4.2", "1.9", "2.0", "2.9", "") if choice and choice.instances.admits(it)
    ]
    assert {it or "-" for it in instances} == set(takes.split())


def test_a_range_that_names_the_api_version_will_do() -> None:
    """Which version it is registered as is only the one that came last; the instances tell the rest."""
    choice = choose(registered("1.3.9"), VersionRange.parse("^1.4"))
    assert choice is not None
    assert (choice.offer.version, choice.registered) == ("1.3.9", False)
    assert choice.instances.admits("1.4.2")


def test_alone_it_takes_any_instance() -> None:
    """Without a range, and when nothing stands beside it, instances need no version."""
    for version in ("", "1.4.2"):
        choice = choose(registered(version), VersionRange())
        assert choice is not None
        assert choice.instances.any


def test_actions_for_every_version_leave_the_range_as_it_is() -> None:
    """They say nothing of versions: the instances are asked."""
    choice = choose(registered(""), VersionRange.parse("^1.4 || ^3"))
    assert choice is not None
    assert [it for it in ("1.4.2", "2.0", "3.1", "") if choice.instances.admits(it)] == ["1.4.2", "3.1"]


_any_version = st.builds("{}.{}".format, st.integers(0, 4), st.integers(0, 3))


@settings(max_examples=100)
@given(st.lists(_any_version, min_size=1, max_size=12))
def test_the_last_of_each_api_version_is_there(versions: list[str]) -> None:
    """Whatever the order: one per API version, the last that came, newest first."""
    last = {api_version(version): version for version in versions}
    assert versions_of(joined(*versions)) == sort_versions(last.values())
