"""What stands beside and across the roads of a town and never moves: signs that take the right of way, crosswalks,
houses. Asked for once a world. ISO 8855, world frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import carla
import numpy as np
from scipy.spatial import cKDTree

from bev import FloatArray, Pose2D
from carla_bridge.convert import pose_from_carla, wrap_angle
from carla_bridge.lanes import LaneGraph
from carla_bridge.truth import LaneKey, StopLine

STOP_SIGNAL, YIELD_SIGNAL = "206", "205"  # OpenDRIVE signal types
SIGN_TO_LANE_END_M = 25.0  # a sign farther from the end of a lane does not belong to the junction there


@dataclass(frozen=True)
class LaneMatch:
    """A lane that passes a place: arc length there, offset of the place from it (left positive), heading against it."""

    key: LaneKey
    arc_m: float
    side_m: float
    turn_rad: float


@dataclass(frozen=True, eq=False)
class Surroundings:
    """stops, yields: the line at which a lane with such a sign ends. lights: that of every lane that has a light.
    crosswalks: polygons (K, 2). walls: (M, 5) boxes of houses and of cars that belong to the scenery: x, y, yaw, half
    length, half width."""

    graph: LaneGraph
    stops: Mapping[LaneKey, StopLine]
    yields: Mapping[LaneKey, StopLine]
    lights: Mapping[LaneKey, StopLine]
    crosswalks: tuple[FloatArray, ...]
    walls: FloatArray

    @cached_property
    def _index(self) -> tuple[Any, list[LaneKey], FloatArray]:
        lanes = [self.graph.lanes[key] for key in sorted(self.graph.lanes)]
        tree = cKDTree(np.concatenate([lane.points for lane in lanes]))
        rows = np.concatenate(
            [np.stack([np.full(len(lane.points), i), np.arange(len(lane.points))], 1) for i, lane in enumerate(lanes)]
        )
        return tree, [lane.key for lane in lanes], rows

    def on_road(self, points: FloatArray, tolerance_m: float = 0.3) -> bool:
        """Do all of these places (N, 2) lie on some driving lane, whatever its direction?"""
        tree, keys, rows = self._index
        gaps, nearest = tree.query(points)
        widths = np.array([self.graph.lanes[keys[lane]].width_m for lane in rows[nearest, 0]])
        return bool((gaps <= np.hypot(widths / 2.0 + tolerance_m, 0.5)).all())

    def lanes_at(self, pose: Pose2D, within_m: float, turn_rad: float) -> list[LaneMatch]:
        """Lanes that pass within a distance of a place in about its direction, the best fit first."""
        tree, keys, rows = self._index
        nearest: dict[int, tuple[float, int]] = {}
        for row in tree.query_ball_point((pose.x, pose.y), within_m + 0.6):
            lane, point = int(rows[row, 0]), int(rows[row, 1])
            gap = math.dist(tree.data[row], (pose.x, pose.y))
            if lane not in nearest or gap < nearest[lane][0]:
                nearest[lane] = (gap, point)
        found = []
        for number, (_, point) in nearest.items():
            lane_found = self.graph.lanes[keys[number]]
            yaw = float(lane_found.yaws[point])
            dx, dy = pose.x - lane_found.points[point, 0], pose.y - lane_found.points[point, 1]
            side = dy * math.cos(yaw) - dx * math.sin(yaw)
            ahead = dx * math.cos(yaw) + dy * math.sin(yaw)
            turn = wrap_angle(pose.yaw - yaw)
            if abs(side) <= within_m and abs(turn) <= turn_rad:
                arc = float(np.clip(lane_found.arc_m[point] + ahead, 0.0, lane_found.length_m))
                found.append(LaneMatch(lane_found.key, arc, side, turn))
        return sorted(found, key=lambda match: (abs(match.side_m) + 2.0 * abs(match.turn_rad), match.key))


def survey(
    world_map: carla.Map, graph: LaneGraph, stop_lines: tuple[StopLine, ...], world: carla.World | None
) -> Surroundings:
    """world: asked for its houses and parked cars; None: there are none."""
    return Surroundings(
        graph,
        find_stop_signs(world_map, graph),
        _signed_lanes(world_map, graph, YIELD_SIGNAL),
        {line.lane: line for line in stop_lines},
        find_crosswalks(world_map),
        np.zeros((0, 5)) if world is None else _solid_boxes(world),
    )


def find_crosswalks(world_map: carla.Map) -> tuple[FloatArray, ...]:
    """Polygons (K, 2); the client hands out closed outlines one after the other."""
    polygons: list[FloatArray] = []
    outline: list[tuple[float, float]] = []
    for location in world_map.get_crosswalks():
        point = (location.x, -location.y)
        if len(outline) > 2 and math.dist(outline[0], point) < 1e-3:
            polygons.append(np.array(outline))
            outline = []
        else:
            outline.append(point)
    return tuple(polygons)


def find_stop_signs(world_map: carla.Map, graph: LaneGraph) -> dict[LaneKey, StopLine]:
    """The line of every lane that ends at a stop sign."""
    return _signed_lanes(world_map, graph, STOP_SIGNAL)


def _signed_lanes(world_map: carla.Map, graph: LaneGraph, signal: str) -> dict[LaneKey, StopLine]:
    """The lanes outside junctions that end at a junction beside such a sign."""
    found: dict[LaneKey, StopLine] = {}
    for landmark in world_map.get_all_landmarks_of_type(signal):
        spans = [(min(span), max(span)) for span in landmark.get_lane_validities()]
        sign = pose_from_carla(landmark.transform).flat
        for key, lane in graph.lanes.items():
            if key[0] != landmark.road_id or lane.junction_id >= 0:
                continue
            if spans and not any(low <= key[2] <= high for low, high in spans):
                continue
            end = Pose2D(float(lane.points[-1, 0]), float(lane.points[-1, 1]), wrap_angle(float(lane.yaws[-1])))
            into_junction = any(graph.lanes[after].junction_id >= 0 for after in graph.successors(key))
            if into_junction and math.dist((end.x, end.y), (sign.x, sign.y)) < SIGN_TO_LANE_END_M:
                found[key] = StopLine(0, end, lane.width_m, key)
    return found


def _solid_boxes(world: carla.World) -> FloatArray:
    boxes = []
    for kind in (carla.CityObjectLabel.Buildings, carla.CityObjectLabel.Car):
        for thing in world.get_environment_objects(kind):
            box = thing.bounding_box
            pose = pose_from_carla(carla.Transform(box.location, box.rotation)).flat
            boxes.append((pose.x, pose.y, pose.yaw, box.extent.x, box.extent.y))
    return np.array(boxes, np.float64).reshape(-1, 5)
