"""How the car moved, tick by tick, for the figures about its ride."""

from __future__ import annotations

import math

import numpy as np

from carla_bridge.truth import Truth
from e2e_drive.scores import Motion

AROUND_M = 50.0


class MotionRecorder:
    """Call `add` once a tick."""

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._rows: list[tuple[float, ...]] = []

    def add(self, truth: Truth, completion: float) -> None:
        ego = truth.ego
        around = [
            abs(body.speed_mps)
            for body in truth.others
            if body.type_id.startswith("vehicle.")
            and math.hypot(body.pose.x - ego.pose.x, body.pose.y - ego.pose.y) < AROUND_M
        ]
        traffic = sum(around) / len(around) if around else math.nan
        self._rows.append((*ego.velocity_mps, ego.pose.yaw, ego.yaw_rate_rps, traffic, completion))

    @property
    def motion(self) -> Motion:
        table = np.array(self._rows, np.float64).reshape(-1, 6)
        return Motion(self._tick_s, table[:, :2], table[:, 2], table[:, 3], table[:, 4], table[:, 5])
