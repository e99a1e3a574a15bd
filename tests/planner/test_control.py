"""The controller in the hands of a kinematic bicycle whose pedals act on acceleration."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from bev import EgoMotion, FloatArray, Pose2D
from planner import SPEED_CLASSES_MPS, Control, Controller, ControllerConfig, Trajectory
from planner.control import goal_point, path_from_here

CONFIG = ControllerConfig()
TICK_S = 0.05


@dataclass
class Bicycle:
    """Pose of the car's middle; the rear axle follows the wheels."""

    pose: Pose2D = field(default_factory=lambda: Pose2D(0.0, 0.0, 0.0))
    speed_mps: float = 0.0
    yaw_rate_rps: float = 0.0

    @property
    def ego(self) -> EgoMotion:
        return EgoMotion(self.speed_mps, self.yaw_rate_rps, self.pose)

    def step(self, control: Control) -> None:
        speeds, shares = zip(*CONFIG.steering_curve, strict=True)
        wheel = control.steer * CONFIG.max_steer_rad * np.interp(self.speed_mps, speeds, shares)
        acceleration = 4.0 * control.throttle - 8.0 * control.brake - 0.1 * self.speed_mps
        self.speed_mps = max(0.0, self.speed_mps + acceleration * TICK_S)
        self.yaw_rate_rps = self.speed_mps * math.tan(wheel) / CONFIG.wheelbase_m
        half = CONFIG.wheelbase_m / 2
        rear = self.pose.transform_from_local(np.array([[-half, 0.0]]))[0]
        yaw = self.pose.yaw + self.yaw_rate_rps * TICK_S
        rear = rear + self.speed_mps * TICK_S * np.array([math.cos(yaw), math.sin(yaw)])
        self.pose = Pose2D(rear[0] + half * math.cos(yaw), rear[1] + half * math.sin(yaw), yaw)


def certain(speed_class: int) -> FloatArray:
    return np.eye(len(SPEED_CLASSES_MPS))[speed_class]


def trajectory(path: FloatArray, probabilities: FloatArray, time_s: float, origin: Pose2D) -> Trajectory:
    return Trajectory(0, time_s, origin, path, probabilities, np.zeros((8, 2)))


def points_ahead(curve: FloatArray, pose: Pose2D) -> FloatArray:
    """The ten path points that a perfect network would give: 2 m apart on a dense curve, from the nearest place on."""
    nearest = int(np.argmin(((curve - (pose.x, pose.y)) ** 2).sum(1)))
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve[nearest:], axis=0).T))])
    wanted = np.arange(1, 11) * 2.0
    world = np.stack([np.interp(wanted, along, curve[nearest:, axis]) for axis in (0, 1)], axis=1)
    return pose.transform_to_local(world)


def drive(car: Bicycle, curve: FloatArray, seconds: float, speed_class: int, latency_s: float = 0.1) -> list[float]:
    """Camera frames every 0.1 s whose trajectories are ready latency_s later; distance to the curve at every tick."""
    controller, waiting, current, distances = Controller(CONFIG), [], None, []
    for tick in range(round(seconds / TICK_S)):
        now_s = tick * TICK_S
        if tick % 2 == 0:
            waiting.append(trajectory(points_ahead(curve, car.pose), certain(speed_class), now_s, car.pose))
        while waiting and waiting[0].time_s + latency_s <= now_s + 1e-9:
            current = waiting.pop(0)
        car.step(controller.control(current, now_s, car.ego))
        distances.append(float(np.sqrt(((curve - (car.pose.x, car.pose.y)) ** 2).sum(1).min())))
    return distances


def straight() -> FloatArray:
    return np.stack([np.arange(0.0, 400.0, 0.05), np.zeros(8000)], axis=1)


def circle(radius_m: float) -> FloatArray:
    angle = np.arange(0.0, 12 * math.pi, 0.05 / radius_m)
    return np.stack([radius_m * np.sin(angle), radius_m * (1 - np.cos(angle))], axis=1)


@pytest.mark.parametrize("speed_class", range(2, len(SPEED_CLASSES_MPS)))
def test_returns_to_a_straight_path_and_holds_the_speed(speed_class: int) -> None:
    car = Bicycle(Pose2D(0.0, 1.5, 0.15))
    distances = drive(car, straight(), 20.0, speed_class)
    assert max(distances[-100:]) < 0.1
    assert car.speed_mps == pytest.approx(SPEED_CLASSES_MPS[speed_class], abs=0.3)


@pytest.mark.parametrize(("radius_m", "speed_class"), [(7.0, 2), (12.0, 3), (40.0, 5), (-9.0, 3)])
def test_follows_a_circle(radius_m: float, speed_class: int) -> None:
    curve = circle(abs(radius_m)) * (1.0, math.copysign(1.0, radius_m))
    distances = drive(Bicycle(), curve, 15.0, speed_class)
    assert max(distances) < 0.6


def test_latency_is_made_up_for_by_odometry() -> None:
    """0.4 s late, at 6 m/s round a bend: the path is still steered along where it lies, not where the car was."""
    assert max(drive(Bicycle(), circle(20.0), 15.0, 4, latency_s=0.4)) < 0.6


def test_a_late_path_lies_where_it_lay() -> None:
    seen_from, now = Pose2D(3.0, -2.0, 0.4), Pose2D(5.0, -1.0, 0.9)
    path = points_ahead(circle(15.0), seen_from)
    moved = path_from_here(trajectory(path, certain(4), 0.0, seen_from), EgoMotion(5.0, 0.0, now))
    np.testing.assert_allclose(now.transform_from_local(moved)[1:], seen_from.transform_from_local(path), atol=1e-9)


def test_brakes_hard_when_a_stop_is_likely_and_stands() -> None:
    car, controller = Bicycle(speed_mps=8.0), Controller(CONFIG)
    likely = np.array([0.45, 0, 0, 0, 0, 0.55, 0, 0])  # the mean alone would say 4.4 m/s
    for tick in range(60):
        control = controller.control(
            trajectory(points_ahead(straight(), car.pose), likely, tick * TICK_S, car.pose), tick * TICK_S, car.ego
        )
        assert control.throttle == 0.0
        assert control.brake >= 0.5
        car.step(control)
    assert car.speed_mps == 0.0
    assert car.pose.x < 8.0


def test_without_a_fresh_trajectory_it_brakes_gently_along_the_old_path() -> None:
    controller, ego = Controller(CONFIG), EgoMotion(6.0, 0.0, Pose2D(0.0, 0.0, 0.0))
    assert controller.control(None, 0.0, ego) == Control(0.0, CONFIG.lost_brake, 0.0)
    left = trajectory(points_ahead(circle(15.0), ego.odometry), certain(5), 0.0, ego.odometry)
    fresh, stale = controller.control(left, 2.4, ego), controller.control(left, 2.6, ego)
    assert fresh.throttle > 0.0
    assert (stale.throttle, stale.brake) == (0.0, CONFIG.lost_brake)
    assert stale.steer == fresh.steer > 0.0  # left is positive


def test_goal_point_is_at_its_distance_and_continues_a_short_path() -> None:
    path = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 1.0]])
    for distance_m in (0.5, 2.5, 4.0, 9.0):
        assert np.hypot(*(goal_point(path, np.zeros(2), distance_m))) == pytest.approx(distance_m)
    assert goal_point(path, np.array([1.0, 5.0]), 1.0) == pytest.approx([3.2, 0.6])  # out of reach: nearest
