"""The scheduling problem as a MILP for HiGHS (Huangfu, Hall, Math. Prog. Comp. 10, 2018), through SciPy."""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.references.formulation import Formulation
from scheduling.references.result import Result, Solved, best_size

_UNITS = 1e3  # of a number in one second: HiGHS tolerates 1e-6 of a unit, which must not be a microsecond
_OPTIMAL, _INFEASIBLE = 0, 2  # status of scipy.optimize.milp


def solve(problem: Problem, config: PolicyConfig, time_limit_s: float = 60.0) -> Result:
    """Times in the objective agree with plain enumeration within HiGHS's tolerances."""
    return best_size(problem, config, time_limit_s, "highs", _solve)


def _solve(program: Formulation, time_limit_s: float) -> Solved:
    units = np.where(program.binary, 1.0, _UNITS)
    rows, columns, values, lower = [], [], [], []
    for i, (expression, given) in enumerate(program.rows):
        # Whichever condition fails, the row may be violated by as much as its variables' bounds allow.
        slack = max(0.0, -program.least(expression))
        terms, constant = dict(expression.terms), expression.constant
        for variable, needed in given:
            terms[variable] = terms.get(variable, 0.0) + (-slack if needed else slack)
            constant += slack if needed else 0.0
        rows += [i] * len(terms)
        columns += list(terms)
        values += [_UNITS * coefficient / units[variable] for variable, coefficient in terms.items()]
        lower.append(-_UNITS * constant)
    size = len(program.upper)
    cost = np.zeros(size)
    cost[list(program.objective.terms)] = list(program.objective.terms.values())
    start_s = time.perf_counter()
    found = milp(
        _UNITS * cost / units,
        integrality=np.array(program.binary, np.int64),
        bounds=Bounds(0.0, units * program.upper),
        constraints=LinearConstraint(csr_array((values, (rows, columns)), shape=(len(lower), size)), np.array(lower)),
        options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
    )
    seconds = time.perf_counter() - start_s
    if found.x is None:
        return None, found.status == _INFEASIBLE, seconds
    return (found.x / units).tolist(), found.status == _OPTIMAL, seconds
