"""How well a service is, as its instances tell."""

from __future__ import annotations

from dataclasses import dataclass

from weft.discovery.model import Health
from weft.server.registry.model import Instance, Service

__all__ = ["HealthReport", "report_health"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How well a service is, with every instance."""

    service: Service
    """Which service."""
    instances: tuple[Instance, ...]
    """All of them."""
    healthy: bool
    """Somebody passes and nobody is critical."""
    callable: bool
    """Somebody can be called."""
    note: str
    """Why, when it is not healthy; or what was not checked."""


def report_health(service: Service, instances: tuple[Instance, ...]) -> HealthReport:
    """Tell how well a service is."""
    usable = [i for i in instances if i.health in {Health.PASSING, Health.WARNING}]
    passing = [i for i in instances if i.health is Health.PASSING]
    critical = [i for i in instances if i.health is Health.CRITICAL]
    endpoint_only = not instances and bool(service.endpoint)
    note = ""
    if endpoint_only:
        elsewhere = service.endpoint.startswith(("consul://", "dns://"))
        what = f"its instances are those of {service.endpoint}" if elsewhere else "a plain endpoint"
        note = f"not checked: {what}"
    elif not instances:
        note = "no instance and no endpoint"
    elif len(passing) < len(instances):
        note = f"{len(passing)} of {len(instances)} instances pass"
    return HealthReport(
        service=service,
        instances=instances,
        healthy=endpoint_only or (bool(passing) and not critical),
        callable=endpoint_only or bool(usable),
        note=note,
    )
