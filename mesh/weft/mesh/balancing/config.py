"""How the calls of one service are balanced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule

__all__ = ["POLICIES", "BalancerConfig", "OutlierConfig"]

POLICIES: Final = (
    "round_robin",
    "weighted_round_robin",
    "least_request",
    "peak_ewma",
    "consistent_hash",
    "pick_first",
)
"""The names of the policies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierConfig:
    """When an instance that fails is left out for a while, whatever its source says of it."""

    consecutive_failures: int = 5
    """So many failed calls in a row eject it at once; 0 turns this rule off."""
    interval: timedelta = timedelta(seconds=10)
    """How often success rates are compared; an instance that is well then counts one ejection less."""
    success_rate_factor: float = 1.9
    """Ejected when its rate is that many standard deviations below the mean; 0 turns this rule off."""
    success_rate_margin: float = 0.05
    """It must also be that far below the mean, or equals with tiny differences would be told apart."""
    min_hosts: int = 5
    """Rates are compared only when so many instances have enough calls."""
    min_requests: int = 100
    """Calls of an instance within one interval that make its rate mean something."""
    ejection_time: timedelta = timedelta(seconds=30)
    """How long it is left out, times how often it was."""
    max_ejection_time: timedelta = timedelta(seconds=300)
    """The longest."""
    max_ejected: float = 0.5
    """Part of the instances that may be left out at a time: of one none, of two or three one."""

    def violations(self) -> Iterator[Violation]:
        """Yield every fault, by its field."""
        for name in ("interval", "ejection_time", "max_ejection_time"):
            if getattr(self, name) <= timedelta(0):
                yield Violation(f"outliers.{name}", "must be positive", Rule.OUT_OF_RANGE)
        for name in ("consecutive_failures", "success_rate_factor", "success_rate_margin"):
            if not getattr(self, name) >= 0:
                yield Violation(f"outliers.{name}", "must not be negative", Rule.OUT_OF_RANGE)
        for name in ("min_hosts", "min_requests"):
            if getattr(self, name) < 1:
                yield Violation(f"outliers.{name}", "must be at least 1", Rule.OUT_OF_RANGE)
        if not 0 <= self.max_ejected <= 0.5:
            yield Violation("outliers.max_ejected", "must be 0 to 0.5", Rule.OUT_OF_RANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerConfig:
    """How the calls of one service are balanced.

    Raises:
        ValidationError: Every fault of the values.
    """

    policy: str = "round_robin"
    """One of ``POLICIES``."""
    zone: str = ""
    """Where the caller is: instances in this zone are preferred; empty: no zone is."""
    datacenter: str = ""
    """The caller's datacenter: preferred after the zone; empty: none is."""
    overprovisioning: float = 1.4
    """A zone takes all its calls while its healthy part times this is at least 1."""
    subset_size: int = 0
    """Use only so many instances of each tier of zones; 0: all. For fleets of many clients and instances."""
    subset_seed: str = ""
    """Tells clients apart, so that they use different subsets; empty: drawn at random."""
    slow_start: timedelta = timedelta(0)
    """How long a fresh instance's share grows from a tenth to all of it; 0: it has its share at once."""
    ewma_decay: timedelta = timedelta(seconds=10)
    """How fast ``peak_ewma`` forgets: what is older counts for about a third."""
    outliers: OutlierConfig | None = field(default_factory=OutlierConfig)
    """When an instance that fails is left out; None: never."""

    def __post_init__(self) -> None:
        if found := list(self._violations()):
            raise ValidationError(found)

    def _violations(self) -> Iterator[Violation]:
        if self.policy not in POLICIES:
            hint = closest(self.policy, list(POLICIES))
            yield Violation("policy", f"there is no policy {self.policy!r}; {hint}", Rule.INVALID)
        if not self.overprovisioning >= 1:
            yield Violation("overprovisioning", "must be at least 1", Rule.OUT_OF_RANGE)
        if self.subset_size < 0:
            yield Violation("subset_size", "must not be negative", Rule.OUT_OF_RANGE)
        if self.slow_start < timedelta(0):
            yield Violation("slow_start", "must not be negative", Rule.OUT_OF_RANGE)
        if self.ewma_decay <= timedelta(0):
            yield Violation("ewma_decay", "must be positive", Rule.OUT_OF_RANGE)
        if self.outliers is not None:
            yield from self.outliers.violations()
