"""The default: the best of all placements and codecs."""

from __future__ import annotations

from scheduling.compiled import CompiledGraph, Ints
from scheduling.policies.base import Policy
from scheduling.solver import all_masks


class ExactPolicy(Policy):
    name = "exact"

    def placements(self, compiled: CompiledGraph) -> Ints:
        return all_masks(len(compiled.stages))
