"""The expert on a hand-made road: what it looks out for, and what it does about it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import shapely
from bridge_helpers import STOP_LINE, car, straight_route, truth
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon

from bev import Pose2D
from carla_bridge.corridor import corridor_along, obstacles_now, occupied
from carla_bridge.expert import Expert, ExpertConfig, bend_speeds, speed_distribution
from carla_bridge.forecast import turning
from carla_bridge.routes import Route
from carla_bridge.truth import Body, LightColour
from carla_bridge.visibility import Eyes
from planner import SPEED_CLASSES_MPS, Light, Manoeuvre


@given(st.floats(0.0, 12.0))
def test_speed_distribution_has_the_speed_as_its_mean(speed: float) -> None:
    shares = speed_distribution(speed)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.min() >= 0.0
    assert shares @ np.array(SPEED_CLASSES_MPS) == pytest.approx(speed)


@given(st.floats(-3.0, 12.0), st.floats(-1.0, 1.0), st.floats(0.1, 3.0))
def test_a_turning_forecast_is_the_integral_of_constant_turn_and_speed(speed: float, rate: float, s: float) -> None:
    steps = 3000
    yaw = 0.3 + rate * s * (np.arange(steps) + 0.5) / steps
    end = np.array([1.0, 2.0]) + speed * s / steps * np.array([np.cos(yaw).sum(), np.sin(yaw).sum()])
    poses = turning(car(1.0, 2.0, 0.3, speed, yaw_rate=rate), np.array([s]))
    assert poses[0, :2] == pytest.approx(end, abs=1e-4)


@pytest.mark.parametrize(
    ("other", "gap"),
    [
        (car(30.0, actor_id=2), 30.0 - 2.4 - 20.0 - 2.4),
        (car(30.0, 1.9, actor_id=2), 30.0 - 2.4 - 20.0 - 2.4),  # half in our lane
        (car(30.0, 3.5, actor_id=2), None),  # in the next lane
        (car(12.0, actor_id=2), None),  # behind
    ],
)
def test_what_stands_in_the_lane(other: Body, gap: float | None) -> None:
    corridor = corridor_along(straight_route(), 20.0, 0.95)
    found = obstacles_now(corridor, 22.4, (other,))
    assert [obstacle.gap_m for obstacle in found] == ([] if gap is None else [pytest.approx(gap, abs=0.2)])


@given(st.floats(-30.0, 60.0), st.floats(-6.0, 6.0), st.floats(-3.2, 3.2))
def test_slabs_touch_a_box_as_polygons_do(x: float, y: float, yaw: float) -> None:
    corridor = corridor_along(straight_route(), 20.0, 0.95)
    box = np.array([[x, y, yaw, 2.4, 0.95]])
    first, last = occupied(corridor.points, corridor.yaws, corridor.half_width_m, 0.5, box)[0]
    body = Polygon(car(x, y, yaw).corners())
    touched = [
        k for k, (px, _) in enumerate(corridor.points) if body.intersection(
            shapely.box(px - 0.5, -corridor.half_width_m, px + 0.5, corridor.half_width_m)).area > 1e-6
    ]  # fmt: skip
    assert ([first, last] if first >= 0 else []) == ([touched[0], touched[-1]] if touched else [])


def test_crossing_traffic_counts_when_it_would_be_there_with_us() -> None:
    def stops_for(other: Body) -> bool:
        expert = Expert(straight_route(), ())
        return expert.decide(truth(0.0, car(20.0, speed=6.0), (other,))).manoeuvre == Manoeuvre.YIELD

    assert stops_for(car(38.0, -14.0, math.pi / 2, speed=6.0, actor_id=2))  # there in 2.3 s, we in about 2
    assert not stops_for(car(38.0, 6.0, math.pi / 2, speed=6.0, actor_id=2))  # already past


def test_who_hides_behind_a_van_or_a_house_is_not_seen() -> None:
    behind = car(30.0, actor_id=3)
    van = replace(car(15.0, actor_id=2), height_m=2.5)
    wall = np.array([[20.0, 0.0, 0.0, 1.0, 8.0]])
    eye = Pose2D(0.7, 0.0, 0.0)
    seen = [[body.actor_id for body in Eyes(walls).look(eye, bodies, 0.0)]
            for walls, bodies in ((np.zeros((0, 5)), (van, behind)), (wall, (behind,)),
                                  (np.zeros((0, 5)), (replace(van, height_m=1.0), behind)))]  # fmt: skip
    assert seen == [[2], [], [2, 3]]
    assert Eyes(wall[:0]).look(eye, (car(60.0, actor_id=4),), 0.0) == []


def simulate(
    colours: dict[float, LightColour], others: tuple[Body, ...] = (), until_s: float = 20.0, speed: float = 8.0
) -> list[tuple[float, float, str]]:
    """A car that takes on the target speed with at most 2 m/s2 up and 4 m/s2 down; (place, speed, reason) each tick."""
    route = straight_route()
    expert = Expert(route, (STOP_LINE,))
    x, states = 5.0, []
    for i in range(round(until_s / 0.05)):
        time_s = 0.05 * i
        colour = colours[max(start for start in colours if start <= time_s)]
        decision = expert.decide(truth(time_s, car(x, speed=speed), others, lights={9: colour}))
        speed += float(np.clip(decision.target_speed_mps - speed, -0.2, 0.1))
        x += speed * 0.05
        states.append((x, speed, decision.stop_reason))
    return states


def test_stops_at_red_before_the_line_and_goes_at_green() -> None:
    states = simulate({0.0: LightColour.RED, 12.0: LightColour.GREEN})
    x, speed, reason = states[235]
    assert speed < 0.3
    assert reason == "light"
    assert 45.0 < x + 2.4 < 50.0
    assert states[-1][0] > 60.0


def test_a_yellow_that_comes_too_late_is_driven_through() -> None:
    for yellow_s, passes in ((2.0, False), (4.6, True)):
        # at 8 m/s the front reaches the line after 5.3 s
        colours = {0.0: LightColour.GREEN, yellow_s: LightColour.YELLOW, yellow_s + 3.0: LightColour.RED}
        states = simulate(colours, until_s=9.0)
        assert (states[-1][0] > 50.0) == passes


def test_keeps_its_distance_from_a_standing_car() -> None:
    x, speed, reason = simulate({0.0: LightColour.GREEN}, (car(40.0, actor_id=2),))[-1]
    assert speed < 0.2
    assert reason == "lead"
    assert 1.5 < 40.0 - 2.4 - (x + 2.4) < 5.0


def test_does_not_block_the_junction() -> None:
    x, speed, reason = simulate({0.0: LightColour.GREEN}, (car(70.0, actor_id=2),))[-1]  # stands just behind the exit
    assert speed < 0.2
    assert reason == "junction"
    assert x + 2.4 < 50.0


def test_the_path_is_seen_from_the_virtual_pose() -> None:
    expert = Expert(straight_route(), ())
    decision = expert.decide(truth(0.0, car(10.0, 0.5)), Pose2D(0.0, 1.0, 0.1))
    expected = Pose2D(10.0, 1.5, 0.1).transform_to_local(np.stack([12.0 + 2.0 * np.arange(10), np.zeros(10)], axis=1))
    assert decision.path == pytest.approx(expected, abs=1e-6)
    assert decision.light_state == Light.NONE


def test_bends_are_taken_at_the_lateral_acceleration_asked_for() -> None:
    radius, arc = 10.0, np.arange(31.0)
    turn = arc / radius
    bend = Route(
        "bend",
        "Nowhere",
        radius * np.stack([np.sin(turn), 1.0 - np.cos(turn)], axis=1),
        turn,
        arc,
        np.full(31, 10.0),
        np.full(31, 3.5),
        (),
        (),
    )
    config = ExpertConfig()
    assert bend_speeds(bend, config)[5:-5] == pytest.approx(math.sqrt(config.lateral_mps2 * radius), rel=0.02)
