"""Metrics of meshes through OpenTelemetry: read when somebody collects them, so that no call pays for them.

===========================  =======  =============================================
``weft.discovery.endpoints`` gauge    what the sources know, by ``weft.service``,
                                      ``weft.source`` and ``weft.health``
``weft.discovery.stale``     gauge    1 while the list of a service is stale, else 0
``weft.mesh.in_flight``      gauge    calls under way, by service
``weft.mesh.ejected``        gauge    instances left out as outliers, by service
``weft.mesh.retries``        counter  retries that were made, by service
===========================  =======  =============================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import version
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from weft.core.telemetry import HEALTH, SCOPE, SERVICE, SOURCE
from weft.discovery.model import Health
from weft.mesh.mesh import Mesh
from weft.mesh.route import Route

__all__ = ["observe_mesh"]

_Key = tuple[str, str]
"""Source and service."""

_Callback = Callable[[CallbackOptions], Iterable[Observation]]


def observe_mesh(mesh: Mesh, provider: MeterProvider | None = None) -> None:
    """Include a mesh in the metrics, for as long as it lives.

    Args:
        mesh: What is observed; several of a process are added up.
        provider: Where metrics go; None follows the global provider of OpenTelemetry.
    """
    if provider is None:
        _of_process().meshes.add(mesh)
        return
    if provider not in _observed:
        _observed[provider] = _MeshMetrics(provider)
    _observed[provider].meshes.add(mesh)


@cache
def _of_process() -> _MeshMetrics:
    """Return what the global provider gets, also one that is set later."""
    return _MeshMetrics(metrics.get_meter_provider())


class _MeshMetrics:
    """The instruments of one provider. Called in a thread of the collector: it reads, and takes no lock."""

    def __init__(self, provider: MeterProvider) -> None:
        self.meshes: WeakSet[Mesh] = WeakSet()
        meter = provider.get_meter(SCOPE, version("weft"))
        gauges: tuple[tuple[str, _Callback, str], ...] = (
            ("weft.discovery.endpoints", self._endpoints, "Endpoints that the sources know."),
            ("weft.discovery.stale", self._stale, "1 while the list of a service is stale."),
            ("weft.mesh.in_flight", self._in_flight, "Calls under way."),
            ("weft.mesh.ejected", self._ejected, "Instances that are left out as outliers."),
        )
        for name, callback, description in gauges:
            meter.create_observable_gauge(name, [callback], unit="1", description=description)
        meter.create_observable_counter(
            "weft.mesh.retries", [self._retries], unit="1", description="Retries that were made."
        )

    def _endpoints(self, _: CallbackOptions) -> Iterator[Observation]:
        for key, routes in self._routes().items():
            counts = Counter(endpoint.health for endpoint in routes[0].snapshot.endpoints)
            for health in Health:
                yield Observation(counts[health], {**_names(key), HEALTH: health.value})

    def _stale(self, _: CallbackOptions) -> Iterator[Observation]:
        for key, routes in self._routes().items():
            yield Observation(int(any(route.snapshot.stale for route in routes)), _names(key))

    def _in_flight(self, _: CallbackOptions) -> Iterator[Observation]:
        for key, routes in self._routes().items():
            nodes = (node for route in routes for node in route.balancer.nodes())
            yield Observation(sum(node.in_flight for node in nodes), _names(key))

    def _ejected(self, _: CallbackOptions) -> Iterator[Observation]:
        for key, routes in self._routes().items():
            nodes = (node for route in routes for node in route.balancer.nodes())
            out = {node.endpoint.key for node in nodes if node.ejected_until}
            yield Observation(len(out), _names(key))

    def _retries(self, _: CallbackOptions) -> Iterator[Observation]:
        totals: Counter[_Key] = Counter()
        for mesh in list(self.meshes):
            totals.update(mesh.retries())
        for key, total in totals.items():
            yield Observation(total, _names(key))

    def _routes(self) -> dict[_Key, list[Route]]:
        """Return the routes of all meshes by their service; those of one service know the same list."""
        found: dict[_Key, list[Route]] = {}
        for mesh in list(self.meshes):
            for route in mesh.routes():
                found.setdefault((route.target.scheme, route.service), []).append(route)
        return found


_observed: WeakKeyDictionary[MeterProvider, _MeshMetrics] = WeakKeyDictionary()


def _names(key: _Key) -> dict[str, str]:
    return {SOURCE: key[0], SERVICE: key[1]}
