"""Scores against values worked out by hand from the published tables."""

from __future__ import annotations

import pytest

from e2e_drive.scores import RULES, Evidence, RouteRecord, results_json, results_text, score


@pytest.mark.parametrize(
    ("version", "evidence", "penalty", "composed"),
    [
        ("2.0", Evidence(100.0), 1.0, 100.0),
        ("2.0", Evidence(50.0), 1.0, 50.0),
        # two cars (0.6^2) and one red light (0.7): 0.36 * 0.7 = 0.252
        ("2.0", Evidence(100.0, {"collisions_vehicle": 2, "red_light": 1}), 0.252, 25.2),
        # pedestrian 0.5, layout 0.65, stop sign 0.8: 0.26; 10 % of the way off the route: 0.234
        (
            "1.0",
            Evidence(80.0, {"collisions_pedestrian": 1, "collisions_layout": 1, "stop_infraction": 1}, 0.1),
            0.234,
            18.72,
        ),
        # half the traffic's speed at one of two checkpoints: 1 - 0.3 * 0.5; the other, faster than traffic, costs 0
        ("2.0", Evidence(100.0, speed_ratios=(0.5, 1.7)), 0.85, 85.0),
        ("1.0", Evidence(100.0, {"scenario_timeouts": 3}, speed_ratios=(0.0,)), 1.0, 100.0),  # 1.0 knows neither
        ("2.0", Evidence(100.0, {"scenario_timeouts": 1, "yield_emergency_vehicle_infractions": 1}), 0.49, 49.0),
        # 2.1 adds: 1 / (1 + 2 * 0.7 + 0.4 + 0.4 * 0.5) = 1 / 3; a quarter off the route: 0.25
        (
            "2.1",
            Evidence(100.0, {"collisions_vehicle": 2, "red_light": 1}, 0.25, (0.5,)),
            0.25,
            25.0,
        ),
        # what ends a route costs completion, never a factor
        ("2.0", Evidence(40.0, {"vehicle_blocked": 1, "route_dev": 1, "route_timeout": 1}), 1.0, 40.0),
    ],
)
def test_hand_computed(version: str, evidence: Evidence, penalty: float, composed: float) -> None:
    result = score(evidence, RULES[version])
    assert result.penalty == pytest.approx(penalty, abs=1e-12)
    assert result.composed == pytest.approx(composed, abs=1e-9)


def test_bad_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="jaywalking"):
        Evidence(10.0, {"jaywalking": 1})
    with pytest.raises(ValueError, match=r"\[0, 100\], received 101"):
        Evidence(101.0)


def test_results_have_the_leaderboards_layout() -> None:
    outcome = RouteRecord(0, "first_drive", 400.0, 61.5, 100.0, {"red_light": ["Agent ran a red light"]})
    results = results_json([outcome], 1, ["carla_camera", "carla_speedometer"])
    assert set(results) == {"_checkpoint", "entry_status", "eligible", "sensors", "values", "labels", "rules"}
    checkpoint = results["_checkpoint"]
    assert checkpoint["progress"] == [1, 1]
    (record,) = checkpoint["records"]
    assert record["status"] == "Completed"
    assert record["num_infractions"] == 1
    assert record["scores"] == {"score_route": 100.0, "score_penalty": 0.7, "score_composed": 70.0}
    assert record["meta"] == {"route_length": 400.0, "duration_game": 61.5}  # no wall clock
    assert dict(zip(results["labels"], results["values"], strict=True))["Red lights infractions"] == "2.5"  # per km
    assert checkpoint["global_record"]["scores_mean"]["score_composed"] == 70.0
    assert results_text(results) == results_text(results_json([outcome], 1, ["carla_camera", "carla_speedometer"]))


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (RouteRecord(0, "r", 100.0, 9.0, 100.0), "Perfect"),
        (RouteRecord(0, "r", 100.0, 9.0, 100.0, {"min_speed_infractions": ["slow"]}), "Perfect"),
        (RouteRecord(0, "r", 100.0, 9.0, 30.0, {"vehicle_blocked": ["stuck"]}), "Failed - Agent got blocked"),
        (RouteRecord(0, "r", 100.0, 9.0, 30.0, crash="Simulation crashed"), "Failed - Simulation crashed"),
    ],
)
def test_status(outcome: RouteRecord, status: str) -> None:
    assert outcome.status == status
