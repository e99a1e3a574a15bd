"""Bench2Drive's figures: success, efficiency, comfort, abilities (Jia et al., arXiv 2406.03877; the evaluation scripts
of its repository, `tools/`, branch 0.0.4; re-derived from what they compute).

"published" is what those scripts compute, mistakes included, so that numbers can be set beside published ones;
"strict" is what their text says.

Shapes:  N ticks of a drive
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import savgol_filter

from bev import FloatArray
from e2e_drive.scores.leaderboard import MIN_SPEED, RED_LIGHT, STOP_SIGN

CHECKPOINTS = 20
DROPPED_ABOVE = 10.0  # own speed over that of the traffic
WINDOW, FILTER, ORDER = 20, 7, 2  # ticks of a comfort window; Savitzky-Golay
PUBLISHED_DT_S = 0.1  # although the drives run at 20 Hz
LONGITUDINAL_MPS2 = (-4.05, 2.40)
LATERAL_MPS2, JERK_MPS3, LONGITUDINAL_JERK_MPS3 = 4.89, 8.37, 4.13
YAW_RATE_RPS, YAW_ACCELERATION_RPS2 = 0.95, 1.93
JUNCTION_PASSED_M = 8.0  # behind its entry

_TURNS = (
    "NonSignalizedJunctionLeftTurn", "NonSignalizedJunctionRightTurn", "NonSignalizedJunctionLeftTurnEnterFlow",
    "SignalizedJunctionLeftTurn", "SignalizedJunctionRightTurn", "SignalizedJunctionLeftTurnEnterFlow",
)  # fmt: skip
_SUDDEN = (
    "BlockedIntersection", "OppositeVehicleTakingPriority", "OppositeVehicleRunningRedLight", "PedestrianCrossing",
    "VehicleTurningRoute", "VehicleTurningRoutePedestrian",
)  # fmt: skip
SIGNS = "traffic_sign"
# Ability -> Leaderboard's scenario types. Three types are spelt otherwise in the script than in the routes; here as in
# the routes.
ABILITIES: Mapping[str, frozenset[str]] = {
    "merging": frozenset({
        "CrossingBicycleFlow", "EnterActorFlow", "HighwayExit", "InterurbanActorFlow", "HighwayCutIn",
        "InterurbanAdvancedActorFlow", "MergerIntoSlowTrafficV2", "MergerIntoSlowTraffic", "ParkingExit",
        "SequentialLaneChange", *_TURNS,
    }),
    "overtaking": frozenset({
        "Accident", "AccidentTwoWays", "ConstructionObstacle", "ConstructionObstacleTwoWays", "HazardAtSideLane",
        "HazardAtSideLaneTwoWays", "ParkedObstacle", "ParkedObstacleTwoWays", "VehicleOpensDoorTwoWays",
    }),
    "emergency_brake": frozenset({
        "DynamicObjectCrossing", "HardBreakRoute", "ParkingCutIn", "ParkingCrossingPedestrian", "StaticCutIn",
        "ControlLoss", *_SUDDEN,
    }),
    "give_way": frozenset({"InvadingTurn", "YieldToEmergencyVehicle"}),
    SIGNS: frozenset({
        "EnterActorFlow", "CrossingBicycleFlow", "T_Junction", "VanillaNonSignalizedTurn",
        "VanillaSignalizedTurnEncounterGreenLight", "VanillaSignalizedTurnEncounterRedLight",
        "VanillaNonSignalizedTurnEncounterStopsign", *_TURNS, *_SUDDEN,
    }),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Motion:
    """A drive, tick by tick. velocity_mps (N, 2) over ground, world axes; yaws (N,) unwrapped or not, yaw_rates_rps
    (N,); traffic_mps (N,) mean speed of the vehicles around, NaN for none; completion (N,) in [0, 1]."""

    tick_s: float
    velocity_mps: FloatArray
    yaws: FloatArray
    yaw_rates_rps: FloatArray
    traffic_mps: FloatArray
    completion: FloatArray

    def __post_init__(self) -> None:
        lengths = {
            len(one) for one in (self.velocity_mps, self.yaws, self.yaw_rates_rps, self.traffic_mps, self.completion)
        }
        if len(lengths) != 1 or self.tick_s <= 0.0:
            raise ValueError(f"a motion needs equal lengths and a positive tick, received {lengths}, {self.tick_s} s")

    @property
    def accelerations_mps2(self) -> tuple[FloatArray, FloatArray]:
        """Along and across the car (N,): of the velocity from tick to tick, as CARLA reports it; the first is unknown,
        and taken to be as the second."""
        change = np.diff(self.velocity_mps, axis=0, prepend=self.velocity_mps[:1]) / self.tick_s
        change[:1] = change[1:2]
        cos, sin = np.cos(self.yaws), np.sin(self.yaws)
        return change[:, 0] * cos + change[:, 1] * sin, change[:, 1] * cos - change[:, 0] * sin


def speed_shares(motion: Motion, checkpoints: int = CHECKPOINTS) -> list[float]:
    """Own mean speed over that of the traffic around, from checkpoint to checkpoint, where there was any."""
    speeds = np.hypot(*motion.velocity_mps.T)
    shares, begin = [], 0
    for number in range(1, checkpoints + 1):
        reached = np.flatnonzero(motion.completion >= number / checkpoints - 1e-9)
        if not len(reached):
            break
        end = int(reached[0]) + 1
        there = np.flatnonzero(~np.isnan(motion.traffic_mps[begin:end])) + begin
        traffic = float(motion.traffic_mps[there].sum())
        if traffic > 0.0:
            shares.append(float(speeds[there].sum()) / traffic)
        begin = max(begin, end)
    return shares


def efficiency_pct(motion: Motion, strict: bool = False) -> float | None:
    """Mean of the checkpoints' shares in percent; None where no traffic was met. published: those above 1000 % are
    dropped. strict: none counts as more than 100 %, so that haste does not make up for dawdling."""
    shares = speed_shares(motion)
    shares = [min(share, 1.0) for share in shares] if strict else [s for s in shares if s <= DROPPED_ABOVE]
    return 100.0 * sum(shares) / len(shares) if shares else None


def comfort_pct(motion: Motion, strict: bool = False) -> float | None:
    """Share of 20-tick windows within all bounds, in percent; None for a drive too short to tell.

    published: filtered window by window; a time step of 0.1 s; yaw rates in deg/s, as CARLA gives them, against bounds
    in rad/s; the yaw rate once more where the yaw acceleration is meant. strict: filtered as a whole, the true time
    step, rad/s, the yaw acceleration."""
    if len(motion.yaws) < FILTER:
        return None
    ahead, across = motion.accelerations_mps2
    rates = motion.yaw_rates_rps if strict else np.degrees(motion.yaw_rates_rps)
    columns = np.stack([ahead, across, np.hypot(ahead, across), rates])
    starts = range(0, len(motion.yaws) - WINDOW + 1, WINDOW) if len(motion.yaws) > WINDOW else [0]
    if strict:
        within = _within(columns, motion.tick_s, strict=True)
        smooth = [bool(within[start : start + WINDOW].all()) for start in starts]
    else:
        smooth = [
            bool(_within(columns[:, start : start + WINDOW], PUBLISHED_DT_S, strict=False).all()) for start in starts
        ]
    return 100.0 * sum(smooth) / len(smooth)


def _within(columns: FloatArray, dt_s: float, strict: bool) -> FloatArray:
    """(N,) bool. columns (4, N): acceleration ahead, across, its magnitude, yaw rate."""
    if not strict:  # the script unwraps yaw rates as if they were headings
        columns = np.concatenate([columns[:3], np.unwrap(columns[3:], axis=1)])
    ahead, across, size, rate = savgol_filter(columns, FILTER, ORDER, axis=1)
    jerk, jerk_ahead = (savgol_filter(one, FILTER, ORDER, deriv=1, delta=dt_s) for one in (size, ahead))
    turning = savgol_filter(columns[3], FILTER, ORDER, deriv=1, delta=dt_s) if strict else rate
    return np.asarray(
        (ahead > LONGITUDINAL_MPS2[0])
        & (ahead < LONGITUDINAL_MPS2[1])
        & (np.abs(across) < LATERAL_MPS2)
        & (np.abs(jerk) < JERK_MPS3)
        & (np.abs(jerk_ahead) < LONGITUDINAL_JERK_MPS3)
        & (np.abs(turning) < YAW_ACCELERATION_RPS2)
        & (np.abs(rate) < YAW_RATE_RPS)
    )


def is_success(record: Mapping[str, Any]) -> bool:
    """Of a record of a results file: completed without an infraction other than min speed."""
    spoiled = any(messages for kind, messages in record["infractions"].items() if kind != MIN_SPEED)
    return record["status"] in ("Perfect", "Completed") and not spoiled


def ability_table(records: Iterable[Mapping[str, Any]], strict: bool = False) -> dict[str, float]:
    """Success rate of each ability among the routes whose scenario asks for it, and their mean; abilities that no route
    asks for are left out. published: for traffic signs a route counts twice, the second time for having passed its
    first junction without running a light or a stop sign. strict: every route once."""
    counted: dict[str, list[bool]] = {}
    for record in records:
        kinds = set(record.get("scenarios", ()))
        for ability, types in ABILITIES.items():
            if kinds & types:
                counted.setdefault(ability, []).append(is_success(record))
                if ability == SIGNS and not strict:
                    counted[ability].append(_obeyed(record))
    table = {ability: sum(counted[ability]) / len(counted[ability]) for ability in ABILITIES if ability in counted}
    return {**table, "mean": sum(table.values()) / len(table)} if table else {}


def _obeyed(record: Mapping[str, Any]) -> bool:
    ran = record["infractions"].get(STOP_SIGN) or record["infractions"].get(RED_LIGHT)
    passed_pct = record.get("first_junction_pct")
    return passed_pct is not None and record["scores"]["score_route"] > passed_pct and not ran


def mean_of(values: Sequence[float | None]) -> float | None:
    """Of those that are there."""
    there = [value for value in values if value is not None and not math.isnan(value)]
    return sum(there) / len(there) if there else None


def figures(motion: Motion) -> dict[str, float | None]:
    """What a record of a results file says about one drive."""
    return {
        "efficiency": efficiency_pct(motion),
        "efficiency_strict": efficiency_pct(motion, strict=True),
        "comfort": comfort_pct(motion),
        "comfort_strict": comfort_pct(motion, strict=True),
    }
