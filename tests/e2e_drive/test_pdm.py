"""Sub-scores of a plan against cases that can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from e2e_drive.scores.pdm import STEPS, PlanScore, boxes_overlap, poses_of, score_plan

LANE = shapely.box(-10.0, -1.75, 100.0, 1.75)
MOMENTS = STEPS + 10


def straight(speed_mps: float) -> np.ndarray:
    return poses_of(np.column_stack([0.5 * speed_mps * np.arange(1, 9), np.zeros(8)]), speed_mps)


def standing(x: float, y: float = 0.0) -> np.ndarray:
    return np.broadcast_to([x, y, 0.0, 4.5, 1.8], (MOMENTS, 1, 5)).copy()


NOBODY = np.empty((MOMENTS, 0, 5))


def test_driving_as_recorded_is_perfect() -> None:
    plan = straight(8.0)
    assert score_plan(plan, plan, NOBODY, LANE) == PlanScore(1.0, 1.0, 1.0, 1.0, 1.0)
    assert score_plan(plan, plan, NOBODY, LANE).pdms == 1.0


def test_a_constant_speed_gives_even_steps() -> None:
    np.testing.assert_allclose(np.diff(straight(8.0)[:, 0]), 0.8, atol=1e-9)


def test_whoever_drives_into_somebody_gets_nothing() -> None:
    score = score_plan(straight(8.0), straight(8.0), standing(25.0), LANE)
    assert score.no_collision == 0.0
    assert score.time_to_collision == 0.0
    assert score.pdms == 0.0


def test_being_hit_from_behind_is_not_to_blame() -> None:
    chaser = np.full((MOMENTS, 1, 5), np.nan)
    chaser[:, 0] = [(-12.0 + 1.6 * i, 0.0, 0.0, 4.5, 1.8) for i in range(MOMENTS)]
    chaser[11:] = np.nan  # it touches, and its middle is still behind our rear
    assert score_plan(straight(8.0), straight(8.0), chaser, LANE).no_collision == 1.0


def test_too_near_for_a_second_is_no_collision_yet() -> None:
    """Ends 2 m before a standing car: never touches, but would, rolling on."""
    plan = straight(8.0)
    score = score_plan(plan, plan, standing(32.0 + 2.45 + 2.25 + 2.0), LANE)
    assert score.no_collision == 1.0
    assert score.time_to_collision == 0.0
    assert score.pdms == pytest.approx((0 + 5 + 2) / 12)


def test_leaving_the_lane_and_half_the_way() -> None:
    aside = straight(8.0)
    aside[:, 1] = 1.0
    assert score_plan(aside, aside, NOBODY, LANE).drivable == 0.0
    assert score_plan(straight(4.0), straight(8.0), NOBODY, LANE).progress == pytest.approx(0.5)
    assert np.isnan(score_plan(aside, aside, NOBODY, None).drivable)


def test_a_standing_drive_asks_for_no_progress() -> None:
    assert score_plan(straight(0.0), straight(0.0), NOBODY, LANE).progress == 1.0


def test_braking_at_six_is_not_comfortable() -> None:
    times_s = 0.5 * np.arange(1, 9)
    x = np.where(times_s < 1.5, 9.0 * times_s - 3.0 * times_s**2, 6.75)
    assert score_plan(poses_of(np.column_stack([x, np.zeros(8)]), 9.0), straight(9.0), NOBODY, LANE).comfort == 0.0


@given(st.lists(st.floats(-4.0, 4.0), min_size=6, max_size=6))
def test_overlap_is_that_of_polygons(values: list[float]) -> None:
    a = np.array([values[0], values[1], values[2], 4.0, 2.0])
    b = np.array([values[3], values[4], values[5], 5.0, 1.5])
    area = shapely.intersection(_polygon(a), _polygon(b)).area
    if area > 1e-6 or area == 0.0:
        assert boxes_overlap(a, b) == (area > 0.0) or shapely.distance(_polygon(a), _polygon(b)) < 1e-9


def _polygon(box: np.ndarray) -> shapely.Polygon:
    x, y, yaw, length, width = box
    corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * [length / 2, width / 2]
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    return shapely.Polygon(corners @ turn.T + (x, y))
