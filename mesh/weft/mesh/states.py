"""What a mesh tells people of its routes, in a bounded form."""

from __future__ import annotations

from typing import Any, Final

from weft.mesh.mesh import Mesh
from weft.mesh.route import Route

__all__ = ["describe_mesh"]

_MOST_ROUTES: Final = 100
_MOST_INSTANCES: Final = 10


def describe_mesh(mesh: Mesh) -> dict[str, Any]:
    """Return what is known of each route, and how its instances are.

    Lists are bounded, and what is wrong comes first in them; the counts tell how much
    there is. It is JSON, and takes no more than some milliseconds.
    """
    routes = sorted(mesh.routes(), key=lambda route: (not route.snapshot.stale, str(route.target)))
    return {
        "route_count": len(routes),
        "stale_count": sum(route.snapshot.stale for route in routes),
        "routes": [_route(route) for route in routes[:_MOST_ROUTES]],
    }


def _route(route: Route) -> dict[str, Any]:
    states = route.states()
    instances: list[dict[str, Any]] = states.pop("instances")
    instances.sort(key=lambda it: (-it["ejected_for"], -it["in_flight"], it["key"]))
    return {
        **states,
        "instance_count": len(instances),
        "ejected_count": sum(1 for it in instances if it["ejected_for"]),
        "in_flight": sum(it["in_flight"] for it in instances),
        "instances": [_instance(it) for it in instances[:_MOST_INSTANCES]],
    }


def _instance(state: dict[str, Any]) -> dict[str, Any]:
    shown = {name: state[name] for name in ("key", "address", "zone", "in_flight", "ejections")}
    return {**shown, "ejected_for": round(state["ejected_for"], 1)}
