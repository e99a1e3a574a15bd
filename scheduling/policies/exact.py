"""The default: the exact optimum over placement, precision, codecs and size of the model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from scheduling.compiled import Ints
from scheduling.planning import Planner, Reading
from scheduling.policies.base import Policy, PolicyConfig
from scheduling.problem import Busy, Floats, Problem
from scheduling.types import Place, Schedule


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
        if problem.ahead:
            value = self.cost_to_go(problem)
            readings = [reading.ending(value) for reading in readings]
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

    def cost_to_go(self, problem: Problem) -> Floats:
        """(tier,) V(k): what the frames ahead cost if the states lie at tier k when the present one is done.

        V_t(k) = min over schedules that end with the states at j of F c_t(k) + V_{t+1}(j), backwards from V = 0 behind
        the last step; F frames a step. The transfer from k to j is part of c_t(k) (Bellman, Dynamic Programming, 1957).
        """
        tiers, frames = len(problem.computers), problem.ahead_frames
        states = {name for model in problem.models for name in model.graph.states}
        value = np.zeros(tiers)
        for forecast in reversed(problem.ahead):
            step = replace(problem, forecast=forecast, busy=Busy(), waits=None, previous=None, ahead=())
            before = np.empty(tiers)
            for k in range(tiers):
                there = replace(step, state_home=dict.fromkeys(states, Place(k)))
                best_s = math.inf
                for reading in self.planner.read(there):
                    best_s = reading.ending(value / frames).search(best_s).objective_s
                before[k] = frames * best_s
            value = before
        return value

    def _before(self, reading: Reading, previous: Schedule | None) -> tuple[Ints, Ints] | None:
        if previous is None:
            return None
        if self._last is not None and previous is self._last[0] and previous.model == reading.model.name:
            return self._last[1]
        return reading.numbers(previous)
