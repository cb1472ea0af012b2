"""API versions of a service side by side: which registration replaces which, and which one a caller gets.

A registration replaces the actions of its own API version (see
``weft.core.version.api_version``) and leaves the others beside it. The newest
one is the service itself: its actions are ``Service.actions``, and description,
endpoint and metadata are its, whichever registers last. A registration without
a version holds for every version, so nothing can stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from weft.core.errors import ResourceNotFoundError, ValidationError, Violation
from weft.core.reasons import Reason, Rule
from weft.core.version import VersionRange, api_version, version_key
from weft.server.registry.model import Service, ServiceVersion

__all__ = ["MAX_OTHER_VERSIONS", "Choice", "choose", "join", "leave"]

MAX_OTHER_VERSIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """What a caller who asks for a range of versions gets."""

    offer: ServiceVersion
    """Whose actions and schemas hold."""
    instances: VersionRange
    """Which instances may be called."""
    registered: bool = True
    """Whether the registered version itself is in the range, not only its API version."""


def choose(service: Service, wanted: VersionRange) -> Choice | None:
    """Return the newest version in the range; None when there is none.

    Which version a service is registered as is only the one that came last of
    its API version: an instance of another may be there. So a range that names
    the API version gets its actions, and the instances tell the rest.
    """
    offers = service.versions
    if wanted.any:
        if not service.other_versions:
            return Choice(offers[0], wanted)
        newest = service.version
        return Choice(offers[0], wanted.within_api(newest) if wanted.text else VersionRange.of_api(newest))
    if not service.version:
        return Choice(offers[0], wanted)
    for offer in offers:
        if wanted.admits(offer.version):
            return Choice(offer, wanted.within_api(offer.version))
    named = wanted.api_versions
    for offer in offers:
        if api_version(offer.version) in named:
            return Choice(offer, wanted.within_api(offer.version), registered=False)
    return None


def join(current: Service, draft: Service) -> Service:
    """Return a service after another registration of it.

    Raises:
        ValidationError: There are too many API versions.
    """
    fresh = ServiceVersion(
        version=draft.version,
        actions=draft.actions,
        descriptor_set=draft.descriptor_set,
        update_time=draft.update_time,
    )
    beside = bool(draft.version and current.version)
    kept = [it for it in current.versions if beside and not _same_api(it.version, draft.version)]
    if len(kept) > MAX_OTHER_VERSIONS:
        raise _too_many(draft)
    known = next((it for it in current.other_versions if _same_content(it, fresh)), fresh)
    newest, *others = sorted((*kept, known), key=lambda it: version_key(it.version), reverse=True)
    if newest is known:
        current = replace(
            current, description=draft.description, endpoint=draft.endpoint, metadata=draft.metadata
        )
    return _of(current, newest, others)


def leave(current: Service, version: str) -> Service | None:
    """Return a service without one of its API versions; None when nothing is left of it.

    Raises:
        ResourceNotFoundError: SERVICE_VERSION_NOT_FOUND.
    """
    kept = [it for it in current.versions if not it.version or not _same_api(it.version, version)]
    if len(kept) == len(current.versions):
        raise _no_version(current, version)
    if not kept:
        return None
    if kept[0].version != current.version:
        current = replace(current, endpoint="")  # it was of the version that goes
    return _of(current, kept[0], kept[1:])


def _of(service: Service, newest: ServiceVersion, others: list[ServiceVersion]) -> Service:
    return replace(
        service,
        version=newest.version,
        actions=newest.actions,
        descriptor_set=newest.descriptor_set,
        other_versions=tuple(others),
    )


def _same_api(one: str, other: str) -> bool:
    return api_version(one) == api_version(other)


def _same_content(one: ServiceVersion, other: ServiceVersion) -> bool:
    return replace(one, update_time=other.update_time) == other


def _too_many(draft: Service) -> ValidationError:
    text = f"{draft.name!r} has {MAX_OTHER_VERSIONS + 1} API versions already: deregister one of them first"
    return ValidationError([Violation("service.version", text, Rule.TOO_MANY)])


def _no_version(service: Service, version: str) -> ResourceNotFoundError:
    known = ", ".join(it.version for it in service.versions if it.version) or "none"
    return ResourceNotFoundError(
        "service version",
        f"{service.name}@{version}",
        message=f"service {service.name!r} has no API version {version!r}; known: {known}",
        reason=Reason.SERVICE_VERSION_NOT_FOUND,
        metadata={"service": service.name, "available": known if known != "none" else ""},
    )
