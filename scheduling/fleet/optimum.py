"""One round of the fleet's problem, centrally and by prices.

N cars, each picks one entry of its menu; every cell's uplink and downlink and every edge server has a capacity. That is
a generalised assignment problem with several resources, NP-hard:

    min  sum_ij J_ij x_ij     s.t.  sum_j x_ij = 1,   sum_ij a_ijk x_ij <= b_k,   x binary

`solve_centrally` gives it to HiGHS as a mixed-integer program. `solve_by_prices` repeats what the fleet does every
frame, with the radio frozen: post prices, let every car choose, move prices. Its last choice may ask for more than
there is; `admit` makes any choice feasible, resource by resource, and is applied to both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from scheduling.fleet.config import FleetConfig
from scheduling.fleet.decision import (
    Draws,
    Futures,
    Risk,
    allowed,
    look_ahead,
    new_futures,
    objective,
    prepare,
    risk_numbers,
    usage,
)
from scheduling.fleet.menu import MenuArrays
from scheduling.fleet.prices import Board, Rule, move_prices, new_board, rule_of, server_of
from scheduling.fleet.world import Drive, Radio, radio_numbers

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Round(NamedTuple):
    """objective: (N, K) seconds, inf where an entry is no candidate. use: (N, K, 3) seconds of the car's uplink,
    downlink and edge server. resource: (N, 3) which ones these are. available_s: (R,)."""

    objective: Floats
    use: Floats
    resource: Ints
    available_s: Floats

    def total(self, choice: Ints) -> float:
        return float(self.objective[np.arange(len(choice)), choice].sum())

    def demand_s(self, choice: Ints) -> Floats:
        asked = np.zeros_like(self.available_s)
        np.add.at(asked, self.resource, self.use[np.arange(len(choice)), choice])
        return asked

    def lower_bound(self, price: Floats) -> float:
        """Lagrangian bound on the optimum, at any prices >= 0."""
        paid = self.objective + (self.use * price[self.resource][:, None, :]).sum(axis=2)
        return float(paid.min(axis=1).sum() - price @ self.available_s)


def one_round(config: FleetConfig, menu: MenuArrays, drive: Drive, draws: Draws, board: Board, frame: int = 0) -> Round:
    """The problem of that frame as the cars see it, with the waits that the board posts."""
    cars = drive.shape[1]
    found = Round(
        np.full((cars, menu.tier.size), np.inf), np.zeros((cars, menu.tier.size, 3)), np.zeros((cars, 3), np.int64),
        config.prices.target * config.period_s * board.capacity,
    )  # fmt: skip
    futures = new_futures(config.risk.futures)
    radio = radio_numbers(config.cells)
    _fill(found, menu, radio, risk_numbers(config), rule_of(config), drive, draws, board, frame, futures)
    return found


@numba.njit(cache=True)
def _fill(
    p: Round, menu: MenuArrays, radio: Radio, risk: Risk, rule: Rule, drive: Drive, draws: Draws, board: Board,
    frame: int, f: Futures,
) -> None:  # fmt: skip
    cells = radio.columns * radio.rows
    worst = np.zeros(max(1, int(np.ceil(risk.tail_share * risk.futures))))
    for i in range(p.objective.shape[0]):
        cell = drive.cell[frame, i]
        server = server_of(cell, radio.columns, radio.block)
        p.resource[i, 0], p.resource[i, 1], p.resource[i, 2] = cell, cells + cell, 2 * cells + server
        look_ahead(f, radio, board, draws, drive.sinr_db[frame, i], drive.core[frame, i], drive.in_gap[frame, i], cell,
                   server, i, frame, rule.period_s)  # fmt: skip
        car = prepare(menu, risk, drive.speed_mps[frame, i], drive.slowdown[frame, i])
        for j in range(menu.tier.size):
            up_s, down_s, edge_s = usage(menu, j, car, f)
            if allowed(menu, j, car, rule.period_s) and up_s < np.inf:
                p.objective[i, j] = objective(menu, j, risk, car, radio, f, worst)
                p.use[i, j, 0], p.use[i, j, 1], p.use[i, j, 2] = up_s, down_s, edge_s


class Settled(NamedTuple):
    choice: Ints
    price: Floats
    changes: Ints  # (rounds,) how many cars changed their entry


def solve_by_prices(config: FleetConfig, problem: Round, rounds: int = 200) -> Settled:
    """What the fleet's price rule comes to when the radio stands still. The choice may not be feasible: see `admit`."""
    board = new_board(config)
    choice = np.zeros(len(problem.objective), np.int64)
    changes = np.zeros(rounds, np.int64)
    _settle(problem, board, rule_of(config), choice, changes)
    return Settled(choice, board.price, changes)


@numba.njit(cache=True)
def _settle(p: Round, board: Board, rule: Rule, choice: Ints, changes: Ints) -> None:
    for t in range(changes.size):
        for i in range(choice.size):
            prices = board.price[p.resource[i, 0]], board.price[p.resource[i, 1]], board.price[p.resource[i, 2]]
            best, least = 0, np.inf
            for j in range(p.objective.shape[1]):
                value = p.objective[i, j]
                value += prices[0] * p.use[i, j, 0] + prices[1] * p.use[i, j, 1] + prices[2] * p.use[i, j, 2]
                if value < least:
                    best, least = j, value
            changes[t] += best != choice[i]
            choice[i] = best
            for r in range(3):
                board.demand_s[p.resource[i, r]] += p.use[i, best, r]
        move_prices(board, rule)


@numba.njit(cache=True)
def _fits(p: Round, left_s: Floats, i: int, j: int) -> bool:
    fits = True
    for r in range(3):
        fits = fits and p.use[i, j, r] <= left_s[p.resource[i, r]]
    return fits


@numba.njit(cache=True)
def _take(p: Round, left_s: Floats, i: int, j: int, sign: float) -> None:
    for r in range(3):
        left_s[p.resource[i, r]] -= sign * p.use[i, j, r]


@numba.njit(cache=True)
def admit(p: Round, wanted: Ints) -> Ints:
    """A feasible choice. Cars ask in the order of what they save per share of the resources they ask for (each tells
    its own cell that much); whoever does not fit runs on the car. Then whoever can do better with what is left does,
    until nobody can: every such step lowers the total, so it ends."""
    cars, entries = p.objective.shape
    choice = np.zeros(cars, np.int64)
    density = np.zeros(cars)
    for i in range(cars):
        share = 0.0
        for r in range(3):
            share += p.use[i, wanted[i], r] / p.available_s[p.resource[i, r]]
        density[i] = (p.objective[i, 0] - p.objective[i, wanted[i]]) / max(share, 1e-12)
    left_s = p.available_s.copy()
    order = np.argsort(-density, kind="mergesort")
    for i in order:
        if _fits(p, left_s, i, wanted[i]):
            choice[i] = wanted[i]
            _take(p, left_s, i, wanted[i], 1.0)
    better = True
    while better:
        better = False
        for i in order:
            _take(p, left_s, i, choice[i], -1.0)
            best = choice[i]
            for j in range(entries):
                if p.objective[i, j] < p.objective[i, best] - 1e-15 and _fits(p, left_s, i, j):
                    best = j
            better = better or best != choice[i]
            choice[i] = best
            _take(p, left_s, i, best, 1.0)
    return choice


@contextmanager
def _hushed() -> Iterator[None]:
    """HiGHS writes notes of its repair heuristics to the process's standard output, whatever `disp` says."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def solve_centrally(problem: Round, time_limit_s: float = 20.0, gap: float = 0.0) -> tuple[Ints, float, float]:
    """(choice, objective, proven lower bound of the optimum) by HiGHS through scipy."""
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_matrix
    except ImportError:
        raise ValueError("the central optimum needs scipy, which is not installed: pip install scipy") from None
    car, entry = np.nonzero(np.isfinite(problem.objective))
    columns = np.arange(len(car))
    one = coo_matrix((np.ones(len(car)), (car, columns)), shape=(len(problem.objective), len(car)))
    used = problem.use[car, entry]  # (columns, 3)
    rows = problem.resource[car]
    shares = used / problem.available_s[rows]  # every capacity is 1: well scaled
    capacity = coo_matrix(
        (shares.ravel(), (rows.ravel(), np.repeat(columns, 3))), shape=(len(problem.available_s), len(car))
    )
    with _hushed():
        result = milp(
            problem.objective[car, entry],
            constraints=[LinearConstraint(one.tocsr(), 1.0, 1.0), LinearConstraint(capacity.tocsr(), -np.inf, 1.0)],
            integrality=np.ones(len(car)),
            bounds=Bounds(0.0, 1.0),
            options={"time_limit": time_limit_s, "mip_rel_gap": gap},
        )
    if result.x is None:
        raise ValueError(f"HiGHS found no choice for {len(problem.objective)} cars: {result.message}")
    choice = np.zeros(len(problem.objective), np.int64)
    picked = result.x > 0.5
    choice[car[picked]] = entry[picked]
    return choice, problem.total(choice), float(result.mip_dual_bound)
