"""Drives without a world: a car passes roadside units on a street, for benchmarks of policies over many frames.

The street, its lines of sight and its traffic are drawn, not measured: line of sight has the probability of TR 38.901
table 7.4.2-1 at the unit's distance and the correlation distance of its table 7.6.3.1-2; vehicles in the way come and
go; a tunnel is a stretch without any unit. Where a world exists, `carla_bridge.roadside` casts rays in it instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from scheduling.link.channel import los_probability
from scheduling.types import LinkGeometry

_SIGHT_M = 50.0  # correlation distance of the line of sight, UMi
_TRAFFIC_M = 15.0  # ... of vehicles in the way; an assumption
_TRAFFIC_MPS = 3.0  # how fast these pass; an assumption
_ACCELERATION_MPS2 = 1.8  # comfortable; as the expert of carla_bridge drives
_CANDIDATE_BETTER = 0.75  # as in carla_bridge.roadside: a new unit must be so much nearer, hidden ones count three-fold
_HIDDEN_FACTOR = 3.0
_CAR_M, _TRUCK_M = 1.6, 3.0  # heights, TR 37.885
_NORMAL = NormalDist()


@dataclass(frozen=True)
class DriveCondition:
    """A kind of street; every figure is a scenario."""

    unit_spacing_m: float = 150.0
    unit_offset_m: float = 8.0  # from the lane to the mast
    unit_rise_m: float = 4.5  # from the car's antenna up to the unit's
    cruise_mps: float = 10.0
    stop_every_s: float = 40.0  # of driving
    stop_mean_s: float = 12.0
    sight_exponent: float = 1.0  # below 1: more open than UMi
    blocked_share: float = 0.1  # of lines of sight, by vehicles
    truck_share: float = 0.3  # of those
    tunnel_every_m: float = math.inf
    tunnel_mean_m: float = 50.0

    def __post_init__(self) -> None:
        for name in ("unit_spacing_m", "cruise_mps", "stop_every_s", "stop_mean_s", "tunnel_every_m", "tunnel_mean_m"):
            if not getattr(self, name) > 0:
                raise ValueError(f"drive: {name} must be positive, received {getattr(self, name)}")
        for name in ("blocked_share", "truck_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"drive: {name} must lie in [0, 1], received {getattr(self, name)}")


# By the names of the link conditions in configs/link that they belong to.
DRIVES = {
    "good": DriveCondition(unit_spacing_m=100.0, sight_exponent=0.3, blocked_share=0.03),
    "urban": DriveCondition(unit_spacing_m=150.0, sight_exponent=0.6),
    "congested": DriveCondition(
        unit_spacing_m=180.0, cruise_mps=5.0, stop_every_s=15.0, stop_mean_s=15.0, blocked_share=0.3
    ),
    "tunnel": DriveCondition(unit_spacing_m=150.0, sight_exponent=0.6, tunnel_every_m=400.0, tunnel_mean_m=40.0),
}


def drive_geometry(seed: int, condition: str | DriveCondition, period_s: float = 0.1) -> Iterator[LinkGeometry]:
    """What a car meets every period_s, without end. Same seed, same drive."""
    if isinstance(condition, str):
        if condition not in DRIVES:
            raise ValueError(f"drive: condition must be one of {', '.join(DRIVES)}, received {condition!r}")
        condition = DRIVES[condition]
    return _drive(np.random.default_rng([seed, 0xD21]), condition, period_s)


def _drive(rng: np.random.Generator, c: DriveCondition, period_s: float) -> Iterator[LinkGeometry]:
    place_m, speed_mps = c.unit_spacing_m * rng.random(), c.cruise_mps
    sight: list[float] = rng.standard_normal(2).tolist()  # of even and of odd units, N(0, 1)
    traffic = float(rng.standard_normal())
    phase_ends_s, now_s, is_stopping = float(rng.exponential(c.stop_every_s)), 0.0, False
    tunnel_m = (_exponential(rng, c.tunnel_every_m), 0.0)  # where the next one begins and ends
    serving = -1
    while True:
        if now_s >= phase_ends_s:
            is_stopping = not is_stopping
            phase_ends_s = now_s + float(rng.exponential(c.stop_mean_s if is_stopping else c.stop_every_s))
        change = _ACCELERATION_MPS2 * period_s
        target_mps = 0.0 if is_stopping else c.cruise_mps
        speed_mps += min(max(target_mps - speed_mps, -change), change)
        now_s, place_m = now_s + period_s, place_m + speed_mps * period_s
        normal = rng.standard_normal(3).tolist()
        rho = math.exp(-speed_mps * period_s / _SIGHT_M)
        sight = [_autoregress(value, rho, new) for value, new in zip(sight, normal, strict=False)]
        rho = math.exp(-(speed_mps + _TRAFFIC_MPS) * period_s / _TRAFFIC_M)
        traffic = _autoregress(traffic, rho, normal[2])
        if place_m > tunnel_m[1] > tunnel_m[0]:
            tunnel_m = (place_m + _exponential(rng, c.tunnel_every_m), 0.0)
        if place_m >= tunnel_m[0]:
            if tunnel_m[1] == 0.0:
                tunnel_m = (tunnel_m[0], place_m + _exponential(rng, c.tunnel_mean_m))
            serving = -1
            yield LinkGeometry(-1, math.inf, False, 0, speed_mps=speed_mps)
            continue
        behind = math.floor(place_m / c.unit_spacing_m)
        seen = [_look(c, place_m, unit, sight[unit % 2], traffic, speed_mps) for unit in (behind, behind + 1)]
        best = min(seen, key=_cost)
        kept = next((geometry for geometry in seen if geometry.rsu == serving), None)
        if kept is not None and _cost(best) > _CANDIDATE_BETTER * _cost(kept):
            best = kept
        serving = best.rsu
        yield best


def _look(
    c: DriveCondition, place_m: float, unit: int, sight: float, traffic: float, speed_mps: float
) -> LinkGeometry:  # fmt: skip
    flat_m = math.hypot(unit * c.unit_spacing_m - place_m, c.unit_offset_m)
    sees = _NORMAL.cdf(sight) < float(los_probability(flat_m)) ** c.sight_exponent
    rank = _NORMAL.cdf(traffic)
    height_m = _TRUCK_M if rank < c.blocked_share * c.truck_share else _CAR_M
    blockers = int(rank < c.blocked_share)
    return LinkGeometry(unit, math.hypot(flat_m, c.unit_rise_m), sees, blockers, height_m, speed_mps)


def _cost(geometry: LinkGeometry) -> float:
    return geometry.distance_m * (1.0 if geometry.line_of_sight else _HIDDEN_FACTOR)


def _exponential(rng: np.random.Generator, mean: float) -> float:
    return float(rng.exponential(mean)) if math.isfinite(mean) else math.inf


def _autoregress(value: float, rho: float, innovation: float) -> float:
    return rho * value + math.sqrt(1.0 - rho * rho) * innovation
