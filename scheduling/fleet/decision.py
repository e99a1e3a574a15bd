"""What each car decides, every frame, by itself: the schedule of its menu with the least objective plus posted prices.

The objective is that of docs/scheduling.md over M futures; see docs/fleet.md. A car's inputs are what it measured
(SINR, last round trip, speed, share of its accelerator) and what its own cell and edge server posted.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from scheduling.fleet.config import FleetConfig
from scheduling.fleet.menu import MenuArrays
from scheduling.fleet.prices import Board, Rule, move_prices, server_of
from scheduling.fleet.world import SHADOW_DISTANCE_M, SHADOW_SIGMA_DB, Drive, Radio
from scheduling.link.moments import spectral_efficiency_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_POOL = 4096  # draws that all cars share; each reads from places of its own
_FORECAST_METRES = 1.0  # driven while a frame is in flight, at town speed
_ROUNDING = 1.0 - 1e-12  # a bound is summed in another order than an objective: allow for the last bits
CAR, EDGE, CLOUD = 0, 1, 2


class Risk(NamedTuple):
    futures: int
    margin_s: float
    late_weight: float
    tail_weight: float
    tail_share: float
    per_joule_s: float
    per_byte_s: float
    inertia_s: float
    travel_m: float
    shortest_s: float
    longest_s: float


class Draws(NamedTuple):
    """Pools of standard draws (4096,), for futures."""

    normal: Floats
    exponential: Floats
    uniform: Floats
    retransmissions: Floats
    seed: int


class Futures(NamedTuple):
    """M futures as one car sees them. Seconds a bit are inf in an outage."""

    up_s: Floats
    down_s: Floats
    delay_s: Floats  # round trip, and what is left of a handover
    up_wait_s: Floats
    edge_wait_s: Floats
    loss: Floats


class Car(NamedTuple):
    """The rest of a car's problem. fallback_at_s: F of docs/scheduling.md."""

    deadline_s: float
    slowdown: float
    local_s: float  # L_car
    local_j: float
    fallback_at_s: float


def risk_numbers(config: FleetConfig) -> Risk:
    r = config.risk
    return Risk(
        r.futures, r.margin_s, r.late_weight, r.tail_weight, r.tail_share, r.per_joule_s, r.per_byte_s, r.inertia_s,
        r.travel_m, r.shortest_s, r.longest_s,
    )  # fmt: skip


def new_draws(config: FleetConfig) -> Draws:
    rng = np.random.default_rng([config.seed, 0xD4A75])
    again = rng.geometric(1.0 - config.cells.block_error_rate, _POOL) - 1.0
    draws = rng.standard_normal(_POOL), rng.exponential(size=_POOL), rng.random(_POOL)
    return Draws(*draws, again.astype(np.float64), config.seed)


def new_futures(count: int) -> Futures:
    return Futures(*(np.zeros(count) for _ in range(6)))


@numba.njit(cache=True)
def _mix(seed: int, car: int, frame: int) -> np.uint64:
    """splitmix64's finaliser: where in the pools this car reads in this frame, whoever else drives."""
    z = np.uint64(seed) + np.uint64(car + 1) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(frame + 1) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def look_ahead(
    out: Futures, radio: Radio, board: Board, draws: Draws, sinr_db: float, core: float, in_gap: bool, cell: int,
    server: int, car: int, frame: int, period_s: float,
) -> None:  # fmt: skip
    """M equally likely futures from what the car measured and what its cell and server posted."""
    mask = np.uint64(_POOL - 1)
    place = _mix(draws.seed, car, frame)
    rho = np.exp(-period_s / radio.core_correlation_s)
    # Shadowing over the metre of driving that the frame is in flight, at the larger sigma: no car knows its sight.
    drift_db = SHADOW_SIGMA_DB[1] * np.sqrt(1.0 - np.exp(-2.0 * _FORECAST_METRES / SHADOW_DISTANCE_M[1]))
    up, edge = cell, 2 * radio.columns * radio.rows + server
    for m in range(out.up_s.size):
        a = np.int64((place + np.uint64(m)) & mask)
        b = np.int64(((place >> np.uint64(16)) + np.uint64(m)) & mask)
        c = np.int64(((place >> np.uint64(32)) + np.uint64(m)) & mask)
        ahead_db = sinr_db + drift_db * draws.normal[a]
        efficiency = spectral_efficiency_of(ahead_db)
        if efficiency > 0.0:
            out.up_s[m] = 1.0 / (radio.up_hz * efficiency)
            out.down_s[m] = 1.0 / (radio.down_hz * spectral_efficiency_of(ahead_db + radio.down_over_up_db))
            out.loss[m] = radio.message_loss
        else:
            out.up_s[m] = out.down_s[m] = np.inf
            out.loss[m] = 1.0
        later = rho * core + np.sqrt(1.0 - rho * rho) * draws.normal[b]
        delay_s = radio.radio_rtt_s + radio.harq_s * draws.retransmissions[a]
        delay_s += radio.core_median_s * np.exp(radio.core_log_sigma * later)
        if in_gap:
            delay_s += radio.handover_median_s * np.exp(radio.handover_log_sigma * draws.normal[c])
        out.delay_s[m] = delay_s
        out.up_wait_s[m] = board.wait_s[up] * draws.exponential[b] if draws.uniform[c] < board.load[up] else 0.0
        out.edge_wait_s[m] = board.wait_s[edge] * draws.exponential[c] if draws.uniform[b] < board.load[edge] else 0.0


@numba.njit(cache=True)
def prepare(menu: MenuArrays, risk: Risk, speed_mps: float, slowdown: float) -> Car:
    deadline_s = min(max(risk.travel_m / max(speed_mps, 0.1), risk.shortest_s), risk.longest_s)
    local_s = menu.car_s[0] * slowdown
    return Car(deadline_s, slowdown, local_s, menu.car_j[0], max(0.0, deadline_s - local_s - risk.margin_s))


@numba.njit(cache=True)
def usage(menu: MenuArrays, j: int, car: Car, f: Futures) -> tuple[float, float, float]:
    """Seconds of the cell's uplink, its downlink and its edge server's accelerator that entry j is expected to take:
    no airtime in an outage, and none after the car has its own answer. Uplink inf: out of reach in every future."""
    if menu.tier[j] == CAR:
        return 0.0, 0.0, 0.0
    up_s, down_s, reached = 0.0, 0.0, 0
    for m in range(f.up_s.size):
        if f.up_s[m] < np.inf:
            up_s += f.up_s[m]
            down_s += f.down_s[m]
            reached += 1
    if reached == 0:
        return np.inf, np.inf, np.inf
    longest_s = car.fallback_at_s + car.local_s
    edge_s = menu.remote_s[j] if menu.tier[j] == EDGE else 0.0
    share = 1.0 / f.up_s.size
    return min(menu.up_bits[j] * up_s * share, longest_s), min(menu.down_bits[j] * down_s * share, longest_s), edge_s


@numba.njit(cache=True)
def allowed(menu: MenuArrays, j: int, car: Car, period_s: float) -> bool:
    """What the car runs itself ends in time (before the fallback starts, or by the deadline), and fits into one period
    together with the fallback: the car keeps up whatever happens. The last resort, entry 0, always is."""
    seconds = menu.car_s[j] * car.slowdown
    latest_s = car.deadline_s if menu.tier[j] == CAR else car.fallback_at_s
    return j == 0 or (seconds <= latest_s and seconds + car.local_s <= period_s)


@numba.njit(cache=True)
def _fixed(menu: MenuArrays, j: int, risk: Risk) -> float:
    price = menu.quality_s[j] + risk.per_joule_s * menu.car_j[j]
    return price + risk.per_byte_s * (menu.up_bits[j] + menu.down_bits[j]) / 8.0


@numba.njit(cache=True)
def _travel(menu: MenuArrays, j: int, car: Car, radio: Radio, up_s: float, down_s: float, delay_s: float,
            up_wait_s: float, edge_wait_s: float) -> float:  # fmt: skip
    """R_m: when the remote answer is on the car, the plain sum of its parts."""
    seconds = menu.car_s[j] * car.slowdown + menu.codec_s[j] + menu.remote_s[j] + delay_s + up_wait_s
    seconds += menu.up_bits[j] * up_s + menu.down_bits[j] * down_s
    if menu.tier[j] == EDGE:
        return seconds + edge_wait_s
    return seconds + radio.wan_rtt_s + (menu.up_bits[j] + menu.down_bits[j]) / radio.wan_bps


@numba.njit(cache=True)
def objective(menu: MenuArrays, j: int, risk: Risk, car: Car, radio: Radio, f: Futures, worst: Floats) -> float:
    """J of docs/scheduling.md without posted prices, in seconds. worst: scratch, one slot a future of the tail."""
    price = _fixed(menu, j, risk)
    if menu.tier[j] == CAR:
        seconds = menu.car_s[j] * car.slowdown
        return price + seconds + (risk.late_weight + risk.tail_weight) * max(0.0, seconds - car.deadline_s)
    end_s = car.fallback_at_s + car.local_s
    end_late_s = max(0.0, end_s - car.deadline_s)
    latency_sum, late_sum, energy_sum, fallback_sum = 0.0, 0.0, 0.0, 0.0
    worst[:] = 0.0
    for m in range(f.up_s.size):
        main_s = _travel(menu, j, car, radio, f.up_s[m], f.down_s[m], f.delay_s[m], f.up_wait_s[m], f.edge_wait_s[m])
        first_s, lost = min(main_s, end_s), f.loss[m]
        kept = 1.0 - lost
        late = kept * max(0.0, first_s - car.deadline_s) + lost * end_late_s
        latency_sum += kept * first_s + lost * end_s
        late_sum += late
        energy_sum += kept * max(0.0, first_s - car.fallback_at_s) / car.local_s + lost
        fallback_sum += lost + (kept if main_s > end_s else 0.0)
        if late > worst[-1]:  # keep the largest, sorted downwards
            k = worst.size - 1
            while k > 0 and worst[k - 1] < late:
                worst[k] = worst[k - 1]
                k -= 1
            worst[k] = late
    share = 1.0 / f.up_s.size
    price += latency_sum * share + risk.late_weight * late_sum * share + risk.tail_weight * worst.sum() / worst.size
    price += risk.per_joule_s * car.local_j * energy_sum * share
    return price + fallback_sum * share * menu.fallback_quality_s[j]


@numba.njit(cache=True)
def choose(
    menu: MenuArrays, risk: Risk, car: Car, radio: Radio, f: Futures, up_price: float, down_price: float,
    edge_price: float, previous: int, period_s: float, worst: Floats,
) -> tuple[int, float, float, float, float]:  # fmt: skip
    """(entry, objective with prices, uplink, downlink and edge seconds). Exact over the menu: an entry is skipped only
    when its objective in the best future of all, in every respect, is no better than what has been found.
    previous: last frame's entry (-1: none); it is tried first, and another tier costs the inertia."""
    best, least = 0, np.inf
    best_up, best_down, best_edge = 0.0, 0.0, 0.0
    up_least, down_least, delay_least = f.up_s.min(), f.down_s.min(), f.delay_s.min()
    up_wait_least, edge_wait_least = f.up_wait_s.min(), f.edge_wait_s.min()
    end_s = car.fallback_at_s + car.local_s
    for position in range(-1, menu.tier.size):
        j = max(previous, 0) if position < 0 else position
        if (position >= 0 and j == max(previous, 0)) or not allowed(menu, j, car, period_s):
            continue
        price = 0.0 if previous < 0 or menu.tier[previous] == menu.tier[j] else risk.inertia_s
        up_s, down_s, edge_s = 0.0, 0.0, 0.0
        if menu.tier[j] != CAR:
            if up_least == np.inf:
                continue
            up_s, down_s, edge_s = usage(menu, j, car, f)
            price += up_price * up_s + down_price * down_s + edge_price * edge_s
            travel_s = _travel(menu, j, car, radio, up_least, down_least, delay_least, up_wait_least, edge_wait_least)
            if (price + _fixed(menu, j, risk) + min(travel_s, end_s)) * _ROUNDING >= least:
                continue
        value = price + objective(menu, j, risk, car, radio, f, worst)
        if value < least:
            best, least, best_up, best_down, best_edge = j, value, up_s, down_s, edge_s
    return best, least, best_up, best_down, best_edge


@numba.njit(cache=True)
def decide_frames(
    menu: MenuArrays, radio: Radio, risk: Risk, rule: Rule, draws: Draws, board: Board, drive: Drive, previous: Ints,
    first_frame: int, choice: Ints, price_history: Floats, load_history: Floats,
) -> None:  # fmt: skip
    """The whole decision path, frame by frame: every car builds its inputs and decides, then every resource moves its
    price. choice: (F, N) out. previous: (N,) in and out. Histories: (F or 0, R) out: prices as posted, utilisation."""
    frames, cars = drive.cell.shape
    cells = radio.columns * radio.rows
    f = Futures(
        np.empty(risk.futures), np.empty(risk.futures), np.empty(risk.futures), np.empty(risk.futures),
        np.empty(risk.futures), np.empty(risk.futures),
    )  # fmt: skip
    worst = np.zeros(max(1, int(np.ceil(risk.tail_share * risk.futures))))
    for t in range(frames):
        if t < price_history.shape[0]:
            price_history[t] = board.price
        for i in range(cars):
            cell = drive.cell[t, i]
            server = server_of(cell, radio.columns, radio.block)
            look_ahead(f, radio, board, draws, drive.sinr_db[t, i], drive.core[t, i], drive.in_gap[t, i], cell, server,
                       i, first_frame + t, rule.period_s)  # fmt: skip
            car = prepare(menu, risk, drive.speed_mps[t, i], drive.slowdown[t, i])
            up, down, edge = cell, cells + cell, 2 * cells + server
            j, _, up_s, down_s, edge_s = choose(
                menu, risk, car, radio, f, board.price[up], board.price[down], board.price[edge], previous[i],
                rule.period_s, worst,
            )  # fmt: skip
            choice[t, i] = previous[i] = j
            board.demand_s[up] += up_s
            board.demand_s[down] += down_s
            board.demand_s[edge] += edge_s
            board.demand_squares[up] += up_s * up_s
            board.demand_squares[down] += down_s * down_s
            board.demand_squares[edge] += edge_s * edge_s
        if t < load_history.shape[0]:
            load_history[t] = board.demand_s / (rule.period_s * board.capacity)
        move_prices(board, rule)
