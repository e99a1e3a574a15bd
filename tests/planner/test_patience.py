"""A car in doubt: how long it stands, and what makes it stand longer."""

import dataclasses

import numpy as np
import pytest

from bev import EgoMotion, Pose2D
from planner import SPEED_CLASSES_MPS, Controller, ControllerConfig, Light, Trajectory
from planner.patience import unless_stopping

CONFIG = ControllerConfig()
TICK_S = 0.05
AHEAD = np.stack([2.0 * np.arange(1, 11), np.zeros(10)], axis=1)


def doubting(stop: float, light: Light = Light.NONE) -> Trajectory:
    """`stop` of the probability for standing, the rest for 6 m/s."""
    speeds = np.zeros(len(SPEED_CLASSES_MPS))
    speeds[[0, 4]] = stop, 1.0 - stop
    origin = Pose2D(0.0, 0.0, 0.0)
    return Trajectory(0, 0.0, origin, AHEAD, speeds, np.zeros((8, 2)), np.eye(len(Light))[light])


def goes_after(trajectory: Trajectory, within_s: float = 300.0) -> float:
    """Seconds that a standing car goes on standing, inf for all of within_s."""
    controller = Controller(CONFIG)
    for tick in range(round(within_s / TICK_S)):
        now_s = tick * TICK_S
        fresh = dataclasses.replace(trajectory, time_s=now_s)
        if controller.control(fresh, now_s, EgoMotion(0.0, 0.0, fresh.origin)).throttle > 0.0:
            return now_s
    return float("inf")


@pytest.mark.parametrize("stop", [0.45, 0.6, 0.75, 0.89])
@pytest.mark.parametrize(("light", "whole_s"), [(Light.NONE, 1.5), (Light.RED_OR_YELLOW, 30.0), (Light.GREEN, 30.0)])
def test_it_stands_as_long_as_an_expert_who_went_that_often_would(stop: float, light: Light, whole_s: float) -> None:
    assert goes_after(doubting(stop, light)) == pytest.approx(whole_s / (1.0 - stop), abs=2 * TICK_S)


def test_who_is_sure_stands_for_good_and_who_has_no_doubts_goes_at_once() -> None:
    assert goes_after(doubting(0.95)) == float("inf")
    assert goes_after(doubting(0.3)) == 0.0


@pytest.mark.parametrize(("since_m", "whole_s"), [(3.0, 24.9), (30.0, 1.5)])
def test_it_remembers_a_light_that_it_saw_on_the_last_metres(since_m: float, whole_s: float) -> None:
    controller, place_m, speed_mps = Controller(CONFIG), 0.0, 6.0
    stands_since_s = None
    for tick in range(2000):
        now_s = tick * TICK_S
        trajectory = doubting(0.6, Light.RED_OR_YELLOW if place_m == 0.0 else Light.NONE)
        if place_m >= since_m and stands_since_s is None:
            speed_mps, stands_since_s = 0.0, now_s
        controller.control(
            dataclasses.replace(trajectory, time_s=now_s), now_s, EgoMotion(speed_mps, 0.0, trajectory.origin)
        )
        if controller.target_mps > 0.0:
            break
        place_m += speed_mps * TICK_S
    assert stands_since_s is not None
    assert now_s - stands_since_s == pytest.approx(whole_s / 0.4, abs=0.5)


def test_having_set_off_it_does_not_mind_doubts_for_some_metres_but_does_mind_certainty() -> None:
    controller, place_m, began_m, halted_m = Controller(CONFIG), 0.0, [], []
    for tick in range(600):
        now_s, was_mps = tick * TICK_S, controller.target_mps
        stop = 0.97 if place_m > 2.0 and 6.0 < now_s < 7.0 else 0.6
        speed_mps = 1.0 if was_mps > 0.0 else 0.0
        place_m += speed_mps * TICK_S
        ego = EgoMotion(speed_mps, 0.0, Pose2D(place_m, 0.0, 0.0))
        controller.control(dataclasses.replace(doubting(stop), time_s=now_s), now_s, ego)
        assert controller.target_mps in (0.0, pytest.approx(6.0)), "as fast as if there were no doubt"
        if (controller.target_mps > 0.0) != (was_mps > 0.0):
            (began_m if was_mps == 0.0 else halted_m).append(place_m)
    # it goes after 3.75 s, is halted by certainty for a second, goes on at once, and halts in doubt after 8 m in all
    assert began_m[0] == 0.0
    assert 2.0 < halted_m[0] < 3.0
    assert began_m[1] == halted_m[0]
    assert halted_m[1] == pytest.approx(CONFIG.go_m, abs=0.2)


def test_what_is_left_of_the_probabilities_is_what_is_known_given_that_it_goes() -> None:
    given = unless_stopping(np.array([0.6, 0.1, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(given, [0.0, 0.25, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0])
