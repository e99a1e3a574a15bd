"""The default: the exact optimum over placement, precision, codecs and size of the model."""

from __future__ import annotations

import math

from scheduling.compiled import Ints
from scheduling.planning import Planner, Reading
from scheduling.policies.base import Policy, PolicyConfig
from scheduling.problem import Problem
from scheduling.types import Schedule


class ExactPolicy(Policy):
    """last_gap_s: how far above the optimum the last decision can be; 0 unless the search was cut short."""

    name = "exact"

    def __init__(self, config: PolicyConfig | None = None) -> None:
        super().__init__(config)
        self.planner = Planner(self.config)
        self.last_gap_s = 0.0
        self.last_objective_s = math.nan
        self.last_nodes = 0
        self._last: tuple[Schedule, tuple[Ints, Ints]] | None = None

    def decide(self, problem: Problem) -> Schedule:
        readings = self.planner.read(problem)
        last_resort = readings.pop(problem.fallback)
        best, best_s, bound, nodes = last_resort, math.inf, math.inf, 0
        for reading in (last_resort, *readings):
            found = reading.search(best_s, self._before(reading, problem.previous))
            bound, nodes = min(bound, found.bound_s), nodes + found.nodes
            if found.better:
                best, best_s, chosen = reading, found.objective_s, found
        self.last_gap_s, self.last_objective_s, self.last_nodes = max(0.0, best_s - bound), best_s, nodes
        schedule = best.schedule(chosen.choice, chosen.option, chosen.latency_s, self.name)
        self._last = schedule, (chosen.choice, chosen.option)
        return schedule

    def _before(self, reading: Reading, previous: Schedule | None) -> tuple[Ints, Ints] | None:
        if previous is None:
            return None
        if self._last is not None and previous is self._last[0] and previous.model == reading.model.name:
            return self._last[1]
        return reading.numbers(previous)
