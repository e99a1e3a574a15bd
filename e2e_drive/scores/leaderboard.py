"""Driving scores by the rules of the CARLA Leaderboard, versions 1.0, 2.0 and 2.1, and of Bench2Drive.

Coefficients: carla-simulator/leaderboard, `leaderboard/utils/statistics_manager.py` (branches `leaderboard-1.0`,
`leaderboard-2.0`, `leaderboard-2.1`). Re-derived from the published rules:

1.0, 2.0   penalty = (1 - off_route) * product over infractions of factor
2.1        penalty = (1 - off_route) / (1 + sum over infractions of c)
Bench2Drive: as 2.0, but for the speed at checkpoints
score      = route completion [%] * penalty
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

# Infraction kinds, as the Leaderboard's results name them, in the order of its results.
COLLISION_LAYOUT = "collisions_layout"
COLLISION_PEDESTRIAN = "collisions_pedestrian"
COLLISION_VEHICLE = "collisions_vehicle"
RED_LIGHT = "red_light"
STOP_SIGN = "stop_infraction"
OFF_ROUTE_LANES = "outside_route_lanes"
MIN_SPEED = "min_speed_infractions"
YIELD_EMERGENCY = "yield_emergency_vehicle_infractions"
SCENARIO_TIMEOUT = "scenario_timeouts"
ROUTE_DEVIATION = "route_dev"
BLOCKED = "vehicle_blocked"
ROUTE_TIMEOUT = "route_timeout"

KINDS = (
    COLLISION_LAYOUT, COLLISION_PEDESTRIAN, COLLISION_VEHICLE, RED_LIGHT, STOP_SIGN, OFF_ROUTE_LANES, MIN_SPEED,
    YIELD_EMERGENCY, SCENARIO_TIMEOUT, ROUTE_DEVIATION, BLOCKED, ROUTE_TIMEOUT,
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """One version of the rules. coefficients: kind -> factor (products) or c (sum).
    min_speed: weight of (1 - s), s = own mean speed over that of the traffic around, at one checkpoint."""

    version: str
    coefficients: Mapping[str, float]
    min_speed: float = 0.0
    additive: bool = False


_FACTORS_1_0 = {
    COLLISION_PEDESTRIAN: 0.50, COLLISION_VEHICLE: 0.60, COLLISION_LAYOUT: 0.65, RED_LIGHT: 0.70, STOP_SIGN: 0.80,
}  # fmt: skip
_FACTORS_2_0 = {**_FACTORS_1_0, SCENARIO_TIMEOUT: 0.70, YIELD_EMERGENCY: 0.70}
RULES: dict[str, Rules] = {
    "1.0": Rules("1.0", _FACTORS_1_0),
    "2.0": Rules("2.0", _FACTORS_2_0, min_speed=0.3),
    "bench2drive": Rules("bench2drive", _FACTORS_2_0),
    "2.1": Rules(
        "2.1",
        {
            COLLISION_PEDESTRIAN: 1.0, COLLISION_VEHICLE: 0.7, COLLISION_LAYOUT: 0.6, RED_LIGHT: 0.4, STOP_SIGN: 0.25,
            SCENARIO_TIMEOUT: 0.4, YIELD_EMERGENCY: 0.4,
        },
        min_speed=0.4,
        additive=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """What a route's score is computed from.

    completion_pct: of the route's length, 0..100. counts: infraction kind -> how many.
    off_route_fraction: share of the driven distance outside the route's lanes, 0..1.
    speed_ratios: own speed over the surrounding traffic's, at each checkpoint that saw traffic (above 1 counts as 1).
    """

    completion_pct: float
    counts: Mapping[str, int] = field(default_factory=dict)
    off_route_fraction: float = 0.0
    speed_ratios: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.completion_pct <= 100.0:
            raise ValueError(f"completion_pct must lie in [0, 100], received {self.completion_pct}")
        if not 0.0 <= self.off_route_fraction <= 1.0:
            raise ValueError(f"off_route_fraction must lie in [0, 1], received {self.off_route_fraction}")
        unknown = set(self.counts) - set(KINDS)
        if unknown:
            raise ValueError(f"unknown infraction kinds {sorted(unknown)}; known are {list(KINDS)}")


@dataclass(frozen=True)
class Score:
    """route: completion [%]. penalty: 0..1. composed: the driving score [%]."""

    route: float
    penalty: float
    composed: float


def score(evidence: Evidence, rules: Rules) -> Score:
    """The driving score of one route."""
    slow = [rules.min_speed * (1.0 - min(max(ratio, 0.0), 1.0)) for ratio in evidence.speed_ratios]
    # in the order of KINDS, not of the mapping: the same counts give the same bits
    counted = [(rules.coefficients[kind], evidence.counts.get(kind, 0)) for kind in KINDS if kind in rules.coefficients]
    if rules.additive:
        penalty = 1.0 / (1.0 + sum(c * count for c, count in counted) + sum(slow))
    else:
        penalty = math.prod(factor**count for factor, count in counted) * math.prod(1.0 - share for share in slow)
    penalty *= 1.0 - evidence.off_route_fraction
    return Score(evidence.completion_pct, penalty, evidence.completion_pct * penalty)
