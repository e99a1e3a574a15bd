"""Turns a sketch (junctions at points, streets between them) into a network whose lanes join exactly.

Right-handed OpenDRIVE coordinates, metres; headings in degrees here, as a sketch is easier to read so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from carla_bridge.embedded.towns.curves import Curve, Point
from carla_bridge.embedded.towns.layouts.connectors import Pair, connector, every_way, phases
from carla_bridge.embedded.towns.layouts.cubics import Cubics, constant, hermite, through
from carla_bridge.embedded.towns.layouts.furniture import Control, furnish
from carla_bridge.embedded.towns.layouts.network import Arm, Connector, Junction, Network, Numbers, Road
from carla_bridge.embedded.towns.layouts.profile import Profile
from carla_bridge.embedded.towns.layouts.shapes import winding

STUB_M = 9.0  # straight and level before each junction
HEIGHT_STEP_M = 45.0  # how often a street feels the ground between its ends
KERB_RADIUS_M = 7.5  # of the middle of the lane that turns right

Ground = Callable[[float, float], float]


@dataclass(frozen=True)
class End:
    """Where a street ends: at which junction, in which direction it leaves it, and how it is controlled there."""

    at: str
    heading: float  # degrees, away from the junction
    control: Control = Control.NONE
    crosswalk: bool = False


@dataclass(frozen=True)
class Spot:
    """A junction of the sketch. gap: from the point to where its roads end; None works it out from the turns."""

    name: str
    point: Point
    z: float
    radius: float = KERB_RADIUS_M
    gap: float | None = None


@dataclass(frozen=True)
class Street:
    """A road of the sketch: its curve is made from its ends and the points between, unless it is given."""

    name: str
    start: End
    end: End
    profile: Callable[[float], Profile]  # of the road's length
    speed_kmh: float
    via: tuple[Point, ...] = ()
    curve: Curve | None = None
    height: Callable[[float], Cubics] | None = None  # of the road's length; None follows the ground
    bridge_m: float = 0.0  # length of a bridge in its middle
    crosswalks: tuple[float, ...] = ()  # shares of the length
    kind: str = "town"
    speed_signs: bool = True
    follows: str = ""  # the street that it continues, with no junction between: its start is of no account then


@dataclass(frozen=True)
class Way:
    """A wanted connector: lanes by their place from the middle (1, 2..), side by side, from street to street."""

    at: str
    before: str
    after: str
    lanes: tuple[tuple[int, int], ...] = ((1, 1),)
    kerb: bool = False  # take along what lies outside the last lane
    median: bool = False  # and what lies left of the first
    painted: bool = False  # with lines
    curve: Curve | None = None


@dataclass
class Plan:
    """The sketch while it is drawn."""

    name: str
    ground: Ground
    spots: dict[str, Spot] = field(default_factory=dict)
    streets: dict[str, Street] = field(default_factory=dict)
    ways: list[Way] = field(default_factory=list)

    def spot(self, name: str, x: float, y: float, **more: float) -> None:
        self.spots[name] = Spot(name, (x, y), more.pop("z", self.ground(x, y)), **more)

    def street(self, street: Street) -> None:
        self.streets[street.name] = street

    def way(self, *ways: Way) -> None:
        self.ways.extend(ways)

    def build(self) -> Network:
        numbers = Numbers()
        junction_ids = {name: numbers.next("junction") for name in self.spots}
        road_ids = {name: numbers.next("road") for name in self.streets}
        roads = {name: self._road(street, road_ids, junction_ids, numbers) for name, street in self.streets.items()}
        arms: dict[str, list[Arm]] = {name: [] for name in self.spots}
        for name, road in roads.items():
            if road.before is None:
                arms[self.streets[name].start.at].append(Arm(road, True))
            if road.after is None:
                arms[self.streets[name].end.at].append(Arm(road, False))
        connectors: list[Connector] = []
        for spot in self.spots:
            wanted = [way for way in self.ways if way.at == spot]
            pairs = [_given(way, roads, arms[spot]) for way in wanted] if wanted else every_way(arms[spot])
            connectors += [connector(numbers, junction_ids[spot], pair) for pair in pairs]
        junctions = [Junction(junction_ids[name], name, phases(arms[name])) for name in self.spots]
        return Network(self.name, tuple(roads.values()), tuple(connectors), tuple(junctions))

    def _road(self, street: Street, road_ids: dict[str, int], junction_ids: dict[str, int], numbers: Numbers) -> Road:
        curve = street.curve or winding(
            self._end_pose(street, street.start, inwards=False),
            street.via,
            self._end_pose(street, street.end, inwards=True),
            STUB_M,
        )
        road = Road(
            id=road_ids[street.name],
            name=street.name,
            curve=curve,
            profile=street.profile(curve.length),
            height=(
                street.height(curve.length)
                if street.height
                else self._height(curve, self.spots[street.start.at].z, self.spots[street.end.at].z)
            ),
            start=junction_ids[street.start.at],
            end=junction_ids[street.end.at],
            speed_kmh=street.speed_kmh,
            kind=street.kind,
            bridges=(((curve.length - street.bridge_m) / 2.0, (curve.length + street.bridge_m) / 2.0),)
            if street.bridge_m
            else (),
            before=road_ids[street.follows] if street.follows else None,
            after=next((road_ids[s.name] for s in self.streets.values() if s.follows == street.name), None),
        )
        return furnish(
            road,
            numbers,
            (street.start.control, street.end.control),
            (street.start.crosswalk, street.end.crosswalk),
            tuple(share * curve.length for share in street.crosswalks),
            street.speed_signs,
        )

    def _end_pose(self, street: Street, end: End, *, inwards: bool) -> tuple[Point, float]:
        spot, heading = self.spots[end.at], math.radians(end.heading)
        gap = spot.gap if spot.gap is not None else self._gap(spot, street.name, heading)
        point = spot.point[0] + gap * math.cos(heading), spot.point[1] + gap * math.sin(heading)
        return point, heading + math.pi if inwards else heading

    def _gap(self, spot: Spot, name: str, heading: float) -> float:
        """Far enough out that both neighbours can be turned into with the wanted radius.

        With the lanes' middles a (in by this arm) and b (out by the next one) beside the arms' axes, which open by
        an angle, the lanes cross (b + a cos) / sin from the point, and the arc's tangent adds r / tan(angle / 2)."""
        gap = 5.0
        for other in self.streets.values():
            for end in (other.start, other.end):
                if end.at != spot.name or (other.name == name and abs(end.heading - math.degrees(heading)) < 1e-6):
                    continue
                angle = math.remainder(math.radians(end.heading) - heading, math.tau)
                if math.radians(20.0) < abs(angle) < math.radians(155.0):
                    mine = self._kerb_lane(spot, name, heading, angle > 0.0)
                    theirs = self._kerb_lane(spot, other.name, math.radians(end.heading), angle < 0.0)
                    angle = abs(angle)
                    reach = (theirs + mine * math.cos(angle)) / math.sin(angle)
                    gap = max(gap, reach + spot.radius / math.tan(angle / 2.0))
        return gap

    def _kerb_lane(self, spot: Spot, name: str, heading: float, left: bool) -> float:
        """Distance of the outermost lane's middle from the street's axis, left or right of the way out."""
        street = self.streets[name]
        length = 100.0
        profile = street.profile(length)
        same_heading = abs(math.remainder(math.radians(street.start.heading) - heading, math.tau)) < 1e-6
        at_start = street.start.at == spot.name and same_heading
        sign = 1 if left == at_start else -1
        s = 0.0 if at_start else length
        lanes = profile.driving(sign)
        return profile.inner_edge(lanes[-1], s) + profile.lane(lanes[-1]).width.at(s) / 2.0 if lanes else 0.0

    def _height(self, curve: Curve, start: float, end: float) -> Cubics:
        """Level at the junctions, following the ground in between."""
        length = curve.length
        level = STUB_M
        steps = max(1, round((length - 2.0 * level) / HEIGHT_STEP_M))
        points = [(level, start)]
        for i in range(1, steps):
            s = level + (length - 2.0 * level) * i / steps
            x, y, _ = curve.at(s)
            points.append((s, self.ground(x, y)))
        points.append((length - level, end))
        if all(z == start for _, z in points):
            return constant(start)
        inner = through(points).pieces
        return Cubics(((0.0, start, 0.0, 0.0, 0.0), *inner, (length - level, end, 0.0, 0.0, 0.0)))


def level(z: float) -> Callable[[float], Cubics]:
    return lambda length: constant(z)


def grade(length: float, start: float, end: float, rounding: float) -> Cubics:
    """A steady grade between two levels, rounded with parabolas of this length."""
    slope = (end - start) / (length - rounding)
    rise = slope * rounding / 2.0
    return hermite(
        [(0.0, start, 0.0), (rounding, start + rise, slope), (length - rounding, end - rise, slope), (length, end, 0.0)]
    )


def _given(way: Way, roads: dict[str, Road], arms: Sequence[Arm]) -> Pair:
    incoming = next(arm for arm in arms if arm.road is roads[way.before] and arm.lanes_in)
    outgoing = next(arm for arm in arms if arm.road is roads[way.after] and arm.lanes_out)
    lanes = tuple((incoming.lanes_in[a - 1], outgoing.lanes_out[b - 1]) for a, b in way.lanes)
    return Pair(incoming, outgoing, lanes, way.kerb, way.median, way.painted, way.curve)
