"""What the world knows and the network must not: every actor, every light.

Only the expert, the labels, the criteria, the roadside units and a test may look in here. ISO 8855, world frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import carla
import numpy as np

from bev import FloatArray, Pose2D
from carla_bridge.convert import pose_from_carla, turn_rates_from_carla, vector_from_carla

LaneKey = tuple[int, int, int]  # OpenDRIVE road, lane section, lane


class LightColour(IntEnum):
    """carla.TrafficLightState, by value."""

    RED = 0
    YELLOW = 1
    GREEN = 2
    OFF = 3
    UNKNOWN = 4


@dataclass(frozen=True)
class Body:
    """A vehicle, a walker or a prop that somebody put there, as a box on the ground."""

    actor_id: int
    type_id: str
    pose: Pose2D  # of the box centre
    speed_mps: float  # along its heading, backwards negative
    yaw_rate_rps: float
    half_length_m: float
    half_width_m: float
    height_m: float
    z_m: float = 0.0  # of the box's bottom
    velocity_mps: tuple[float, float] = (0.0, 0.0)  # over ground, in the world's axes

    def corners(self) -> FloatArray:
        """(4, 2) world corners: front left, front right, rear right, rear left."""
        length, width = self.half_length_m, self.half_width_m
        return self.pose.transform_from_local(
            np.array([[length, width], [length, -width], [-length, -width], [-length, width]])
        )


@dataclass(frozen=True)
class StopLine:
    """Where one lane must wait for its light. pose: lane centre on the line, yaw in driving direction."""

    light_id: int
    pose: Pose2D
    width_m: float
    lane: LaneKey


@dataclass(frozen=True)
class Contact:
    """A collision of the ego as its sensor felt it. other_id 0 or other_type "static...": the scenery."""

    other_id: int
    other_type: str
    impulse: float  # [N s]


@dataclass(frozen=True)
class ScenarioFault:
    """What a scenario has against the ego. kind: name of the infraction in a Leaderboard results file."""

    kind: str
    actor_id: int  # 0 for none
    detail: str


@dataclass(frozen=True)
class Truth:
    """The whole world at one tick. others: sorted by actor id, without the ego."""

    frame_id: int
    time_s: float
    ego: Body
    others: tuple[Body, ...]
    lights: Mapping[int, LightColour]  # actor id -> colour
    contacts: tuple[Contact, ...]  # since the tick before
    faults: tuple[ScenarioFault, ...] = ()  # likewise


class TruthReader:
    """Reads `Truth` from a client's latest snapshot; boxes are asked for once per actor."""

    def __init__(self, world: carla.World) -> None:
        self._world = world
        self._boxes: dict[int, carla.BoundingBox] = {}

    def box(self, actor: carla.Actor) -> carla.BoundingBox:
        if actor.id not in self._boxes:
            self._boxes[actor.id] = actor.bounding_box
        return self._boxes[actor.id]

    def body(self, actor: carla.Actor) -> Body:
        pose, box = pose_from_carla(actor.get_transform()), self.box(actor)
        cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
        ahead, left = box.location.x, -box.location.y
        vx, vy, _ = vector_from_carla(actor.get_velocity())
        *_, yaw_rate_dps = turn_rates_from_carla(actor.get_angular_velocity())
        return Body(
            actor_id=actor.id,
            type_id=actor.type_id,
            pose=Pose2D(pose.x + cos * ahead - sin * left, pose.y + sin * ahead + cos * left, pose.yaw),
            speed_mps=vx * cos + vy * sin,
            yaw_rate_rps=math.radians(yaw_rate_dps),
            half_length_m=box.extent.x,
            half_width_m=box.extent.y,
            height_m=2.0 * box.extent.z,
            z_m=pose.z + box.location.z - box.extent.z,
            velocity_mps=(vx, vy),
        )

    def read(self, ego: carla.Vehicle, contacts: tuple[Contact, ...], frame_id: int, time_s: float) -> Truth:
        actors = sorted(self._world.get_actors(), key=lambda actor: actor.id)
        others = tuple(
            self.body(actor)
            for actor in actors
            if actor.id != ego.id and actor.type_id.startswith(("vehicle.", "walker.", "static.prop."))
        )
        lights = {
            actor.id: LightColour(int(actor.state))
            for actor in actors
            if actor.type_id.startswith("traffic.traffic_light")
        }
        return Truth(frame_id, time_s, self.body(ego), others, lights, contacts)


def find_stop_lines(world: carla.World, world_map: carla.Map, reach_m: float = 25.0) -> tuple[StopLine, ...]:
    """The stop line of every lane that a light governs: the last point before the junction of the lanes that run
    through the light's trigger volume. The volume's own axes differ between CARLA towns, so it is sampled in both."""
    lines: list[StopLine] = []
    for light in sorted(world.get_actors().filter("traffic.traffic_light*"), key=lambda actor: actor.id):
        volume, at = light.trigger_volume, light.get_transform()
        seen: set[LaneKey] = set()
        for u in _samples(volume.extent.x):
            for v in _samples(volume.extent.y):
                place = at.transform(_in_volume(volume, u, v))
                waypoint = world_map.get_waypoint(place, project_to_road=False, lane_type=carla.LaneType.Driving)
                if waypoint is None or waypoint.is_junction:
                    continue
                key = (waypoint.road_id, waypoint.section_id, waypoint.lane_id)
                if key in seen:
                    continue
                seen.add(key)
                last = _last_before_junction(waypoint, reach_m)
                if last is not None:
                    lines.append(
                        StopLine(
                            light.id,
                            pose_from_carla(last.transform).flat,
                            last.lane_width,
                            (last.road_id, last.section_id, last.lane_id),
                        )
                    )
    return tuple(lines)


def _samples(half: float) -> list[float]:
    count = max(1, round(2.0 * half / 0.7))
    return [float(x) for x in np.linspace(-0.9 * half, 0.9 * half, count)]


def _in_volume(volume: carla.BoundingBox, u: float, v: float) -> carla.Location:
    yaw = math.radians(volume.rotation.yaw)
    return carla.Location(
        x=volume.location.x + u * math.cos(yaw) - v * math.sin(yaw),
        y=volume.location.y + u * math.sin(yaw) + v * math.cos(yaw),
        z=volume.location.z,
    )


def _last_before_junction(waypoint: carla.Waypoint, reach_m: float, step_m: float = 0.2) -> carla.Waypoint | None:
    travelled = 0.0
    while travelled < reach_m:
        ahead = waypoint.next(step_m)
        if not ahead:
            return None
        if ahead[0].is_junction:
            return waypoint
        waypoint, travelled = ahead[0], travelled + step_m
    return None
