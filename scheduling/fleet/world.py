"""Cars on streets under a grid of cells, without rendering: who is served by whom, how well, and what a car measures.

Everything here is the simulator, not the decision: `simulate` draws both the truth that `scheduling.fleet.execution`
serves frames by, and the measurements that are all a car may know.

SINR = transmit power - path loss (3GPP UMi) - shadowing - noise - noise rise. The line of sight follows its
probability and is drawn anew, like the shadowing, as the car moves (correlation distances of TR 38.901). The
round trip is a constant radio part, HARQ retransmissions, and a lognormal transport part correlated in time.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from scheduling.fleet.config import CellConfig, FleetConfig
from scheduling.link import channel
from scheduling.link.channel import noise_dbm, umi_los_loss_db, umi_nlos_loss_db
from scheduling.link.moments import spectral_efficiency_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHADOW_SIGMA_DB = tuple(channel.SHADOW_SIGMA_DB[sight] for sight in (True, False))  # indexed by 0 LOS, 1 NLOS
SHADOW_DISTANCE_M = tuple(channel.SHADOW_DISTANCE_M[sight] for sight in (True, False))
_SIGHT_DISTANCE_M = 50.0  # of the LOS state: TR 38.901 table 7.6.3.1-2 (UMi)
_TURN = 0.25  # probability of turning left at a crossing, and of turning right: an assumption


class Drive(NamedTuple):
    """F frames of N cars. What a car knows: cell, sinr_db, core, in_gap, speed_mps, slowdown. The truth: the rest."""

    cell: Ints  # (F, N) serving roadside unit
    sinr_db: Floats  # (F, N) uplink SINR as measured
    core: Floats  # (F, N) logarithm of the last transport delay, in sigmas
    in_gap: npt.NDArray[np.bool_]  # (F, N) a handover is on
    speed_mps: Floats  # (F, N)
    slowdown: Floats  # (F, N) of the car's accelerator by its other tenants: 1 / (1 - share)
    up_bps: Floats  # (F, N) true rate with the whole uplink of the cell
    down_bps: Floats  # (F, N)
    rtt_s: Floats  # (F, N)
    gap_s: Floats  # (F, N) until when after capture the handover interrupts
    lost: npt.NDArray[np.bool_]  # (F, N) what this frame sends is lost
    phase_s: Floats  # (N,) when within a period a car captures

    @property
    def shape(self) -> tuple[int, int]:
        return self.cell.shape[0], self.cell.shape[1]

    def first(self, frames: int) -> Drive:
        over_time = {name: value[:frames] for name, value in self._asdict().items() if name != "phase_s"}
        return self._replace(**over_time)


class Radio(NamedTuple):
    """`CellConfig` as numbers for numba."""

    columns: int
    rows: int
    block: int
    spacing_m: float
    rise_m: float  # of the unit's antenna over the car's
    up_budget_db: float  # SINR minus path gain
    down_over_up_db: float
    up_hz: float  # bit/s at a spectral efficiency of 1
    down_hz: float
    radio_rtt_s: float
    harq_s: float
    block_error_rate: float
    core_median_s: float
    core_log_sigma: float
    core_correlation_s: float
    wan_rtt_s: float
    wan_bps: float
    handover_median_s: float
    handover_log_sigma: float
    handover_margin_m: float
    message_loss: float
    measurement_sigma_db: float


class Streets(NamedTuple):
    """`TrafficConfig` as numbers for numba."""

    street_m: float
    mean_mps: float
    sigma_mps: float
    speed_s: float
    top_mps: float
    brisk_mps2: float
    quiet_slowdown: float
    awake_slowdown: float
    quiet_s: float
    awake_s: float


def radio_numbers(c: CellConfig) -> Radio:
    up_db = c.car_power_dbm - noise_dbm(c.bandwidth_hz, c.unit_noise_figure_db) - c.noise_rise_db
    down_db = c.unit_power_dbm - noise_dbm(c.bandwidth_hz, c.car_noise_figure_db) - c.noise_rise_db
    goodput_hz = c.bandwidth_hz * (1.0 - c.overhead) * (1.0 - c.block_error_rate)
    return Radio(
        c.columns, c.rows, c.block, c.spacing_m, c.unit_height_m - c.car_height_m, up_db, down_db - up_db,
        goodput_hz * c.up_share, goodput_hz * c.down_share, c.radio_rtt_s, c.harq_s, c.block_error_rate,
        c.core_median_s, c.core_log_sigma, c.core_correlation_s, c.wan_rtt_s, c.wan_bps, c.handover_median_s,
        c.handover_log_sigma, c.handover_margin_m, c.message_loss, c.measurement_sigma_db,
    )  # fmt: skip


def simulate(config: FleetConfig, cars: int, frames: int) -> Drive:
    """`frames` frames of `cars` cars. Seeded; the first frame finds the cars spread evenly."""
    if cars < 1 or frames < 1:
        raise ValueError(f"a drive needs at least one car and one frame, received {cars} and {frames}")
    c, t = config.cells, config.traffic
    rng = np.random.default_rng([config.seed, 0xF1EE7, cars])
    far_m = int(c.spacing_m * max(c.columns, c.rows)) + 2
    heights = (c.unit_height_m, c.car_height_m, c.frequency_ghz)
    loss_db = np.array([[f(float(d), *heights) for d in range(far_m)] for f in (umi_los_loss_db, umi_nlos_loss_db)])
    sight_share = channel.los_probability(np.arange(far_m))
    width, height = c.columns * c.spacing_m, c.rows * c.spacing_m
    along = rng.random(cars) < 0.5
    x, y = rng.random(cars) * width, rng.random(cars) * height
    snap = t.street_m
    x = np.where(along, x, np.round(x / snap) * snap % width)
    y = np.where(along, np.round(y / snap) * snap % height, y)
    heading = np.where(along, 0, 1) + 2 * rng.integers(0, 2, cars)
    shape = (frames, cars)
    floats = [np.empty(shape) for _ in range(8)]
    sinr, core, speed, slow, up, down, rtt, gap = floats
    drive = Drive(
        np.empty(shape, np.int64), sinr, core, np.empty(shape, np.bool_), speed, slow, up, down, rtt, gap,
        np.empty(shape, np.bool_), rng.random(cars) * config.period_s,
    )  # fmt: skip
    streets = Streets(
        t.street_m, t.mean_speed_mps, t.speed_sigma_mps, t.speed_correlation_s, t.top_speed_mps, t.acceleration_mps2,
        1.0 / (1.0 - t.quiet_share), 1.0 / (1.0 - t.awake_share), t.mean_quiet_s, t.mean_awake_s,
    )  # fmt: skip
    _simulate(
        rng, radio_numbers(c), streets, loss_db, sight_share, x, y, heading.astype(np.int64), config.period_s, drive
    )
    return drive


@numba.njit(cache=True)
def _around(delta: float, size: float) -> float:
    """Shortest way on a torus."""
    return delta - size * np.round(delta / size)


@numba.njit(cache=True)
def _distance_m(x: float, y: float, cell: int, r: Radio) -> float:
    dx = _around(x - (cell % r.columns + 0.5) * r.spacing_m, r.columns * r.spacing_m)
    dy = _around(y - (cell // r.columns + 0.5) * r.spacing_m, r.rows * r.spacing_m)
    return np.sqrt(dx * dx + dy * dy)


@numba.njit(cache=True)
def _move(rng: np.random.Generator, x: float, y: float, heading: int, step_m: float, street_m: float,
          width_m: float, height_m: float) -> tuple[float, float, int]:  # fmt: skip
    """heading: 0 east, 1 north, 2 west, 3 south. At a crossing a car may turn."""
    position = x if heading % 2 == 0 else y
    sign = 1.0 if heading < 2 else -1.0
    before, after = position / street_m, (position + sign * step_m) / street_m
    crossing = np.floor(after) if sign > 0 else np.ceil(after)
    passed = before < crossing <= after if sign > 0 else after <= crossing < before
    if passed:
        draw = rng.random()
        if draw < 2.0 * _TURN:
            rest_m = abs(position + sign * step_m - crossing * street_m)
            turned = (heading + (1 if draw < _TURN else 3)) % 4
            way = rest_m if turned < 2 else -rest_m
            if heading % 2 == 0:
                return (crossing * street_m) % width_m, (y + way) % height_m, turned
            return (x + way) % width_m, (crossing * street_m) % height_m, turned
    if heading % 2 == 0:
        return (x + sign * step_m) % width_m, y, heading
    return x, (y + sign * step_m) % height_m, heading


@numba.njit(cache=True)
def _attach(rng: np.random.Generator, r: Radio, x: float, y: float, cell: int) -> tuple[int, float, float]:
    """(serving unit, distance to it, handover gap). A car leaves its unit for one that is nearer by a margin."""
    nearest = int(x / r.spacing_m) % r.columns + r.columns * (int(y / r.spacing_m) % r.rows)
    distance_m = _distance_m(x, y, nearest, r)
    if cell < 0 or nearest == cell:
        return nearest, distance_m, 0.0
    old_m = _distance_m(x, y, cell, r)
    if distance_m + r.handover_margin_m < old_m:
        return nearest, distance_m, r.handover_median_s * np.exp(r.handover_log_sigma * rng.standard_normal())
    return cell, old_m, 0.0


@numba.njit(cache=True)
def _between(table: Floats, distance_m: float) -> float:
    """A table by whole metres, interpolated."""
    low = int(distance_m)
    return table[low] + (distance_m - low) * (table[low + 1] - table[low])


@numba.njit(cache=True)
def _next_speed(wish: float, last_mps: float, s: Streets, period_s: float) -> float:
    """Towards a wish (standard normal), no brisker than a car can. last_mps < 0: from nowhere."""
    mps = min(max(s.mean_mps + s.sigma_mps * wish, 0.0), s.top_mps)
    if last_mps < 0.0:
        return mps
    return min(max(mps, last_mps - s.brisk_mps2 * period_s), last_mps + s.brisk_mps2 * period_s)


@numba.njit(cache=True)
def _simulate(
    rng: np.random.Generator, r: Radio, s: Streets, loss_db: Floats, sight_share: Floats, x: Floats, y: Floats,
    heading: Ints, period_s: float, d: Drive,
) -> None:  # fmt: skip
    frames, cars = d.cell.shape
    width_m, height_m = r.columns * r.spacing_m, r.rows * r.spacing_m
    cell, sight, awake = np.full(cars, -1), np.zeros(cars, np.int64), np.zeros(cars, np.bool_)
    shadow, core, wish, mps = np.zeros(cars), np.zeros(cars), np.zeros(cars), np.full(cars, -1.0)
    for i in range(cars):
        core[i], wish[i] = rng.standard_normal(), rng.standard_normal()
        awake[i] = rng.random() < s.awake_s / (s.awake_s + s.quiet_s)
    keep_core, keep_wish = np.exp(-period_s / r.core_correlation_s), np.exp(-period_s / s.speed_s)
    for f in range(frames):
        for i in range(cars):
            wish[i] = keep_wish * wish[i] + np.sqrt(1.0 - keep_wish**2) * rng.standard_normal()
            mps[i] = _next_speed(wish[i], mps[i], s, period_s)
            step_m = mps[i] * period_s
            if f > 0:
                x[i], y[i], heading[i] = _move(rng, x[i], y[i], heading[i], step_m, s.street_m, width_m, height_m)
            before = cell[i]
            cell[i], distance_m, gap_s = _attach(rng, r, x[i], y[i], before)
            changed = cell[i] != before
            if changed or rng.random() > np.exp(-step_m / _SIGHT_DISTANCE_M):
                sight[i] = 0 if rng.random() < _between(sight_share, distance_m) else 1
            rho = 0.0 if changed else np.exp(-step_m / SHADOW_DISTANCE_M[sight[i]])
            shadow[i] = rho * shadow[i] + np.sqrt(1.0 - rho * rho) * rng.standard_normal()
            gain_db = -_between(loss_db[sight[i]], distance_m) - SHADOW_SIGMA_DB[sight[i]] * shadow[i]
            sinr_db = r.up_budget_db + gain_db
            d.cell[f, i], d.core[f, i], d.in_gap[f, i], d.speed_mps[f, i] = cell[i], core[i], gap_s > 0.0, mps[i]
            d.sinr_db[f, i] = sinr_db + r.measurement_sigma_db * rng.standard_normal()
            d.slowdown[f, i] = s.awake_slowdown if awake[i] else s.quiet_slowdown
            # From here on: what the car does not know.
            core[i] = keep_core * core[i] + np.sqrt(1.0 - keep_core**2) * rng.standard_normal()
            if rng.random() > np.exp(-period_s / (s.awake_s if awake[i] else s.quiet_s)):
                awake[i] = not awake[i]
            again = 0
            while rng.random() < r.block_error_rate:
                again += 1
            d.up_bps[f, i] = r.up_hz * spectral_efficiency_of(sinr_db)
            d.down_bps[f, i] = r.down_hz * spectral_efficiency_of(sinr_db + r.down_over_up_db)
            d.rtt_s[f, i] = r.radio_rtt_s + r.harq_s * again + r.core_median_s * np.exp(r.core_log_sigma * core[i])
            d.gap_s[f, i] = gap_s
            d.lost[f, i] = rng.random() < r.message_loss
