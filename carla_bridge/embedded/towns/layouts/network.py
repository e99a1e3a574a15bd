"""A road network of any shape: roads, the arms by which they meet junctions, and the connectors through those.

Right-handed OpenDRIVE coordinates (x east, y north), metres, radians. Traffic keeps to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

from carla_bridge.embedded.towns.curves import Curve, Point
from carla_bridge.embedded.towns.layouts.cubics import Cubics
from carla_bridge.embedded.towns.layouts.profile import Lane, Mark, Profile


@dataclass(frozen=True)
class Signal:
    """A light or a sign beside a road, as OpenDRIVE's <signal>."""

    id: int
    name: str
    type: str
    s: float
    t: float
    orientation: str  # "+" governs the traffic along s, "-" that against it
    lanes: tuple[int, int]  # smallest and largest lane id that it governs
    value: float = -1.0
    subtype: str = "-1"
    dynamic: bool = False
    height: float = 0.6
    width: float = 0.6
    z: float = 2.1  # of the sign above the road


@dataclass(frozen=True)
class RoadObject:
    """Something painted on a road, as OpenDRIVE's <object>: a rectangle, or the outline given in its own axes."""

    id: int
    name: str
    type: str
    s: float
    t: float
    heading: float  # against the road's
    length: float  # along the heading
    width: float
    outline: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Road:
    """A road between two junctions, or one of several in a row between them."""

    id: int
    name: str
    curve: Curve
    profile: Profile
    height: Cubics
    start: int  # junction ids
    end: int
    speed_kmh: float
    kind: str = "town"  # OpenDRIVE's road type
    bridges: tuple[tuple[float, float], ...] = ()  # from s, to s
    before: int | None = None  # road that this one continues, instead of a junction at its start
    after: int | None = None
    signals: tuple[Signal, ...] = ()
    objects: tuple[RoadObject, ...] = ()

    @property
    def length(self) -> float:
        return self.curve.length


@dataclass(frozen=True)
class Arm:
    """One end of a road, at a junction."""

    road: Road
    at_start: bool

    @cached_property
    def s(self) -> float:
        return 0.0 if self.at_start else self.road.length

    @cached_property
    def point(self) -> Point:
        x, y, _ = self.road.curve.at(self.s)
        return x, y

    @cached_property
    def heading(self) -> float:
        """Away from the junction."""
        return self.road.curve.at(self.s)[2] + (0.0 if self.at_start else math.pi)

    @property
    def contact(self) -> str:
        return "start" if self.at_start else "end"

    @property
    def sign_in(self) -> int:
        """Sign of the ids of the lanes that lead into the junction."""
        return 1 if self.at_start else -1

    @cached_property
    def lanes_in(self) -> tuple[int, ...]:
        return self.road.profile.driving(self.sign_in)

    @cached_property
    def lanes_out(self) -> tuple[int, ...]:
        return self.road.profile.driving(-self.sign_in)

    def inner_edge(self, lane_id: int) -> float:
        return self.road.profile.inner_edge(lane_id, self.s)

    def width(self, lane_id: int) -> float:
        return self.road.profile.lane(lane_id).width.at(self.s)

    def slope(self, *, outwards: bool) -> float:
        slope = self.road.height.slope(self.s)
        return slope if outwards == self.at_start else -slope

    def beside(self, along: float, left: float) -> Point:
        """A point `along` metres away from the junction and `left` of the outward heading."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        return self.point[0] + along * c - left * s, self.point[1] + along * s + left * c


@dataclass(frozen=True)
class ConnectorLane:
    """A lane through a junction. links: ids of the lanes before and after it, None where there is none."""

    lane: Lane
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Connector:
    """A road through a junction from one arm to another; its reference line is the left edge of its first lane."""

    id: int
    junction: int
    incoming: Arm
    outgoing: Arm
    curve: Curve
    height: Cubics
    right: tuple[ConnectorLane, ...]
    left: tuple[ConnectorLane, ...]
    speed_kmh: float
    middle: Mark

    @property
    def name(self) -> str:
        bend = math.remainder(self.outgoing.heading - self.incoming.heading - math.pi, math.tau)
        direction = "left" if bend > math.pi / 4 else "right" if bend < -math.pi / 4 else "straight"
        return f"{direction}_{self.id}"


@dataclass(frozen=True)
class Junction:
    """controllers: ids of the signals that are green together, one tuple for each phase."""

    id: int
    name: str
    phases: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Network:
    """A whole town's roads."""

    name: str
    roads: tuple[Road, ...]
    connectors: tuple[Connector, ...]
    junctions: tuple[Junction, ...]

    @cached_property
    def road_by_id(self) -> dict[int, Road]:
        return {road.id: road for road in self.roads}


@dataclass
class Numbers:
    """Hands out ids."""

    road: int = 0
    connector: int = 1000
    junction: int = 500
    item: int = field(default=3000)

    def next(self, kind: str) -> int:
        number: int = getattr(self, kind) + 1
        setattr(self, kind, number)
        return number
