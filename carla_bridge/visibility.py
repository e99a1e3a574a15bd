"""Who can be seen from the driver's seat: rays over the ground plan, stopped by houses and by other vehicles.

Only boxes of houses and bodies count: fences, trees and hills hide nobody, nor does a body lower than `HIDES_M`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from bev import FloatArray, Pose2D
from carla_bridge.truth import Body

IntArray = npt.NDArray[np.int64]

RANGE_M = 55.0
HIDES_M = 1.4  # the cameras look over what is lower
RAYS = 5  # to the corners and the middle
RAYS_TO_SEE = 2
REMEMBER_S = 1.0  # somebody just lost from sight is not forgotten at once


class Eyes:
    """Keeps in mind who was seen a moment ago."""

    def __init__(self, walls: FloatArray) -> None:
        """walls: (M, 5) boxes x, y, yaw, half length, half width that nobody sees through."""
        self._walls = np.asarray(walls, np.float64).reshape(-1, 5)
        self._seen_s: dict[int, float] = {}

    def look(self, eye: Pose2D, bodies: Sequence[Body], now_s: float) -> list[Body]:
        """Those within range that are in sight, or were within the last REMEMBER_S."""
        near = [body for body in bodies if math.hypot(body.pose.x - eye.x, body.pose.y - eye.y) < RANGE_M]
        if not near:
            return []
        gaps = np.hypot(self._walls[:, 0] - eye.x, self._walls[:, 1] - eye.y)
        walls = self._walls[gaps < RANGE_M + np.hypot(self._walls[:, 3], self._walls[:, 4])]
        counts = count_rays(
            eye.x,
            eye.y,
            np.array([box_of(body) for body in near]),
            np.array([b.height_m >= HIDES_M for b in near]),
            walls,
        )
        for body, count in zip(near, counts.tolist(), strict=True):
            if count >= RAYS_TO_SEE:
                self._seen_s[body.actor_id] = now_s
        return [body for body in near if now_s - self._seen_s.get(body.actor_id, -math.inf) <= REMEMBER_S]


def box_of(body: Body, margin_m: float = 0.0) -> tuple[float, float, float, float, float]:
    pose = body.pose
    return (pose.x, pose.y, pose.yaw, body.half_length_m + margin_m, body.half_width_m + margin_m)


@njit(cache=True)
def _meets(x0: float, y0: float, x1: float, y1: float, box: FloatArray) -> bool:
    """Does a segment meet a box? (Slabs, in the frame of the box.)"""
    c, s = math.cos(box[2]), math.sin(box[2])
    ax, ay = c * (x0 - box[0]) + s * (y0 - box[1]), c * (y0 - box[1]) - s * (x0 - box[0])
    bx, by = c * (x1 - box[0]) + s * (y1 - box[1]), c * (y1 - box[1]) - s * (x1 - box[0])
    low, high = 0.0, 1.0
    for a, b, half in ((ax, bx, box[3]), (ay, by, box[4])):
        step = b - a
        if abs(step) < 1e-9:
            if abs(a) > half:
                return False
            continue
        near, far = (-half - a) / step, (half - a) / step
        if near > far:
            near, far = far, near
        low, high = max(low, near), min(high, far)
        if low > high:
            return False
    return True


@njit(cache=True)
def count_rays(eye_x: float, eye_y: float, boxes: FloatArray, opaque: FloatArray, walls: FloatArray) -> IntArray:
    """(B,) how many of RAYS to each box come through. boxes (B, 5), opaque (B,) bool, walls (M, 5)."""
    out = np.zeros(len(boxes), np.int64)
    for i in range(len(boxes)):
        c, s = math.cos(boxes[i, 2]), math.sin(boxes[i, 2])
        for ray in range(RAYS):
            u = 0.0 if ray == 4 else (0.9 if ray < 2 else -0.9) * boxes[i, 3]
            v = 0.0 if ray == 4 else (0.9 if ray % 2 == 0 else -0.9) * boxes[i, 4]
            x, y = boxes[i, 0] + c * u - s * v, boxes[i, 1] + s * u + c * v
            free = True
            for j in range(len(boxes)):
                if j != i and opaque[j] and _meets(eye_x, eye_y, x, y, boxes[j]):
                    free = False
                    break
            if free:
                for j in range(len(walls)):
                    if _meets(eye_x, eye_y, x, y, walls[j]):
                        free = False
                        break
            out[i] += free
    return out
