"""What an OpenDRIVE file says, as plain dataclasses. Names and meanings are those of ASAM OpenDRIVE 1.4 to 1.8.

Right-handed coordinates: x east, y north, s along a road's reference line, t to its left; metres and radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cubics:
    """A piecewise cubic a + b ds + c ds^2 + d ds^3, ds counted from the start of each piece."""

    starts: Array  # (K,) ascending, K >= 1
    coefficients: Array  # (K, 4) a, b, c, d

    def at(self, s: Array, before: float = math.inf) -> Array:
        """Values at s (N,); at and behind `before` the piece that ends there still holds."""
        index = np.searchsorted(self.starts, np.minimum(s, before - 1e-7), side="right") - 1
        index = np.maximum(index, 0)
        ds = s - self.starts[index]
        a, b, c, d = self.coefficients[index].T
        return np.asarray(a + ds * (b + ds * (c + ds * d)))

    def slope(self, s: Array) -> Array:
        index = np.maximum(np.searchsorted(self.starts, s - 1e-7, side="right") - 1, 0)
        ds = s - self.starts[index]
        _, b, c, d = self.coefficients[index].T
        return np.asarray(b + ds * (2.0 * c + ds * 3.0 * d))

    @property
    def straight(self) -> bool:
        """Whether every piece is a straight line."""
        return not self.coefficients[:, 2:].any()

    @property
    def zero(self) -> bool:
        return not self.coefficients.any()


NOTHING = Cubics(np.zeros(1), np.zeros((1, 4)))


@dataclass(frozen=True)
class Geometry:
    """One piece of a reference line. kind: line, arc, spiral, poly3 or paramPoly3.

    parameters: arc (curvature); spiral (curvature at start, at end); poly3 (a, b, c, d);
    paramPoly3 (aU, bU, cU, dU, aV, bV, cV, dV, largest p).
    """

    kind: str
    s: float
    x: float
    y: float
    heading: float
    length: float
    parameters: tuple[float, ...] = ()


@dataclass(frozen=True)
class MarkLine:
    """One painted line of a road mark. space 0: unbroken."""

    length: float
    space: float
    t_offset: float
    width: float


@dataclass(frozen=True)
class RoadMark:
    """Paint on a lane's outer border from s (along the road) to the next mark."""

    s: float
    kind: str  # "solid", "broken", "solid solid" and so on
    colour: str
    width: float
    lines: tuple[MarkLine, ...] = ()  # where the file spells them out


@dataclass(frozen=True)
class Lane:
    id: int
    kind: str  # "driving", "sidewalk" and so on
    width: Cubics | None  # over s along the road
    border: Cubics | None  # t of the outer border, instead of a width
    marks: tuple[RoadMark, ...]
    heights: tuple[tuple[float, float, float], ...]  # s, inner, outer [m] above the road
    speed_kmh: float | None
    predecessor: int | None
    successor: int | None


@dataclass(frozen=True)
class Section:
    s: float
    end: float
    lanes: tuple[Lane, ...]  # by ascending id, the centre lane 0 included

    def lane(self, lane_id: int) -> Lane | None:
        return next((lane for lane in self.lanes if lane.id == lane_id), None)


@dataclass(frozen=True)
class Link:
    """What a road's end is joined to. contact: "start" or "end" of a road; "" for a junction."""

    to_junction: bool
    id: str
    contact: str


@dataclass(frozen=True)
class Signal:
    """A <signal>, or a <signalReference> (then only where and for whom it holds means anything)."""

    id: str
    road: str
    s: float
    t: float
    z_offset: float = 0.0
    orientation: str = "none"  # "+", "-" or "none"
    dynamic: bool = False
    type: str = ""
    subtype: str = ""
    value: float | None = None
    unit: str = ""
    validity: tuple[tuple[int, int], ...] = ()  # lane ids from, to


@dataclass(frozen=True)
class RoadObject:
    """An <object>; `places.object_outline` puts its corners into the world."""

    id: str
    kind: str
    name: str
    s: float
    t: float
    z_offset: float
    heading: float  # relative to the road
    orientation: str
    length: float
    width: float
    local: tuple[tuple[float, float, float], ...] = ()  # cornerLocal u, v, z
    road_corners: tuple[tuple[float, float, float], ...] = ()  # cornerRoad s, t, dz


@dataclass(frozen=True)
class Road:
    id: str
    name: str
    length: float
    junction: str  # "-1": none
    left_hand_traffic: bool
    predecessor: Link | None
    successor: Link | None
    geometry: tuple[Geometry, ...]
    elevation: Cubics
    superelevation: Cubics  # [rad], positive falls to the right
    crossfall_left: Cubics  # [rad], positive falls outwards
    crossfall_right: Cubics
    lane_offset: Cubics
    sections: tuple[Section, ...]
    speed_kmh: float | None
    signals: tuple[Signal, ...] = ()
    references: tuple[Signal, ...] = ()
    objects: tuple[RoadObject, ...] = ()

    @property
    def in_junction(self) -> bool:
        return self.junction != "-1"

    def forwards(self, lane_id: int) -> bool:
        """Whether traffic on the lane goes with s."""
        return (lane_id < 0) != self.left_hand_traffic


@dataclass(frozen=True)
class Connection:
    incoming: str
    connecting: str
    contact: str
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Junction:
    id: str
    connections: tuple[Connection, ...]
    controllers: tuple[str, ...]  # in order of their sequence


@dataclass(frozen=True)
class Network:
    roads: tuple[Road, ...]
    junctions: tuple[Junction, ...]
    controllers: dict[str, tuple[str, ...]] = field(default_factory=dict)  # controller -> signal ids

    def road(self, road_id: str) -> Road | None:
        return self._by_id().get(road_id)

    def _by_id(self) -> dict[str, Road]:
        found: dict[str, Road] | None = self.__dict__.get("_roads")
        if found is None:
            found = {road.id: road for road in self.roads}
            object.__setattr__(self, "_roads", found)
        return found
