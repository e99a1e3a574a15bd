"""Policies that never hop: all in the car, or all at the edge (with the best codecs and the local fallback)."""

from __future__ import annotations

import numpy as np

from scheduling.compiled import CompiledGraph, Ints
from scheduling.policies.base import Policy


class LocalOnlyPolicy(Policy):
    name = "local_only"

    def placements(self, compiled: CompiledGraph) -> Ints:
        return np.zeros(1, np.int64)


class EdgeOnlyPolicy(Policy):
    name = "edge_only"

    def placements(self, compiled: CompiledGraph) -> Ints:
        return np.array([(1 << len(compiled.stages)) - 1], np.int64)
