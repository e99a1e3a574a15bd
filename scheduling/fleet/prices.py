"""How cells and edge servers move their prices, each from nothing but its own utilisation: no central controller.

A resource (a cell's uplink, a cell's downlink, an edge server) posts two numbers before every frame: its price, in
seconds of the objective a second of its time, and its load, from which cars reckon how long they would wait. After
the frame it knows what was asked of it: the utilisation rho = demand / (capacity * period). Its price follows the
dual ascent (subgradient) of the assignment problem, projected at 0,

    excess = (rho - target) / max(rho, target)            in [-1, 1]
    price <- max(0, price + step * excess)
    step  <- step * shrink when the excess has changed its sign since the last frame, step * grow otherwise

The step is the resource's own, too: halving it at every change of sign damps the herd (cars that all leave and all
return at one price), growing it again lets the price follow the traffic. Bounds keep it from dying and from leaping.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from scheduling.fleet.config import FleetConfig

Floats = npt.NDArray[np.float64]

_SMOOTHING = 0.2  # of what a resource remembers, a frame: an assumption
_IDLE = 1e-3  # utilisation that counts as none
FULL = 0.95  # a posted load does not promise finite waits beyond this utilisation


class Board(NamedTuple):
    """One number a resource (R,): uplinks of the C cells, downlinks of the C cells, accelerators of the S servers."""

    price: Floats
    step: Floats
    last_excess: Floats
    load: Floats  # posted: share of the jobs that wait
    wait_s: Floats  # posted: mean wait of those who wait
    ask: Floats  # smoothed utilisation
    service_s: Floats  # smoothed E[b^2] / E[b] of the service times b
    demand_s: Floats  # of the present frame
    demand_squares: Floats
    capacity: Floats  # seconds of service in a second


class Rule(NamedTuple):
    target: float
    smallest_step: float
    largest_step: float
    shrink: float
    grow: float
    enabled: bool
    period_s: float


def new_board(config: FleetConfig) -> Board:
    cells = config.cells
    capacity = config.capacity * np.repeat([1.0, 1.0, cells.accelerators], [cells.cells, cells.cells, cells.servers])
    price, excess, load, wait, ask, service, demand, squares = (np.zeros(len(capacity)) for _ in range(8))
    step = np.full(len(capacity), config.prices.first_step)
    return Board(price, step, excess, load, wait, ask, service, demand, squares, capacity)


def rule_of(config: FleetConfig) -> Rule:
    p = config.prices
    return Rule(p.target, p.smallest_step, p.largest_step, p.shrink, p.grow, p.enabled, config.period_s)


@numba.njit(cache=True)
def server_of(cell: int, columns: int, block: int) -> int:
    return (cell // columns // block) * (columns // block) + cell % columns // block


@numba.njit(cache=True)
def move_prices(board: Board, rule: Rule) -> None:
    """Every resource by itself: the loop carries nothing from one to the next."""
    for k in range(board.price.size):
        if board.demand_s[k] == 0.0 and board.price[k] == 0.0 and board.ask[k] < _IDLE:
            board.load[k] = board.ask[k] = board.service_s[k] = board.wait_s[k] = 0.0
            continue  # idle, and has been for a while: nothing to move
        rho = board.demand_s[k] / (rule.period_s * board.capacity[k])
        excess = (rho - rule.target) / max(rho, rule.target)
        if rule.enabled:
            if excess * board.last_excess[k] < 0.0:
                board.step[k] = max(rule.smallest_step, board.step[k] * rule.shrink)
            else:
                board.step[k] = min(rule.largest_step, board.step[k] * rule.grow)
            board.price[k] = max(0.0, board.price[k] + board.step[k] * excess)
            board.last_excess[k] = excess
        # Pollaczek-Khinchine: those who wait do so for E[b^2] / (2 E[b] (1 - rho)) on average, a share rho of all.
        # With prices the posted load stops at the target: rationing is the price's work, and two loops that both drive
        # cars away would take turns (all leave, all return).
        if board.demand_s[k] > 0.0:
            square = board.demand_squares[k] / board.demand_s[k] / board.capacity[k]
            board.service_s[k] += (_SMOOTHING if board.service_s[k] > 0.0 else 1.0) * (square - board.service_s[k])
        board.ask[k] += _SMOOTHING * (rho - board.ask[k])
        board.load[k] = min(board.ask[k], rule.target if rule.enabled else FULL)
        board.wait_s[k] = board.service_s[k] / (2.0 * (1.0 - board.load[k]))
        board.demand_s[k] = 0.0
        board.demand_squares[k] = 0.0
