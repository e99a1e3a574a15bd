"""A stop sign's red light."""

from __future__ import annotations

import numpy as np

from carla_bridge.embedded.stop_signs import HOLD_S, StopSigns
from carla_bridge.embedded.types import Box, Pose, SignPlacement

FRONT_M, TICK_S = 2.4, 0.05


def held(signs: StopSigns, front_x: float, speed: float, yaw: float = 0.0) -> bool:
    """One vehicle on the x axis whose front is at front_x."""
    x = np.array([front_x - FRONT_M * np.cos(yaw)])
    zero = np.zeros(1)
    return bool(signs.held([7], x, zero, zero + yaw, zero + FRONT_M, zero + speed, TICK_S)[0])


def test_held_until_it_has_stood() -> None:
    """Red from the trigger on, green after two seconds of standing, red again for the next visit."""
    sign = SignPlacement("1", "traffic.stop", Pose(0.0, 3.0, 0.0, yaw=180.0), Box(Pose(-3.0), (3.0, 1.5, 1.5)))
    signs = StopSigns([sign])
    for _ in range(2):
        assert not held(signs, -6.5, 8.0)
        assert held(signs, -5.0, 6.0)
        assert not held(signs, -5.0, 0.0, yaw=np.pi)  # the other way it governs nobody
        waited = [held(signs, -1.0, 0.0) for _ in range(round(HOLD_S / TICK_S))]
        assert waited == [True] * (len(waited) - 1) + [False]
        assert not held(signs, -0.5, 2.0)
        assert not held(signs, 5.0, 5.0)


def test_other_signs_hold_nobody() -> None:
    sign = SignPlacement("1", "traffic.yield", Pose(0.0, 3.0, 0.0, yaw=180.0), Box(Pose(-3.0), (3.0, 1.5, 1.5)))
    assert not held(StopSigns([sign]), -1.0, 0.0)
