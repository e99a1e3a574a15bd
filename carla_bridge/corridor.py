"""What stands, or soon will stand, in the way along a route: other bodies projected on its line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from bev import Pose2D
from carla_bridge.convert import wrap_angle
from carla_bridge.routes import Route
from carla_bridge.truth import Body

REACH_M = 55.0
SIDE_MARGIN_M = 0.4  # beside the ego's own width
NEAR_M = 60.0
CROSSING_RAD = math.radians(25.0)  # a heading closer to the route's own is followed, not crossed
PREDICT_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
EARLY_S, LATE_S = 1.2, 1.5  # a crossing body counts if it is there this much before or after us


@dataclass(frozen=True)
class Obstacle:
    """Something to brake for. gap_m: free metres ahead of the front bumper; speed_mps: its speed along the route."""

    gap_m: float
    speed_mps: float
    actor_id: int
    crossing: bool  # not there yet, but will cross


def find_obstacles(route: Route, progress_m: float, ego: Body, others: Iterable[Body]) -> list[Obstacle]:
    """Everything in the corridor ahead, nearest first."""
    found: list[Obstacle] = []
    for body in others:
        if math.hypot(body.pose.x - ego.pose.x, body.pose.y - ego.pose.y) > NEAR_M:
            continue
        now = _gap(route, progress_m, ego, body)
        if now is not None:
            arc, _ = route.project(body.pose.x, body.pose.y, progress_m - 5.0, progress_m + REACH_M)
            along = body.speed_mps * math.cos(body.pose.yaw - route.pose_at(arc).yaw)
            found.append(Obstacle(now, max(0.0, along), body.actor_id, crossing=False))
        elif abs(body.speed_mps) > 0.5:
            later = _crossing_gap(route, progress_m, ego, body)
            if later is not None:
                found.append(Obstacle(later, 0.0, body.actor_id, crossing=True))
    return sorted(found, key=lambda obstacle: (obstacle.gap_m, obstacle.actor_id))


def predict(body: Body, ahead_s: float) -> Body:
    """Where a body will be if it keeps its speed and its yaw rate (exact along the arc)."""
    turn = body.yaw_rate_rps * ahead_s
    chord = body.speed_mps * ahead_s * (math.sin(turn / 2.0) / (turn / 2.0) if abs(turn) > 1e-6 else 1.0)
    heading = body.pose.yaw + turn / 2.0
    return replace(
        body,
        pose=Pose2D(
            body.pose.x + chord * math.cos(heading),
            body.pose.y + chord * math.sin(heading),
            wrap_angle(body.pose.yaw + turn),
        ),
    )


def _gap(route: Route, progress_m: float, ego: Body, body: Body) -> float | None:
    """Free metres from the ego's front to a body in its corridor; None if it is beside, behind or out of reach."""
    low, high = progress_m - 5.0, progress_m + REACH_M
    middle, _ = route.project(body.pose.x, body.pose.y, low, high)
    if middle <= progress_m:
        return None
    spots = [route.project(x, y, low, high) for x, y in _outline(body)]
    sides = [side for arc, side in spots if low + 0.1 < arc < high - 0.1]
    if not sides:
        return None
    corridor = ego.half_width_m + SIDE_MARGIN_M
    straddles = min(sides) < 0.0 < max(sides)
    if not straddles and min(abs(side) for side in sides) > corridor:
        return None
    inside = [arc for arc, side in spots if abs(side) <= corridor] or [middle]
    return min(inside) - (progress_m + ego.half_length_m)


def _crossing_gap(route: Route, progress_m: float, ego: Body, body: Body) -> float | None:
    for ahead_s in PREDICT_S:
        future = predict(body, ahead_s)
        gap = _gap(route, progress_m, ego, future)
        if gap is None:
            continue
        arc, _ = route.project(future.pose.x, future.pose.y, progress_m, progress_m + REACH_M)
        if abs(wrap_angle(future.pose.yaw - route.pose_at(arc).yaw)) < CROSSING_RAD:
            return None  # it turns into our lane: it is followed once it is there
        arrival_s = max(0.0, gap) / max(ego.speed_mps, 3.0)
        through_s = (2.0 * ego.half_length_m + 2.0 * body.half_width_m) / max(ego.speed_mps, 3.0)
        if arrival_s - EARLY_S <= ahead_s <= arrival_s + through_s + LATE_S:
            return gap - 1.0
    return None


def _outline(body: Body) -> np.ndarray:
    """(8, 2) corners and middles of the sides."""
    corners = body.corners()
    return np.concatenate([corners, (corners + np.roll(corners, 1, axis=0)) / 2.0])
