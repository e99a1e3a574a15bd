"""What a reference solver answers, and the loop over sizes of the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.references.formulation import Formulation
from scheduling.types import Schedule


@dataclass(frozen=True)
class Result:
    """objective: of the solver's own model; inf and no schedule where it found none. seconds: of the solver alone,
    building its model not counted. proven: whether the solver finished, so that nothing better exists."""

    objective: float
    schedule: Schedule | None
    seconds: float
    proven: bool


Solved = tuple[list[float] | None, bool, float]  # values of the variables (None: found none), proven, seconds


def best_size(
    problem: Problem,
    config: PolicyConfig,
    time_limit_s: float,
    policy: str,
    solve: Callable[[Formulation, float], Solved],
    *,
    choose_tail: bool = False,
) -> Result:
    """The program is one of a single size of the model; each size is solved alone, and the best taken."""
    objective, schedule, proven, seconds = math.inf, None, True, 0.0
    for i, model in enumerate(problem.models):
        program = Formulation(problem, config, model, choose_tail=choose_tail)
        left_s = max(0.01, time_limit_s - seconds) / (len(problem.models) - i)
        values, finished, took_s = solve(program, left_s)
        proven, seconds = proven and finished, seconds + took_s
        if values is not None:
            value = program.objective.value(values)
            if value < objective:
                objective, schedule = value, program.schedule(values, policy)
    return Result(objective, schedule, seconds, proven)
