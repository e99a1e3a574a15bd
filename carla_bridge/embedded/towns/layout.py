"""Gridley's road network as a graph: roads, junctions and the connectors that lead through the junctions.

Right-handed OpenDRIVE coordinates (x east, y north). A 4 x 4 grid whose corners are bends and whose other twelve
points are signalised junctions; its second row is an avenue with two lanes a direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from carla_bridge.embedded.towns.curves import Curve, Point, biarc, join, line, turn

LANE_WIDTH_M = 3.5
SIDEWALK_WIDTH_M = 2.0
RIGHT_TURN_RADIUS_M = 7.25  # at the lane's centre, for arms that meet at a right angle
STUB_M = 16.0  # straight approach to each junction: room for the light's trigger box
STOP_LINE_SETBACK_M = 1.0  # centre of the stop line to the end of the road
STREET_KMH = 30.0
AVENUE_KMH = 40.0

# (column, row) -> x, y, rotation of the junction's arms in degrees
JUNCTIONS: dict[tuple[int, int], tuple[float, float, float]] = {
    (1, 0): (-55.0, -158.0, 0.0),
    (2, 0): (64.0, -150.0, -5.0),
    (0, 1): (-166.0, -62.0, 0.0),
    (1, 1): (-52.0, -58.0, 0.0),
    (2, 1): (60.0, -46.0, 6.0),
    (3, 1): (166.0, -44.0, 0.0),
    (0, 2): (-158.0, 54.0, 6.0),
    (1, 2): (-60.0, 50.0, -7.0),
    (2, 2): (52.0, 60.0, 4.0),
    (3, 2): (170.0, 62.0, 0.0),
    (1, 3): (-48.0, 158.0, 5.0),
    (2, 3): (62.0, 166.0, 0.0),
}
AVENUE_ROW = 1
# bends at the town's corners: from junction leaving by arm, to junction arriving by arm, radius
CORNERS: tuple[tuple[tuple[int, int], int, tuple[int, int], int, float], ...] = (
    ((1, 0), 180, (0, 1), 270, 36.0),
    ((2, 0), 0, (3, 1), 270, 48.0),
    ((3, 2), 90, (2, 3), 0, 40.0),
    ((1, 3), 180, (0, 2), 90, 56.0),
)
# links with a wanted detour: metres to the left half-way
DETOURS: dict[tuple[tuple[int, int], tuple[int, int]], float] = {
    ((1, 1), (1, 2)): 2.0,
    ((3, 1), (3, 2)): -4.5,
    ((1, 0), (2, 0)): 6.0,
}


@dataclass(frozen=True)
class Road:
    """A two-way road from junction to junction; lanes -1..-lanes run along the curve, +1..+lanes against it."""

    id: int
    curve: Curve
    lanes: int  # per direction
    start: int  # junction ids
    end: int
    speed_kmh: float

    @cached_property
    def half_width(self) -> float:
        return self.lanes * LANE_WIDTH_M


@dataclass(frozen=True)
class Arm:
    """Where a road meets a junction."""

    road: int
    lanes: int
    road_starts_here: bool
    point: Point  # on the road's reference line
    heading: float  # outwards, away from the junction

    @property
    def contact(self) -> str:
        return "start" if self.road_starts_here else "end"

    def incoming_lane(self, index: int) -> int:
        """OpenDRIVE id of the index-th lane from the middle (1, 2..) that leads into the junction."""
        return index if self.road_starts_here else -index

    def outgoing_lane(self, index: int) -> int:
        return -index if self.road_starts_here else index

    def beside(self, along: float, left: float) -> Point:
        """A point `along` metres outwards and `left` metres to the left of the outward heading."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        return self.point[0] + along * c - left * s, self.point[1] + along * s + left * c


@dataclass(frozen=True)
class Junction:
    """Arms in counter-clockwise order: right turns lead from each arm to the next."""

    id: int
    centre: Point
    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class Connector:
    """A one-lane road through a junction; its reference line is the lane's left edge."""

    id: int
    junction: int
    incoming: Arm
    outgoing: Arm
    from_index: int
    to_index: int
    direction: str  # left, straight, right
    curve: Curve
    kerbside: bool  # its right edge is the junction's kerb, with a sidewalk beyond
    speed_kmh: float


@dataclass(frozen=True)
class Network:
    """The whole layout."""

    roads: tuple[Road, ...]
    junctions: tuple[Junction, ...]
    connectors: tuple[Connector, ...]

    @cached_property
    def road_by_id(self) -> dict[int, Road]:
        return {road.id: road for road in self.roads}


def _junction_id(cell: tuple[int, int]) -> int:
    return 101 + list(JUNCTIONS).index(cell)


def _arm_gap(cell: tuple[int, int], arm: int) -> float:
    """From the junction's centre to the end of the arm's road: leaves room for the right turns."""
    crosses_avenue = cell[1] == AVENUE_ROW and arm in (90, 270)
    return RIGHT_TURN_RADIUS_M + LANE_WIDTH_M * (1.5 if crosses_avenue else 0.5)


def _arm_pose(cell: tuple[int, int], arm: int) -> tuple[Point, float]:
    x, y, rotation = JUNCTIONS[cell]
    heading = math.radians(arm + rotation)
    gap = _arm_gap(cell, arm)
    return (x + gap * math.cos(heading), y + gap * math.sin(heading)), heading


def _link(a: tuple[int, int], arm_a: int, b: tuple[int, int], arm_b: int, radius: float | None) -> Curve:
    (start, out_heading), (end, back_heading) = _arm_pose(a, arm_a), _arm_pose(b, arm_b)
    in_heading = back_heading + math.pi
    first = line(start, out_heading, STUB_M)
    last_start = (end[0] + STUB_M * math.cos(back_heading), end[1] + STUB_M * math.sin(back_heading))
    p = first.at(STUB_M)
    detour = DETOURS.get((a, b), 0.0)
    if radius is not None:
        middle = turn((p[0], p[1]), out_heading, last_start, in_heading, radius)
    elif detour:
        chord = math.atan2(last_start[1] - p[1], last_start[0] - p[0])
        via = (
            (p[0] + last_start[0]) / 2.0 - detour * math.sin(chord),
            (p[1] + last_start[1]) / 2.0 + detour * math.cos(chord),
        )
        middle = join(
            biarc((p[0], p[1]), out_heading, via, chord),
            biarc(via, chord, last_start, in_heading),
        )
    else:
        middle = biarc((p[0], p[1]), out_heading, last_start, in_heading)
    return join(first, middle, line(last_start, in_heading, STUB_M))


def _roads() -> tuple[tuple[Road, ...], dict[int, list[Arm]]]:
    links: list[tuple[tuple[int, int], int, tuple[int, int], int, float | None]] = []
    for column, row in JUNCTIONS:
        if (column + 1, row) in JUNCTIONS:
            links.append(((column, row), 0, (column + 1, row), 180, None))
        if (column, row + 1) in JUNCTIONS:
            links.append(((column, row), 90, (column, row + 1), 270, None))
    links.extend(CORNERS)

    roads: list[Road] = []
    arms: dict[int, list[Arm]] = {_junction_id(cell): [] for cell in JUNCTIONS}
    for number, (a, arm_a, b, arm_b, radius) in enumerate(links, start=1):
        avenue = a[1] == b[1] == AVENUE_ROW
        lanes = 2 if avenue else 1
        start, end = _junction_id(a), _junction_id(b)
        curve = _link(a, arm_a, b, arm_b, radius)
        roads.append(Road(number, curve, lanes, start, end, AVENUE_KMH if avenue else STREET_KMH))
        for cell, arm, junction, starts in ((a, arm_a, start, True), (b, arm_b, end, False)):
            point, heading = _arm_pose(cell, arm)
            arms[junction].append(Arm(number, lanes, starts, point, heading % (2.0 * math.pi)))
    return tuple(roads), arms


def _lane_pairs(direction: str, incoming: Arm, outgoing: Arm) -> list[tuple[int, int]]:
    """Left turns from and to the innermost lane, right turns from and to the outermost, straight on from every lane."""
    if direction == "left":
        return [(1, 1)]
    if direction == "right":
        return [(incoming.lanes, outgoing.lanes)]
    return [(i, min(i, outgoing.lanes)) for i in range(1, incoming.lanes + 1)]


def _connectors(junction: Junction, roads: dict[int, Road], first_id: int) -> list[Connector]:
    found: list[Connector] = []
    count = len(junction.arms)
    for i, incoming in enumerate(junction.arms):
        heading = incoming.heading + math.pi
        for step in range(1, count):
            outgoing = junction.arms[(i + step) % count]
            angle = math.remainder(outgoing.heading - heading, 2.0 * math.pi)
            direction = "left" if angle > math.pi / 4 else "right" if angle < -math.pi / 4 else "straight"
            for from_index, to_index in _lane_pairs(direction, incoming, outgoing):
                start = incoming.beside(0.0, (from_index - 1) * LANE_WIDTH_M)
                end = outgoing.beside(0.0, -(to_index - 1) * LANE_WIDTH_M)
                found.append(
                    Connector(
                        id=first_id + len(found),
                        junction=junction.id,
                        incoming=incoming,
                        outgoing=outgoing,
                        from_index=from_index,
                        to_index=to_index,
                        direction=direction,
                        curve=turn(start, heading, end, outgoing.heading),
                        kerbside=step == 1 and from_index == incoming.lanes,
                        speed_kmh=min(roads[incoming.road].speed_kmh, roads[outgoing.road].speed_kmh),
                    )
                )
    return found


def build_network() -> Network:
    """The layout above as roads, junctions and connectors, every time the same."""
    roads, arms = _roads()
    by_id = {road.id: road for road in roads}
    junctions: list[Junction] = []
    connectors: list[Connector] = []
    for cell, (x, y, _) in JUNCTIONS.items():
        junction_id = _junction_id(cell)
        ordered = tuple(sorted(arms[junction_id], key=lambda arm: arm.heading))
        junctions.append(Junction(junction_id, (x, y), ordered))
        connectors.extend(_connectors(junctions[-1], by_id, 201 + len(connectors)))
    return Network(roads, tuple(junctions), tuple(connectors))
