"""Bench2Drive's figures on motions whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bev import FloatArray
from e2e_drive.scores import Motion, RouteRecord, results_json
from e2e_drive.scores.bench2drive import (
    ability_table,
    comfort_pct,
    efficiency_pct,
    figures,
    is_success,
    speed_shares,
)

TICK_S = 0.05


def motion(speeds: FloatArray, traffic: float | FloatArray = math.nan, yaw_rates: FloatArray | float = 0.0) -> Motion:
    """Along a road on which the last tick is the goal."""
    count = len(speeds)
    rates = np.broadcast_to(np.asarray(yaw_rates, np.float64), (count,))
    yaws = np.cumsum(rates) * TICK_S
    velocity = speeds[:, None] * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    gone = np.cumsum(speeds) * TICK_S
    there = np.broadcast_to(np.asarray(traffic, np.float64), (count,))
    return Motion(TICK_S, velocity, yaws, rates, there, gone / gone[-1])


def test_half_the_speed_of_the_traffic_is_half_as_efficient() -> None:
    steady = motion(np.full(400, 4.0), traffic=8.0)
    assert speed_shares(steady) == pytest.approx([0.5] * 20)
    assert efficiency_pct(steady) == efficiency_pct(steady, strict=True) == pytest.approx(50.0)
    assert efficiency_pct(motion(np.full(400, 4.0))) is None  # nobody around


def test_haste_makes_up_for_dawdling_only_where_the_script_lets_it() -> None:
    traffic = np.where(np.arange(400) < 200, 8.0, 2.0)  # ours is 4: half as fast, then twice
    mixed = motion(np.full(400, 4.0), traffic)
    assert efficiency_pct(mixed) == pytest.approx((10 * 50.0 + 10 * 200.0) / 20)
    assert efficiency_pct(mixed, strict=True) == pytest.approx((10 * 50.0 + 10 * 100.0) / 20)


def test_shares_above_a_thousand_percent_are_dropped() -> None:
    traffic = np.where(np.arange(400) < 200, 8.0, 0.1)
    assert efficiency_pct(motion(np.full(400, 4.0), traffic)) == pytest.approx(50.0)


def test_steady_straight_driving_is_comfortable() -> None:
    steady = motion(np.full(200, 8.0))
    assert comfort_pct(steady) == comfort_pct(steady, strict=True) == 100.0
    assert comfort_pct(motion(np.full(6, 8.0))) is None


@pytest.mark.parametrize(("acceleration", "expected"), [(2.3, 100.0), (2.5, 0.0), (-3.9, 100.0), (-4.2, 0.0)])
def test_longitudinal_bounds(acceleration: float, expected: float) -> None:
    speeds = 60.0 + acceleration * TICK_S * np.arange(200)
    assert comfort_pct(motion(speeds), strict=True) == expected


def test_the_published_script_reads_degrees_and_half_the_jerk() -> None:
    # 3 degrees a second: nothing to a passenger, too much for bounds in radians
    turning = motion(np.full(200, 8.0), yaw_rates=math.radians(3.0))
    assert comfort_pct(turning, strict=True) == 100.0
    assert comfort_pct(turning) == 0.0
    # a jerk of 6 m/s3 over 0.05 s is one of 3 over 0.1 s
    wave = 6.0 / (2.0 * math.pi * 0.5) * np.sin(2.0 * math.pi * 0.5 * TICK_S * np.arange(400))
    rough = motion(20.0 + np.cumsum(wave) * TICK_S)
    published, strict = comfort_pct(rough), comfort_pct(rough, strict=True)
    assert published is not None
    assert strict is not None
    assert strict < 10.0
    assert published > 90.0


def test_a_whole_ride_of_hard_yawing_is_uncomfortable() -> None:
    rates = 0.9 * np.sin(2.0 * math.pi * 0.6 * TICK_S * np.arange(400))  # 3.4 rad/s2 at its steepest
    assert comfort_pct(motion(np.full(400, 3.0), yaw_rates=rates), strict=True) == 0.0


def record(
    scenario: str, infractions: dict[str, list[str]] | None = None, completion: float = 100.0
) -> dict[str, object]:
    made = RouteRecord(
        0, "r", 200.0, 40.0, completion, infractions or {}, scenarios=(scenario,), first_junction_pct=60.0
    )
    (one,) = results_json([made], 1, (), "bench2drive")["_checkpoint"]["records"]
    return dict(one)


def test_abilities() -> None:
    records = [
        record("AccidentTwoWays"),
        record("ParkedObstacleTwoWays", {"collisions_vehicle": ["bump"]}),
        record("HardBreakRoute", {"min_speed_infractions": ["slow"]}),
        record("YieldToEmergencyVehicle", {"yield_emergency_vehicle_infractions": ["held up"]}),
        record("SignalizedJunctionLeftTurn", {"red_light": ["ran"]}),
        record("VanillaNonSignalizedTurnEncounterStopsign", {"collisions_layout": ["kerb"]}),
    ]
    assert [is_success(one) for one in records] == [True, False, True, False, False, False]
    strict = ability_table(records, strict=True)
    assert strict == pytest.approx({
        "merging": 0.0, "overtaking": 0.5, "emergency_brake": 1.0, "give_way": 0.0, "traffic_sign": 0.0, "mean": 0.3
    })  # fmt: skip
    # published: two sign routes count twice; the one with the kerb obeyed its sign
    assert ability_table(records)["traffic_sign"] == pytest.approx(1.0 / 4.0)
    assert ability_table([record("T_Junction", completion=50.0)])["traffic_sign"] == 0.0  # not there yet
    assert ability_table([]) == {}


def test_the_score_leaves_the_speed_out() -> None:
    slow = RouteRecord(0, "r", 200.0, 40.0, 100.0, {"red_light": ["x"]}, speed_ratios=(0.5,))
    (one,) = results_json([slow], 1, (), "bench2drive")["_checkpoint"]["records"]
    assert one["scores"]["score_composed"] == pytest.approx(70.0)
    assert one["driving_scores"] == pytest.approx({"1.0": 70.0, "2.0": 59.5, "bench2drive": 70.0, "2.1": 62.5})


def test_figures_of_a_motion_that_never_was() -> None:
    none = Motion(TICK_S, np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
    assert set(figures(none).values()) == {None}
    with pytest.raises(ValueError, match="equal lengths"):
        Motion(TICK_S, np.zeros((3, 2)), np.zeros(2), np.zeros(3), np.zeros(3), np.zeros(3))
