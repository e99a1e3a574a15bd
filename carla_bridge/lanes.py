"""The lanes of a map as a directed graph, made from the client's `carla.Map` alone: no server needed.
ISO 8855, world frame."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import carla
import networkx as nx
import numpy as np
from scipy.spatial import cKDTree

from bev import FloatArray
from carla_bridge.convert import location_to_carla, pose_from_carla, wrap_angle
from carla_bridge.truth import LaneKey

STEP_M = 1.0  # between two points of a lane
DEFAULT_LIMIT_MPS = 50.0 / 3.6
TRAFFIC_LIGHT_SIGNAL = "1000001"  # OpenDRIVE signal type
_TO_MPS = {"km/h": 1.0 / 3.6, "mph": 0.44704, "m/s": 1.0}


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane of one lane section, in driving direction. points (N, 2), yaws (N,), arc_m (N,) from 0 to its length."""

    key: LaneKey
    points: FloatArray
    yaws: FloatArray
    arc_m: FloatArray
    width_m: float
    speed_limit_mps: float
    junction_id: int  # -1 outside junctions

    @property
    def length_m(self) -> float:
        return float(self.arc_m[-1])


def lane_outlines(lanes: Iterable[Lane], near: FloatArray, within_m: float) -> dict[str, FloatArray]:
    """Name -> (N, 2) polygon of every lane that comes within `within_m` of the points `near` (M, 2)."""
    tree, found = cKDTree(near), {}
    for lane in lanes:
        if tree.query(lane.points)[0].min() <= within_m:
            keep = np.unique([*range(0, len(lane.points), 2), len(lane.points) - 1])
            sideways = np.stack([-np.sin(lane.yaws[keep]), np.cos(lane.yaws[keep])], axis=1) * lane.width_m / 2.0
            left, right = lane.points[keep] + sideways, lane.points[keep] - sideways
            found["/".join(map(str, lane.key))] = np.concatenate([left, right[::-1]])
    return found


def lane_key(waypoint: carla.Waypoint) -> LaneKey:
    return (waypoint.road_id, waypoint.section_id, waypoint.lane_id)


class LaneGraph:
    """lanes: every driving lane that leads on. graph: an edge from a lane to each lane it runs into, changes excluded.
    signalised: lanes that end at a traffic light."""

    def __init__(self, world_map: carla.Map) -> None:
        self.map = world_map
        self.town = world_map.name.split("/")[-1]
        limits = read_speed_limits(world_map.to_opendrive())
        ends: dict[LaneKey, tuple[carla.Waypoint, list[carla.Waypoint]]] = {}
        for start, following in world_map.get_topology():
            ends.setdefault(lane_key(start), (start, []))[1].append(following)
        self._starts = {key: start for key, (start, _) in ends.items()}
        self.lanes: dict[LaneKey, Lane] = {}
        self.graph: nx.DiGraph[LaneKey] = nx.DiGraph()
        for key in sorted(ends):
            start, following = ends[key]
            self.lanes[key] = _trace_lane(start, following[0], limits)
        for key in sorted(ends):
            self.graph.add_node(key)
            for waypoint in sorted(ends[key][1], key=lane_key):
                if lane_key(waypoint) in self.lanes:  # else a dead end
                    self.graph.add_edge(key, lane_key(waypoint), length_m=self.lanes[key].length_m)
        self.signalised = _find_signalised(world_map, self.lanes)

    def locate(self, x: float, y: float) -> tuple[LaneKey, float]:
        """The driving lane nearest to a place, and the arc length along it."""
        waypoint = self.map.get_waypoint(location_to_carla(x, y), lane_type=carla.LaneType.Driving)
        if waypoint is None or lane_key(waypoint) not in self.lanes:
            raise ValueError(f"no driving lane that leads on near x={x:.1f}, y={y:.1f} m in town {self.town}")
        lane = self.lanes[lane_key(waypoint)]
        pose = pose_from_carla(waypoint.transform)
        return lane.key, float(lane.arc_m[np.argmin(np.hypot(*(lane.points - (pose.x, pose.y)).T))])

    def waypoints(self, key: LaneKey, step_m: float) -> list[carla.Waypoint]:
        """A lane's waypoints in driving direction."""
        return _walk(self._starts[key], step_m)

    def successors(self, key: LaneKey) -> list[LaneKey]:
        return sorted(self.graph.successors(key))

    def shortest(self, start: LaneKey, goal: LaneKey) -> list[LaneKey]:
        try:
            return list(nx.shortest_path(self.graph, start, goal, weight="length_m"))
        except nx.NetworkXNoPath as error:
            raise ValueError(f"lane {goal} cannot be reached from lane {start} without a lane change") from error


def read_speed_limits(opendrive: str) -> dict[int, float]:
    """OpenDRIVE road id -> speed limit [m/s], where the file states one."""
    limits: dict[int, float] = {}
    for road in ElementTree.fromstring(opendrive).iter("road"):
        for speed in road.iterfind("type/speed"):
            try:
                limits[int(road.attrib["id"])] = float(speed.attrib["max"]) * _TO_MPS[speed.attrib.get("unit", "m/s")]
            except (KeyError, ValueError):  # "no limit", "undefined", a unit of no known length
                continue
    return limits


def _trace_lane(start: carla.Waypoint, following: carla.Waypoint, limits: dict[int, float]) -> Lane:
    waypoints = _walk(start, STEP_M)
    poses = [pose_from_carla(found.transform).flat for found in waypoints]
    last = pose_from_carla(following.transform).flat
    if math.hypot(last.x - poses[-1].x, last.y - poses[-1].y) < 0.05 and len(poses) > 1:
        poses.pop()
    poses.append(last)
    points = np.array([(pose.x, pose.y) for pose in poses])
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    return Lane(
        lane_key(start),
        points,
        np.unwrap([pose.yaw for pose in poses]),
        arc,
        start.lane_width,
        limits.get(start.road_id, DEFAULT_LIMIT_MPS),
        start.junction_id if start.is_junction else -1,
    )


def _walk(start: carla.Waypoint, step_m: float) -> list[carla.Waypoint]:
    key, waypoints = lane_key(start), [start]
    while True:
        ahead = [found for found in waypoints[-1].next(step_m) if lane_key(found) == key]
        if not ahead:
            return waypoints
        waypoints.append(ahead[0])


def _find_signalised(world_map: carla.Map, lanes: dict[LaneKey, Lane]) -> frozenset[LaneKey]:
    """Lanes outside junctions on whose road a traffic light stands that is valid for them."""
    found: set[LaneKey] = set()
    for landmark in world_map.get_all_landmarks_of_type(TRAFFIC_LIGHT_SIGNAL):
        spans = [(min(span), max(span)) for span in landmark.get_lane_validities()]
        for key, lane in lanes.items():
            if (
                key[0] == landmark.road_id
                and lane.junction_id < 0
                and (not spans or any(low <= key[2] <= high for low, high in spans))
            ):
                found.add(key)
    return frozenset(found)


def turn_of(yaws: Sequence[float] | FloatArray) -> float:
    """Change of heading from the first to the last yaw of a chain [rad], left positive."""
    return wrap_angle(float(yaws[-1]) - float(yaws[0]))
