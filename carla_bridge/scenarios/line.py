"""Lines that scripted road users move along. ISO 8855, world frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bev import FloatArray, Pose2D
from carla_bridge.convert import wrap_angle
from carla_bridge.lanes import LaneGraph, turn_of
from carla_bridge.routes import Route
from carla_bridge.truth import LaneKey

STEP_M = 1.0
LATERAL_MPS2 = 2.0  # in bends


@dataclass(frozen=True, eq=False)
class Line:
    """points (N, 2) [m], yaws (N,) unwrapped, arc_m (N,) from 0, caps_mps (N,): what its bends allow."""

    points: FloatArray
    yaws: FloatArray
    arc_m: FloatArray
    caps_mps: FloatArray

    @classmethod
    def through(cls, points: FloatArray) -> Line:
        steps = np.diff(points, axis=0)
        keep = np.concatenate([[True], np.hypot(*steps.T) > 1e-3])
        points = points[keep]
        if len(points) < 2:
            raise ValueError(f"a line needs at least 2 distinct points, received {len(points)}")
        steps = np.diff(points, axis=0)
        yaws = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*steps.T))])
        yaws = np.concatenate([yaws, yaws[-1:]])
        turn = np.abs(np.interp(arc + 3.0, arc, yaws) - np.interp(arc - 3.0, arc, yaws)) / 6.0
        return cls(points, yaws, arc, np.sqrt(LATERAL_MPS2 / np.maximum(turn, 1e-3)))

    @property
    def length_m(self) -> float:
        return float(self.arc_m[-1])

    def pose_at(self, arc_m: float) -> Pose2D:
        """Beyond its end the line goes straight on."""
        x, y, yaw = (
            float(np.interp(arc_m, self.arc_m, values)) for values in (self.points[:, 0], self.points[:, 1], self.yaws)
        )
        over = max(0.0, arc_m - self.length_m)
        return Pose2D(x + over * math.cos(yaw), y + over * math.sin(yaw), wrap_angle(yaw))

    def project(self, x: float, y: float) -> tuple[float, float]:
        """Arc length of the nearest point, and the offset from it (left positive)."""
        i = int(np.argmin(np.hypot(self.points[:, 0] - x, self.points[:, 1] - y)))
        cos, sin = math.cos(self.yaws[i]), math.sin(self.yaws[i])
        dx, dy = x - self.points[i, 0], y - self.points[i, 1]
        return float(np.clip(self.arc_m[i] + cos * dx + sin * dy, 0.0, self.length_m)), float(cos * dy - sin * dx)

    def cap_mps(self, arc_m: float, ahead_m: float) -> float:
        """The lowest cap from a place to so far ahead."""
        span = (self.arc_m >= arc_m - 1.0) & (self.arc_m <= arc_m + ahead_m)
        return float(self.caps_mps[span].min(initial=math.inf))


def along_route(
    route: Route, start_m: float, end_m: float, left_m: float | Callable[[FloatArray], FloatArray] = 0.0
) -> Line:
    """Beside a route, from one arc length to another. left_m: offset, or offsets at arc lengths (N,)."""
    arcs = np.arange(max(0.0, start_m), max(end_m, start_m + 2.0) + STEP_M / 2.0, STEP_M)
    offsets = left_m(arcs) if callable(left_m) else np.full(len(arcs), left_m)
    yaws = np.interp(arcs, route.arc_m, route.yaws)
    return Line.through(route.points_at(arcs) + offsets[:, None] * np.stack([-np.sin(yaws), np.cos(yaws)], axis=1))


def across_route(route: Route, arc_m: float, from_left_m: float, to_left_m: float) -> Line:
    """Straight over the road at an arc length, from one offset to another."""
    pose = route.pose_at(arc_m)
    offsets = np.linspace(from_left_m, to_left_m, 2 + int(abs(to_left_m - from_left_m)))
    return Line.through(pose.transform_from_local(np.stack([np.zeros(len(offsets)), offsets], axis=1)))


def beside_route(route: Route, arc_m: float, left_m: float, turn_rad: float = 0.0) -> Pose2D:
    pose = route.pose_at(arc_m)
    x, y = pose.transform_from_local(np.array([[0.0, left_m]]))[0]
    return Pose2D(float(x), float(y), wrap_angle(pose.yaw + turn_rad))


def ramp(start_m: float, length_m: float, low: float, high: float) -> Callable[[FloatArray], FloatArray]:
    """Offsets that change smoothly from low to high between start_m and start_m + length_m."""

    def offsets(arcs: FloatArray) -> FloatArray:
        share = np.clip((arcs - start_m) / length_m, 0.0, 1.0)
        return np.asarray(low + (high - low) * (0.5 - 0.5 * np.cos(math.pi * share)))

    return offsets


def along_lanes(graph: LaneGraph, lanes: Sequence[LaneKey]) -> Line:
    return Line.through(np.concatenate([graph.lanes[key].points for key in lanes]))


def extended(graph: LaneGraph, lanes: Sequence[LaneKey], before_m: float, after_m: float) -> list[LaneKey]:
    """The chain with as much road before and behind, always the straightest way."""
    chain, before, after = list(lanes), 0.0, 0.0
    while before < before_m:
        options = [key for key in sorted(graph.graph.predecessors(chain[0])) if key not in chain]
        if not options:
            break
        chain.insert(0, min(options, key=lambda key: abs(turn_of(graph.lanes[key].yaws))))
        before += graph.lanes[chain[0]].length_m
    while after < after_m:
        options = [key for key in graph.successors(chain[-1]) if key not in chain]
        if not options:
            break
        chain.append(min(options, key=lambda key: abs(turn_of(graph.lanes[key].yaws))))
        after += graph.lanes[chain[-1]].length_m
    return chain
