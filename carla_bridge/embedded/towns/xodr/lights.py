"""Traffic lights of any network: where each one hangs, whom it holds, and which are green together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely

from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.towns.signals import HEAD_HEIGHT_M, POLE_GREY, POLE_HEIGHT_M, POLE_RADIUS_M
from carla_bridge.embedded.towns.xodr.approaches import Approach, Frame, LaneEnd, governed, is_light
from carla_bridge.embedded.towns.xodr.areas import union
from carla_bridge.embedded.towns.xodr.model import Network, Signal
from carla_bridge.embedded.types import Box, Label, Pose, TrafficLightPlacement

TRIGGER_LENGTH_M = 12.0  # before the stop line
SETBACK_M = 1.0  # middle of the stop line to the end of the lanes
LOW_HEAD_M = 3.3  # a head on its pole
AHEAD_TO_SEE_M = 3.5  # of the stop line, for a driver who waits there
BEHIND_M, BEYOND_M, ASIDE_M = 8.0, 60.0, 26.0  # a file's position farther from the stop line than this is not used
FAR_SIDE_M = 6.0  # farther ahead: the light hangs over the lanes it rules
LONGEST_ARM_M = 9.5
ARM_BEHIND_HEAD_M = 0.3
KERB_GAP_M = 0.9
ACROSS_LONGEST_M = 45.0

GroundZ = Callable[[float, float, float], float]  # x, y, near z


@dataclass(frozen=True)
class Light:
    """A light before it becomes a placement; right-handed coordinates."""

    signal: Signal
    approach: Approach
    frame: Frame
    setback: float  # of the stop line
    pole: tuple[float, float, float] | None  # its foot; None: nothing to stand on
    head: tuple[float, float, float]


def pose_of(x: float, y: float, z: float, heading: float) -> Pose:
    """OpenDRIVE -> CARLA."""
    return Pose(x=x, y=-y, z=z, yaw=-math.degrees(math.remainder(heading, math.tau)))


def find_lights(network: Network) -> list[tuple[Signal, Approach]]:
    references: dict[str, list[Signal]] = defaultdict(list)
    for road in network.roads:
        for reference in road.references:
            references[reference.id].append(reference)
    found = []
    for road in network.roads:
        for signal in road.signals:
            if is_light(signal):
                approach = governed(network, signal, references[signal.id], to_junction=True)
                if approach is not None:
                    found.append((signal, approach))
    return found


def beside_road(frame: Frame, ahead: float, driven: shapely.Geometry, side: float = -1.0) -> float | None:
    """How far to one side of the frame (left > 0) the lanes end, `ahead` metres beyond its origin."""
    for off in np.arange(0.5, 26.0, 0.5):
        if not driven.contains(shapely.Point(frame.at(ahead, side * off))):
            return float(side * (off + KERB_GAP_M - 0.5))
    return None


def far_side(frame: Frame, driven: shapely.Geometry) -> float | None:
    """How far ahead the far side of the junction is: where the lanes end, or where there is room beside them again."""
    ahead = np.arange(FAR_SIDE_M, ACROSS_LONGEST_M, 1.0)
    inside = shapely.contains_xy(driven, *np.array([frame.at(float(a), 0.0) for a in ahead]).T)
    right = -(frame.half_width + 2.5)
    beside = shapely.contains_xy(driven, *np.array([frame.at(float(a), right) for a in ahead]).T)
    crossed = np.maximum.accumulate(beside)  # the crossing road has been met
    ends = np.flatnonzero(~inside | (crossed & ~beside))
    return float(ahead[ends[0]]) + 1.0 if len(ends) else None


def hang(
    signal: Signal,
    approach: Approach,
    frame: Frame,
    position: tuple[float, float],
    driven: shapely.Geometry,
    ground: GroundZ,
    setback: float,
    far_m: float | None,
) -> Light:
    """The file's position where it makes sense. far_m: hang it this far beyond the stop instead."""
    ahead, left = frame.local(*position)
    if not (-BEHIND_M < ahead < BEYOND_M and abs(left) < ASIDE_M):
        ahead, left = 0.0, -(frame.half_width + KERB_GAP_M)
    z = float(frame.origin[2])
    if far_m is not None and ahead < FAR_SIDE_M:
        side = beside_road(frame, far_m, driven)
        if side is not None and -side <= LONGEST_ARM_M:
            ahead, left = far_m, side
    if driven.contains(shapely.Point(frame.at(ahead, left))):  # over the lanes: the pole stands beside them
        offsets = [beside_road(frame, ahead, driven, side) for side in (-1.0, 1.0)]
        reachable = [off for off in offsets if off is not None and abs(off - left) < 1.8 * LONGEST_ARM_M]
        head_xy = frame.at(ahead, left)
        pole = frame.at(ahead + ARM_BEHIND_HEAD_M, reachable[0]) if reachable else None
        low = False
    else:
        pole = frame.at(ahead, left)
        low = ahead < FAR_SIDE_M or abs(left) > 1.6 * LONGEST_ARM_M
        target = 0.0 if abs(left) <= LONGEST_ARM_M else left - math.copysign(LONGEST_ARM_M, left)
        head_xy = frame.at(ahead - ARM_BEHIND_HEAD_M, left if low else target)
    if ahead < FAR_SIDE_M:
        setback = max(setback, min(AHEAD_TO_SEE_M - ahead, 12.0))
    foot = None if pole is None else (*pole, ground(*pole, z))
    road_z = z if foot is None else foot[2]
    head_z = road_z + LOW_HEAD_M if low else max(road_z, z) + HEAD_HEIGHT_M
    return Light(signal, approach, frame, setback, foot, (*head_xy, head_z))


def phases(
    network: Network, lights: list[Light], paths: dict[LaneEnd, list[shapely.Geometry]]
) -> dict[tuple[str, str], int]:
    """(junction, incoming road) -> phase. Approaches share one only where the file's controller joins them and no
    path of one crosses a path of the other."""
    controller_of: dict[str, str] = {}
    for controller, signals in network.controllers.items():
        for signal in signals:
            controller_of.setdefault(signal, controller)
    order = {c: i for junction in network.junctions for i, c in enumerate(junction.controllers)}
    members: dict[str, dict[str, list[Light]]] = defaultdict(lambda: defaultdict(list))
    for light in lights:
        if light.approach.junction is not None:
            members[light.approach.junction][light.approach.road].append(light)
    found: dict[tuple[str, str], int] = {}
    for junction, roads in members.items():
        ranks = {
            road: min((order.get(controller_of.get(k.signal.id, ""), 1 << 20), i) for i, k in enumerate(group))
            for road, group in roads.items()
        }
        shared: list[tuple[set[str], shapely.Geometry]] = []  # controllers and swept area of each phase
        for road in sorted(roads, key=lambda r: (ranks[r], r)):
            group = roads[road]
            names = {controller_of[k.signal.id] for k in group if k.signal.id in controller_of}
            swept = _swept(group, paths)
            for number, (others, area) in enumerate(shared):
                if names and names == others and not swept.intersects(area):
                    found[junction, road] = number
                    shared[number] = (others, union([area, swept]))
                    break
            else:
                found[junction, road] = len(shared)
                shared.append((names, swept))
    return found


def _swept(group: list[Light], paths: dict[LaneEnd, list[shapely.Geometry]]) -> shapely.Geometry:
    ends = {LaneEnd(k.approach.road, lane, k.approach.at_end) for k in group for lane in k.approach.lanes}
    order = sorted(ends, key=lambda e: e.lane)
    return union([path for end in order for path in paths.get(end, [])])


def placement(light: Light, group: int, phase: int) -> TrafficLightPlacement:
    """The trigger reaches from 12 m before the stop line to the junction's edge, so that a car which overshoots the
    line a little is still held."""
    frame = light.frame
    back = min(TRIGGER_LENGTH_M + light.setback, max(frame.straight_m, light.setback + 4.0))
    centre = frame.at(-back / 2.0, 0.0)
    shining = frame.heading + math.pi
    foot = light.pole if light.pole is not None else (*light.head[:2], float(frame.origin[2]))
    return TrafficLightPlacement(
        signal_id=light.signal.id,
        pole=pose_of(*foot, shining),
        head=pose_of(*light.head, shining),
        trigger=Box(
            pose_of(*centre, float(frame.origin[2]) + 1.5, frame.heading),
            (back / 2.0, max(frame.half_width - 0.2, 0.8), 1.5),
        ),
        group=group,
        phase=phase,
    )


def stop_line(light_frame: Frame, setback: float, width: float = 0.5) -> list[tuple[float, float]]:
    """Corners of the painted line across the governed lanes."""
    inner = light_frame.half_width - 0.3
    near, far = -setback - width / 2.0, -setback + width / 2.0
    return [
        light_frame.at(near, -inner),
        light_frame.at(far, -inner),
        light_frame.at(far, inner),
        light_frame.at(near, inner),
    ]


def add_light_post(builder: MeshBuilder, light: Light) -> Box | None:
    """Pole, and an arm to the head where it does not hang on the pole itself. Returns what can be hit."""
    if light.pole is None:
        return None
    x, y, z = light.pole
    top = max(POLE_HEIGHT_M + z if light.head[2] - z > LOW_HEAD_M + 0.5 else z + LOW_HEAD_M + 0.9, light.head[2] + 0.8)
    builder.prism((x, y), z - 0.3, top, POLE_RADIUS_M * 1.1, POLE_RADIUS_M, 7, POLE_GREY, Label.POLES)
    c, s = math.cos(light.frame.heading), math.sin(light.frame.heading)
    end = (light.head[0] + ARM_BEHIND_HEAD_M * c, light.head[1] + ARM_BEHIND_HEAD_M * s)
    reach = math.dist(end, (x, y))
    z_arm = light.head[2] + 0.3
    if reach > 0.3:
        middle = ((end[0] + x) / 2.0, (end[1] + y) / 2.0)
        turn = math.atan2(y - end[1], x - end[0])
        builder.box(middle, z_arm, turn, (reach / 2.0 + 0.1, 0.06, 0.07), POLE_GREY, Label.POLES)
    bracket = (light.head[0] + 0.2 * c, light.head[1] + 0.2 * s)
    builder.box(bracket, z_arm, light.frame.heading, (0.1, 0.05, 0.05), POLE_GREY, Label.POLES)
    half = (top - z) / 2.0
    return Box(pose_of(x, y, z + half, light.frame.heading), (POLE_RADIUS_M, POLE_RADIUS_M, half), Label.POLES)
