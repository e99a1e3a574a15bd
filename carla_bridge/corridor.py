"""The strip of ground that the car means to drive over, and who is on it when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from bev import FloatArray
from carla_bridge.convert import wrap_angle
from carla_bridge.forecast import TIMES_S, Forecast
from carla_bridge.routes import Route
from carla_bridge.truth import Body
from carla_bridge.visibility import IntArray, box_of

BEHIND_M, AHEAD_M, STEP_M = 8.0, 62.0, 1.0
SIDE_MARGIN_M = 0.35  # beside the ego's own width
SWING_MARGIN_M = 0.3  # around a vehicle in a junction, in addition
WALKER_MARGIN_M = 0.45  # around somebody who walks, in addition


@dataclass(frozen=True, eq=False)
class Corridor:
    """The line ahead: arc_m (K,) along the route, points (K, 2), yaws (K,)."""

    arc_m: FloatArray
    points: FloatArray
    yaws: FloatArray
    half_width_m: float

    def project(self, x: float, y: float) -> tuple[float, float]:
        """Arc length of the nearest place, and the offset from it (left positive)."""
        start, along = self.points[:-1], np.diff(self.points, axis=0)
        lengths = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
        offset = np.array([x, y]) - start
        share = np.clip(np.sum(offset * along, axis=1) / lengths**2, 0.0, 1.0)
        gap = offset - share[:, None] * along
        i = int(np.argmin(np.hypot(gap[:, 0], gap[:, 1])))
        side = along[i, 0] * offset[i, 1] - along[i, 1] * offset[i, 0]
        arc = self.arc_m[i] + share[i] * (self.arc_m[i + 1] - self.arc_m[i])
        return float(arc), float(math.copysign(math.hypot(*gap[i]), side))

    def yaw_at(self, arc_m: float) -> float:
        return float(np.interp(arc_m, self.arc_m, self.yaws))


def corridor_along(route: Route, progress_m: float, half_width_m: float, offsets: FloatArray | None = None) -> Corridor:
    """offsets: (N,) to the left of each route point [m]."""
    arcs = np.arange(max(0.0, progress_m - BEHIND_M), progress_m + AHEAD_M + STEP_M, STEP_M)
    points = route.points_at(arcs)
    yaws = np.interp(arcs, route.arc_m, route.yaws)
    if offsets is not None:
        aside = np.interp(arcs, route.arc_m, offsets)
        points = points + aside[:, None] * np.stack([-np.sin(yaws), np.cos(yaws)], axis=1)
        yaws = yaws + np.arctan(np.gradient(aside, STEP_M))
    return Corridor(arcs, points, yaws, half_width_m + SIDE_MARGIN_M)


@dataclass(frozen=True)
class Obstacle:
    """Somebody in the corridor now. gap_m: free metres ahead of the front bumper; speed_mps: along the route; left_m,
    right_m: how far it reaches to the sides of the line (left positive); rear_m, front_m: arc lengths."""

    gap_m: float
    speed_mps: float
    body: Body
    rear_m: float
    front_m: float
    left_m: float
    right_m: float
    along: bool  # drives, or stands, about in our direction


@dataclass(frozen=True, eq=False)
class Crossing:
    """Somebody who may be in the corridor later. first_m, last_m: (T,) arc lengths taken at TIMES_S; NaN: none.
    oncoming: comes against us there."""

    body: Body
    first_m: FloatArray
    last_m: FloatArray
    oncoming: bool


def obstacles_now(corridor: Corridor, front_m: float, bodies: Sequence[Body]) -> list[Obstacle]:
    """Who is in the corridor ahead of the front bumper, nearest first."""
    if not bodies:
        return []
    boxes = np.array([box_of(body, 0.1 if body.type_id.startswith("walker.") else 0.0) for body in bodies])
    spans = occupied(corridor.points, corridor.yaws, corridor.half_width_m, STEP_M / 2.0, boxes)
    found = []
    for body, (first, last) in zip(bodies, spans.tolist(), strict=True):
        if first < 0 or corridor.arc_m[last] + STEP_M < front_m:
            continue
        middle, _ = corridor.project(body.pose.x, body.pose.y)
        if middle < front_m - 0.5:
            continue
        spots = [corridor.project(x, y) for x, y in _outline(body)]
        inside = [arc for arc, side in spots if abs(side) <= corridor.half_width_m] or [middle]
        turn = wrap_angle(body.pose.yaw - corridor.yaw_at(middle))
        sides = [side for _, side in spots]
        found.append(
            Obstacle(
                min(inside) - front_m,
                max(0.0, body.speed_mps * math.cos(turn)),
                body,
                min(inside),
                max(arc for arc, _ in spots),
                max(sides),
                min(sides),
                abs(turn) < math.radians(50.0),
            )
        )
    return sorted(found, key=lambda obstacle: (obstacle.gap_m, obstacle.body.actor_id))


def crossings_later(corridor: Corridor, forecasts: Sequence[Forecast]) -> list[Crossing]:
    """Which of these lead through the corridor, and when they are where in it."""
    if not forecasts:
        return []
    boxes = np.empty((len(forecasts), len(TIMES_S), 5))
    for i, forecast in enumerate(forecasts):
        margin = SWING_MARGIN_M if forecast.swings else 0.0
        if forecast.body.type_id.startswith("walker."):
            margin = WALKER_MARGIN_M
        boxes[i, :, :3] = forecast.poses
        boxes[i, :, 3], boxes[i, :, 4] = forecast.body.half_length_m + margin, forecast.body.half_width_m + margin
    spans = occupied(corridor.points, corridor.yaws, corridor.half_width_m, STEP_M / 2.0, boxes.reshape(-1, 5))
    spans = spans.reshape(len(forecasts), len(TIMES_S), 2)
    found = []
    for forecast, span in zip(forecasts, spans, strict=True):
        inside = span[:, 0] >= 0
        if inside.any():
            first = np.where(inside, corridor.arc_m[span[:, 0]] - STEP_M / 2.0, np.nan)
            last = np.where(inside, corridor.arc_m[span[:, 1]] + STEP_M / 2.0, np.nan)
            when = int(np.argmax(inside))
            turn = forecast.poses[when, 2] - corridor.yaws[span[when, 0]]
            found.append(Crossing(forecast.body, first, last, bool(math.cos(turn) < -0.5)))
    return found


@njit(cache=True)
def occupied(points: FloatArray, yaws: FloatArray, half_width: float, half_step: float, boxes: FloatArray) -> IntArray:
    """(B, 2) index of the first and the last slab of a corridor that each box touches, -1 for none. A slab lies around
    each of points (K, 2), turned by yaws (K,). boxes: (B, 5) x, y, yaw, half length, half width; NaN touches nothing.
    Separating axes."""
    out = np.full((len(boxes), 2), -1, np.int64)
    slab_radius = math.hypot(half_width, half_step)
    for i in range(len(boxes)):
        x, y, yaw, half_length, box_width = boxes[i]
        if math.isnan(x):
            continue
        reach = slab_radius + math.hypot(half_length, box_width)
        for k in range(len(points)):
            dx, dy = x - points[k, 0], y - points[k, 1]
            if dx * dx + dy * dy > reach * reach:
                continue
            c, s = math.cos(yaw - yaws[k]), math.sin(yaw - yaws[k])
            ck, sk = math.cos(yaws[k]), math.sin(yaws[k])
            u, v = ck * dx + sk * dy, ck * dy - sk * dx  # in the slab's frame
            if abs(u) > half_step + half_length * abs(c) + box_width * abs(s):
                continue
            if abs(v) > half_width + half_length * abs(s) + box_width * abs(c):
                continue
            p, q = c * u + s * v, c * v - s * u  # in the box's frame
            if abs(p) > half_length + half_step * abs(c) + half_width * abs(s):
                continue
            if abs(q) > box_width + half_step * abs(s) + half_width * abs(c):
                continue
            if out[i, 0] < 0:
                out[i, 0] = k
            out[i, 1] = k
    return out


def _outline(body: Body) -> FloatArray:
    """(8, 2) corners and middles of the sides."""
    corners = body.corners()
    return np.concatenate([corners, (corners + np.roll(corners, 1, axis=0)) / 2.0])
