"""Trajectory -> pedals and steering wheel, twenty times a second.

Steering is pure pursuit (Coulter, CMU-RI-TR-92-01) from the rear axle along the path; the path is first moved to
where the car is now, by the odometry between the exposure of its images and this moment, so that a late trajectory is
still steered along in the right place. Speed is a PI controller towards the
probability-weighted target speed; in doubt the car stands, but not for ever (`planner.patience`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bev import EgoMotion, FloatArray
from planner.patience import STANDING_MPS, Patience, unless_stopping
from planner.types import SPEED_CLASSES_MPS, Control, Trajectory


@dataclass(frozen=True)
class ControllerConfig:
    """wheelbase, max_steer and steering_curve describe the car; the rest is how it is driven."""

    wheelbase_m: float = 2.9
    max_steer_rad: float = 1.22  # CARLA's 70 degrees at full lock
    steering_curve: tuple[tuple[float, float], ...] = ((0.0, 1.0), (5.56, 0.9), (16.7, 0.8), (33.3, 0.7))
    """(speed m/s, share of the lock that full steer then gives): CARLA's default for passenger cars."""
    look_ahead_m: float = 3.0
    look_ahead_s: float = 0.5
    speed_gain: float = 0.35  # throttle per m/s of error
    speed_integral_gain: float = 0.08  # throttle per m of error
    cruise_throttle: float = 0.12  # what holding cruise_mps takes, about
    cruise_mps: float = 8.0
    max_throttle: float = 0.75
    brake_gain: float = 0.4  # brake per m/s of excess speed
    brake_margin: float = 1.1  # up to this share of the target speed the car just rolls
    stop_probability: float = 0.4
    stop_brake: float = 0.7
    hold_speed_mps: float = 1.2  # a lower target means: stand; nobody creeps up to a queue at walking pace
    go_after_s: float = 1.5  # patience, see `patience.Patience`: of a car that stands for no light
    go_after_at_light_s: float = 30.0  # ... for a light
    go_m: float = 8.0  # so far it then drives before doubts count again
    sure_stop_probability: float = 0.9  # ... unless they are so large
    max_age_s: float = 2.5  # after that, at 8 m/s, the car has driven the 20 m of its path to the end
    lost_brake: float = 0.3

    def __post_init__(self) -> None:
        if not 0.0 < self.max_steer_rad < math.pi / 2 or self.wheelbase_m <= 0 or self.look_ahead_m <= 0:
            raise ValueError(f"controller: impossible geometry in {self}")
        if not 0.0 < self.stop_probability <= 1.0:
            raise ValueError(f"controller: stop_probability must lie in (0, 1], received {self.stop_probability}")


class Controller:
    def __init__(self, config: ControllerConfig | None = None) -> None:
        self.config = config or ControllerConfig()
        self._patience = Patience(self.config.go_after_s, self.config.go_after_at_light_s, self.config.go_m)
        self.target_mps = 0.0  # of the last tick
        self._integral_m = 0.0
        self._last_s: float | None = None

    def control(self, trajectory: Trajectory | None, now_s: float, ego: EgoMotion) -> Control:
        """trajectory: the newest that is ready, None before there is any. Call once a tick."""
        delta_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        if trajectory is None:
            self._integral_m = 0.0
            return Control(0.0, self.config.lost_brake, 0.0)
        steer = self._steer(path_from_here(trajectory, ego), ego.speed_mps)
        if now_s - trajectory.time_s > self.config.max_age_s:
            self._integral_m = 0.0
            return Control(0.0, self.config.lost_brake, steer)
        self.target_mps = self._target_mps(trajectory, ego.speed_mps, delta_s)
        throttle, brake = self._pedals(self.target_mps, ego.speed_mps, delta_s)
        return Control(throttle, brake, steer)

    def _steer(self, path: FloatArray, speed_mps: float) -> float:
        config = self.config
        rear = np.array([-config.wheelbase_m / 2, 0.0])
        distance = config.look_ahead_m + config.look_ahead_s * max(speed_mps, 0.0)
        goal = goal_point(path, rear, distance) - rear
        angle = math.atan2(goal[1], goal[0])
        wheel_rad = math.atan2(2.0 * config.wheelbase_m * math.sin(angle), math.hypot(*goal))
        speeds, shares = zip(*config.steering_curve, strict=True)
        lock = config.max_steer_rad * float(np.interp(speed_mps, speeds, shares))
        return float(np.clip(wheel_rad / lock, -1.0, 1.0))

    def _target_mps(self, trajectory: Trajectory, speed_mps: float, delta_s: float) -> float:
        config, probabilities = self.config, trajectory.speed_probabilities
        if self._patience.is_over(trajectory, speed_mps, delta_s) and probabilities[0] <= config.sure_stop_probability:
            probabilities = unless_stopping(probabilities)
        target = float(np.dot(probabilities, SPEED_CLASSES_MPS))
        return 0.0 if probabilities[0] > config.stop_probability or target < config.hold_speed_mps else target

    def _pedals(self, target: float, speed_mps: float, delta_s: float) -> tuple[float, float]:
        config = self.config
        if target == 0.0:
            self._integral_m = 0.0
            return 0.0, config.stop_brake
        error = target - speed_mps
        if speed_mps > config.brake_margin * target + STANDING_MPS:
            self._integral_m = 0.0
            return 0.0, float(np.clip(-config.brake_gain * error, 0.0, 1.0))
        throttle = (
            config.cruise_throttle * target / config.cruise_mps
            + config.speed_gain * error
            + config.speed_integral_gain * self._integral_m
        )
        if 0.0 < throttle < config.max_throttle:  # no wind-up while the pedal cannot do more
            self._integral_m = float(np.clip(self._integral_m + error * delta_s, -3.0, 3.0))
        return float(np.clip(throttle, 0.0, config.max_throttle)), 0.0


def path_from_here(trajectory: Trajectory, ego: EgoMotion) -> FloatArray:
    """(PATH_POINTS + 1, 2): the path, led by the place its images were taken at, in the ego frame of now."""
    path = np.concatenate([np.zeros((1, 2)), trajectory.path])
    return ego.odometry.transform_to_local(trajectory.origin.transform_from_local(path))


def goal_point(path: FloatArray, origin: FloatArray, distance_m: float) -> FloatArray:
    """The last place where the path leaves the circle of distance_m around origin. A path that ends inside is
    prolonged straight on; one that stays outside gives its nearest point."""
    start, step = path[:-1], np.diff(path, axis=0)
    towards = start - origin
    # |towards + t * step| = distance_m: the larger root is where the segment's line leaves the circle.
    a = np.maximum((step**2).sum(1), 1e-9)
    b = (towards * step).sum(1)
    c = (towards**2).sum(1) - distance_m**2
    discriminant = b**2 - a * c
    leaves = (-b + np.sqrt(np.maximum(discriminant, 0.0))) / a
    on_segment = (discriminant >= 0) & (leaves >= 0) & (leaves <= 1)
    on_segment[-1] = discriminant[-1] >= 0 and leaves[-1] >= 0  # the last segment has no end
    hits = np.flatnonzero(on_segment)
    if len(hits):
        place = hits[-1]
        return start[place] + leaves[place] * step[place]
    along = np.clip(-b / a, 0.0, 1.0)
    feet = start + along[:, None] * step
    return feet[np.argmin(((feet - origin) ** 2).sum(1))]
