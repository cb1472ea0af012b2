"""What a sampler decides for certain, so that it need not be asked for each call."""

from __future__ import annotations

import re
from random import getrandbits
from typing import Final

from opentelemetry.sdk.trace.sampling import Sampler, TraceIdRatioBased

__all__ = ["Certain"]

_BITS: Final = 192
"""Of a trace id and a span id. An id of 0, which no reader takes, is as likely as two that are alike."""
_LOW: Final = (1 << 64) - 1
"""The part of a trace id that a ratio is compared with."""

_ON: Final = "AlwaysOnSampler"
_OFF: Final = "AlwaysOffSampler"


class Certain:
    """What a sampler takes or leaves out for certain.

    Only the samplers of OpenTelemetry itself are understood, by how they describe
    themselves; of any other one nothing is certain.

    Args:
        sampler: Whose decisions these are.

    Attributes:
        follows_parent: Whether a span is never sampled when its parent is not.
        takes_children: Whether a span is always sampled when its parent is.
        takes_roots: Whether a span without a parent always is.
        drops_roots: Whether a span without a parent may be left out without being asked about.
    """

    _ROOT: Final = r"AlwaysOffSampler|AlwaysOnSampler|TraceIdRatioBased\{([0-9.e-]+)\}"
    _PARENT: Final = re.compile(
        rf"ParentBased\{{root:(?P<root>{_ROOT})"
        r",remoteParentSampled:(?P<remote>.*),remoteParentNotSampled:AlwaysOffSampler"
        r",localParentSampled:(?P<local>.*),localParentNotSampled:AlwaysOffSampler\}"
    )

    def __init__(self, sampler: Sampler) -> None:
        description = sampler.get_description()
        parent = self._PARENT.fullmatch(description)
        root = re.fullmatch(self._ROOT, parent["root"] if parent else description)
        name = root[0] if root else ""
        self.follows_parent = parent is not None or name == _OFF
        self.takes_children = parent["remote"] == parent["local"] == _ON if parent else name == _ON
        self.takes_roots = name == _ON
        self.drops_roots = bool(name) and name != _ON
        ratio = float(root[1]) if root and root[1] else 0.0
        self._bound = TraceIdRatioBased.get_bound_for_rate(ratio if self.drops_roots else 1.0)

    def root(self) -> str:
        """Begin a trace; return its ``traceparent``, or nothing when it is, or may be, sampled."""
        ids = getrandbits(_BITS)
        if ids & _LOW < self._bound:
            return ""
        digits = f"{ids:048x}"
        return f"00-{digits[16:]}-{digits[:16]}-02"
