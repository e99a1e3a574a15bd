"""Traffic lights: which approach each one governs, where it hangs, and the pole and mast arm that carry it.

Far-side lights as in North America: the head hangs behind the junction in line with the lanes it governs, so the
driver who waits at the stop line still sees it. Right-handed OpenDRIVE coordinates until `placement`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from carla_bridge.embedded.towns.curves import Point
from carla_bridge.embedded.towns.layout import LANE_WIDTH_M, STOP_LINE_SETBACK_M, Arm, Junction, Network
from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.types import Box, Label, Pose, TrafficLightPlacement

HEAD_HEIGHT_M = 5.2  # centre of the housing
POLE_HEIGHT_M = 6.1
POLE_RADIUS_M = 0.11
POLE_KERB_GAP_M = 0.9
ARM_BEHIND_HEAD_M = 0.3
TRIGGER_LENGTH_M = 12.0  # before the stop line
STOP_LINE_WIDTH_M = 0.5
FAR_SIDE_WITHOUT_ARM_M = 10.5  # from the junction's centre, where the road ends in a T
POLE_GREY = (0.30, 0.31, 0.32)


@dataclass(frozen=True)
class Approach:
    """One arm of a junction with the light that governs it."""

    junction: int
    arm: Arm
    phase: int
    s: float  # of the signal on the incoming road
    t: float
    head: Point
    head_heading: float  # where the lamps shine
    pole: Point

    @property
    def signal_id(self) -> str:
        return str(self.junction * 10 + self.phase)

    @property
    def controller_id(self) -> int:
        return self.junction * 10 + self.phase


def _far_side(junction: Junction, arm: Arm) -> tuple[Point, Point]:
    """Head and pole of the light that faces `arm`."""
    half_width = arm.lanes * LANE_WIDTH_M
    to_junction = arm.heading + math.pi
    for far in junction.arms:
        if abs(math.remainder(far.heading - to_junction, 2.0 * math.pi)) < math.pi / 4:
            along = 1.0
            return (
                far.beside(along, -half_width / 2.0),
                far.beside(along + ARM_BEHIND_HEAD_M, -(half_width + POLE_KERB_GAP_M)),
            )
    along = -(math.dist(arm.point, junction.centre) + FAR_SIDE_WITHOUT_ARM_M)
    return (
        arm.beside(along, half_width / 2.0),
        arm.beside(along - ARM_BEHIND_HEAD_M, half_width + POLE_KERB_GAP_M),
    )


def place_lights(network: Network) -> tuple[Approach, ...]:
    """One light for every approach; each approach of a junction is a phase of its own."""
    approaches = []
    for junction in network.junctions:
        for phase, arm in enumerate(junction.arms):
            road = network.road_by_id[arm.road]
            head, pole = _far_side(junction, arm)
            side = 1.0 if arm.road_starts_here else -1.0  # incoming lanes lie left of the line where the road starts
            approaches.append(
                Approach(
                    junction=junction.id,
                    arm=arm,
                    phase=phase,
                    s=STOP_LINE_SETBACK_M if arm.road_starts_here else road.curve.length - STOP_LINE_SETBACK_M,
                    t=side * (road.half_width + POLE_KERB_GAP_M),
                    head=head,
                    head_heading=arm.heading,
                    pole=pole,
                )
            )
    return tuple(approaches)


def stop_line(arm: Arm) -> list[Point]:
    """Corners of the painted line, counter-clockwise."""
    near, far = STOP_LINE_SETBACK_M + STOP_LINE_WIDTH_M / 2.0, STOP_LINE_SETBACK_M - STOP_LINE_WIDTH_M / 2.0
    inner, outer = 0.35, arm.lanes * LANE_WIDTH_M - 0.35
    return [arm.beside(far, inner), arm.beside(near, inner), arm.beside(near, outer), arm.beside(far, outer)]


def _pose(point: Point, z: float, heading: float) -> Pose:
    """OpenDRIVE -> CARLA."""
    return Pose(x=point[0], y=-point[1], z=z, yaw=-math.degrees(math.remainder(heading, 2.0 * math.pi)))


def placement(approach: Approach) -> TrafficLightPlacement:
    """What the world needs to run and draw the light. The trigger box reaches from 12 m before the stop line to the
    junction's edge, so that a car which overshoots the line a little is still held."""
    arm = approach.arm
    length = TRIGGER_LENGTH_M + STOP_LINE_SETBACK_M + STOP_LINE_WIDTH_M / 2.0
    half_width = arm.lanes * LANE_WIDTH_M / 2.0
    centre = arm.beside(length / 2.0, half_width)
    return TrafficLightPlacement(
        signal_id=approach.signal_id,
        pole=_pose(approach.pole, 0.0, approach.head_heading),
        head=_pose(approach.head, HEAD_HEIGHT_M, approach.head_heading),
        trigger=Box(_pose(centre, 1.5, arm.heading + math.pi), (length / 2.0, half_width - 0.2, 1.5)),
        group=approach.junction,
        phase=approach.phase,
    )


def pole_solid(approach: Approach) -> Box:
    half = POLE_HEIGHT_M / 2.0
    return Box(_pose(approach.pole, half, approach.head_heading), (POLE_RADIUS_M, POLE_RADIUS_M, half), Label.POLES)


def add_pole(builder: MeshBuilder, approach: Approach) -> None:
    """Pole on the sidewalk, mast arm behind the head, and a bracket that holds the head."""
    builder.prism(approach.pole, 0.0, POLE_HEIGHT_M, POLE_RADIUS_M * 1.1, POLE_RADIUS_M, 7, POLE_GREY, Label.POLES)
    c, s = math.cos(approach.head_heading), math.sin(approach.head_heading)
    end = (approach.head[0] - ARM_BEHIND_HEAD_M * c, approach.head[1] - ARM_BEHIND_HEAD_M * s)
    half = math.dist(end, approach.pole) / 2.0
    middle = ((end[0] + approach.pole[0]) / 2.0, (end[1] + approach.pole[1]) / 2.0)
    z = HEAD_HEIGHT_M + 0.3
    builder.box(middle, z, approach.head_heading, (0.06, half + 0.1, 0.07), POLE_GREY, Label.POLES)
    bracket = (approach.head[0] - 0.2 * c, approach.head[1] - 0.2 * s)
    builder.box(bracket, z, approach.head_heading, (0.1, 0.05, 0.05), POLE_GREY, Label.POLES)
