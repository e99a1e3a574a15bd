"""What a reference solver answers, and the loop over sizes of the model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from scheduling.policies.base import PolicyConfig
from scheduling.problem import Problem
from scheduling.references.formulation import Formulation
from scheduling.types import Schedule


@dataclass(frozen=True)
class Result:
    """objective: of the solver's own model; inf and no schedule where it found none. seconds: building the model
    included. proven: whether the solver finished, so that nothing better exists."""

    objective: float
    schedule: Schedule | None
    seconds: float
    proven: bool


Solved = tuple[list[float] | None, bool]  # values of the variables (None: found none), whether that is proven


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
    start_s = time.perf_counter()
    objective, schedule, proven = math.inf, None, True
    for i, model in enumerate(problem.models):
        program = Formulation(problem, config, model, choose_tail=choose_tail)
        left_s = max(0.01, time_limit_s - (time.perf_counter() - start_s)) / (len(problem.models) - i)
        values, finished = solve(program, left_s)
        proven = proven and finished
        if values is not None:
            value = program.objective.value(values)
            if value < objective:
                objective, schedule = value, program.schedule(values, policy)
    return Result(objective, schedule, time.perf_counter() - start_s, proven)
