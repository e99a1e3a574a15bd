"""The car's own idea of its motion, from a speedometer and a gyroscope alone."""

from __future__ import annotations

import math

from bev import EgoMotion, Pose2D
from carla_bridge.convert import wrap_angle

REAR_AXLE_M = 1.43  # behind the middle of the car: half the wheelbase
STANDING_MPS = 0.1  # slower counts as standing


class Odometer:
    """Dead reckoning. `update` once a tick; `restart` makes the present place the origin."""

    def __init__(self) -> None:
        self.pose = Pose2D(0.0, 0.0, 0.0)
        self._speed_mps = self._yaw_rate_rps = self._standing_s = 0.0

    def restart(self) -> None:
        self.pose = Pose2D(0.0, 0.0, 0.0)

    def update(self, speed_mps: float, yaw_rate_rps: float, delta_s: float) -> EgoMotion:
        """speed_mps along the car's axis, yaw_rate_rps left positive: of now. delta_s: since the last call."""
        ahead = 0.5 * (speed_mps + self._speed_mps) * delta_s
        turn = 0.5 * (yaw_rate_rps + self._yaw_rate_rps) * delta_s
        side = REAR_AXLE_M * turn  # the rear axle rolls without slip, so the middle of a turning car swings out
        half = self.pose.yaw + 0.5 * turn
        self.pose = Pose2D(
            self.pose.x + ahead * math.cos(half) - side * math.sin(half),
            self.pose.y + ahead * math.sin(half) + side * math.cos(half),
            wrap_angle(self.pose.yaw + turn),
        )
        self._speed_mps, self._yaw_rate_rps = speed_mps, yaw_rate_rps
        standing = abs(speed_mps) <= STANDING_MPS
        self._standing_s = min(self._standing_s + delta_s, EgoMotion.MAX_STANDING_S) if standing else 0.0
        return EgoMotion(speed_mps, yaw_rate_rps, self.pose, round(self._standing_s, 6))
