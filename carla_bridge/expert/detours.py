"""Going around what stands in the lane: a shift of the line to one side, for as long as it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bev import FloatArray
from carla_bridge.corridor import Corridor, Obstacle
from carla_bridge.expert.types import ExpertConfig
from carla_bridge.routes import Route
from carla_bridge.truth import Body

STANDING_MPS = 0.2
RAMP_M, SHORT_RAMP_M = 12.0, 6.5  # of the shift, out and back; the short one where we stand close already
CLEAR_M = 2.5  # straight on beside both ends of the obstacle
CLUSTER_M = 14.0  # obstacles as near to each other as this are passed in one go
LARGEST_SHIFT_M = 4.2


@dataclass(frozen=True, eq=False)
class Detour:
    """offsets_m: (N,) to the left of each route point; from start_m (first shifted) to end_m along the route."""

    offsets_m: FloatArray
    start_m: float
    end_m: float


class StandingWatch:
    """Since when everybody has been standing."""

    def __init__(self) -> None:
        self._since_s: dict[int, float] = {}

    def update(self, bodies: Sequence[Body], now_s: float) -> None:
        for body in bodies:
            if abs(body.speed_mps) < STANDING_MPS:
                self._since_s.setdefault(body.actor_id, now_s)
            else:
                self._since_s.pop(body.actor_id, None)

    def stood_s(self, body: Body, now_s: float) -> float:
        return now_s - self._since_s.get(body.actor_id, now_s)


def is_in_the_way(config: ExpertConfig, obstacle: Obstacle, stood_s: float, queues: bool) -> bool:
    """Does it stand there for good, as far as one can see? queues: it may wait for a junction."""
    if abs(obstacle.body.speed_mps) > STANDING_MPS or obstacle.body.type_id.startswith("walker."):
        return False
    if obstacle.body.type_id.startswith("static."):
        return True
    return stood_s > (config.queue_s if queues else config.detour_after_s)


def plan_detour(
    config: ExpertConfig,
    route: Route,
    progress_m: float,
    half_length_m: float,
    half_width_m: float,
    blockers: Sequence[Obstacle],
    is_free: Callable[[Detour], bool],
) -> Detour | None:
    """The smallest shift past the first blockers that is free. blockers: nearest first, all of them in the way."""
    group = [blockers[0]]
    for blocker in blockers[1:]:
        if blocker.rear_m - max(one.front_m for one in group) < CLUSTER_M:
            group.append(blocker)
    left = max(one.left_m for one in group) + half_width_m + config.detour_side_m
    right = min(one.right_m for one in group) - half_width_m - config.detour_side_m
    lane_half = float(np.interp(group[0].rear_m, route.arc_m, route.lane_widths_m)) / 2.0
    within = lane_half - half_width_m + 0.1
    shifts = [left] if left <= LARGEST_SHIFT_M else []
    if right >= -within:
        shifts = sorted([*shifts, right], key=abs)
    near, far = min(one.rear_m for one in group), max(one.front_m for one in group)
    for shift in shifts:
        beside = near - CLEAR_M - half_length_m
        ramp = float(np.clip(beside - progress_m, SHORT_RAMP_M * min(1.0, abs(shift) / 2.0 + 0.3), RAMP_M))
        begin = max(beside - ramp, progress_m - 1.0)
        done = far + CLEAR_M + half_length_m
        detour = Detour(_ramps(route, shift, begin, beside, done, done + RAMP_M), begin, done + RAMP_M)
        if is_free(detour):
            return detour
    return None


def _ramps(route: Route, shift: float, begin: float, beside: float, done: float, end: float) -> FloatArray:
    arc = route.arc_m
    out = np.clip((arc - begin) / max(beside - begin, 0.5), 0.0, 1.0)
    back = np.clip((end - arc) / max(end - done, 0.5), 0.0, 1.0)
    smooth = 0.5 - 0.5 * np.cos(math.pi * np.minimum(out, back))
    return np.asarray(shift * smooth, np.float64)


def stop_before(config: ExpertConfig, obstacle: Obstacle, corridor: Corridor, half_length_m: float) -> float:
    """Arc length for the front bumper behind something that may be gone around: with room to steer out."""
    return obstacle.rear_m - config.detour_gap_m
