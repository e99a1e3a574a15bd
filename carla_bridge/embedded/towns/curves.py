"""Plane curves made of lines and circular arcs, tangent-continuous by construction.

Right-handed OpenDRIVE coordinates: x east, y north, headings in radians counter-clockwise from x.
Lines and arcs only, because their arc length is exact: OpenDRIVE's s, the drawn mesh and the client's waypoints agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Point = tuple[float, float]

CHORD_ERROR_M = 0.02  # how far a drawn polyline may leave its arc
LONGEST_STEP_M = 12.0


@dataclass(frozen=True)
class Segment:
    """A line (curvature 0) or an arc (curvature > 0 turns left), as OpenDRIVE's <geometry>."""

    x: float
    y: float
    heading: float
    length: float
    curvature: float

    def at(self, s: float) -> tuple[float, float, float]:
        """(x, y, heading) after s metres."""
        if self.curvature == 0.0:
            return self.x + s * math.cos(self.heading), self.y + s * math.sin(self.heading), self.heading
        end = self.heading + s * self.curvature
        radius = 1.0 / self.curvature
        return (
            self.x + radius * (math.sin(end) - math.sin(self.heading)),
            self.y - radius * (math.cos(end) - math.cos(self.heading)),
            end,
        )


@dataclass(frozen=True)
class Curve:
    """Segments laid end to end."""

    segments: tuple[Segment, ...]

    @cached_property
    def length(self) -> float:
        return sum(segment.length for segment in self.segments)

    @cached_property
    def tightest_radius(self) -> float:
        """The smallest radius [m], inf for a straight curve."""
        return min((1.0 / abs(p.curvature) if p.curvature else math.inf for p in self.segments), default=math.inf)

    def at(self, s: float) -> tuple[float, float, float]:
        """(x, y, heading) at s, clamped to the curve."""
        s = min(max(s, 0.0), self.length)
        for segment in self.segments[:-1]:
            if s <= segment.length:
                return segment.at(s)
            s -= segment.length
        return self.segments[-1].at(s)

    def stations(self) -> Array:
        """Values of s that draw the curve within CHORD_ERROR_M, both ends included."""
        stations = [0.0]
        start = 0.0
        for segment in self.segments:
            step = LONGEST_STEP_M
            if segment.curvature:
                step = min(step, math.sqrt(8.0 * CHORD_ERROR_M / abs(segment.curvature)))
            count = max(1, math.ceil(segment.length / step))
            stations.extend(start + segment.length * (i + 1) / count for i in range(count))
            start += segment.length
        return np.array(stations)

    def offset(self, stations: Sequence[float] | Array, left: float) -> Array:
        """(N, 2) points `left` metres to the left of the curve."""
        points = np.empty((len(stations), 2))
        for i, s in enumerate(stations):
            x, y, heading = self.at(float(s))
            points[i] = x - left * math.sin(heading), y + left * math.cos(heading)
        return points


def line(start: Point, heading: float, length: float) -> Curve:
    return Curve((Segment(start[0], start[1], heading, length, 0.0),))


def join(*curves: Curve) -> Curve:
    """Curves end to end, empty pieces dropped."""
    return Curve(tuple(p for curve in curves for p in curve.segments if p.length > 1e-6))


def arc_to(start: Point, heading: float, end: Point) -> Segment:
    """The arc that leaves `start` along `heading` and passes through `end`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    ahead = dx * math.cos(heading) + dy * math.sin(heading)
    aside = dy * math.cos(heading) - dx * math.sin(heading)
    chord_squared = dx * dx + dy * dy
    curvature = 2.0 * aside / chord_squared
    if abs(curvature) < 1e-7:
        return Segment(start[0], start[1], heading, math.sqrt(chord_squared), 0.0)
    return Segment(start[0], start[1], heading, 2.0 * math.atan2(aside, ahead) / curvature, curvature)


def biarc(start: Point, start_heading: float, end: Point, end_heading: float) -> Curve:
    """Two arcs from pose to pose with equal tangent lengths.

    With control points q1 = start + d t0 and q2 = end - d t1 the arcs join smoothly in the middle of q1 q2 when
    |q2 - q1| = 2 d, a quadratic in d; this is the root that stays finite for parallel headings.
    """
    t0 = np.array([math.cos(start_heading), math.sin(start_heading)])
    t1 = np.array([math.cos(end_heading), math.sin(end_heading)])
    p0, p1 = np.array(start), np.array(end)
    v, t = p1 - p0, t0 + t1
    d = float(v @ v / (v @ t + math.sqrt((v @ t) ** 2 + (4.0 - t @ t) * (v @ v))))
    middle = (p0 + d * t0 + p1 - d * t1) / 2.0
    first = arc_to(start, start_heading, (float(middle[0]), float(middle[1])))
    middle_heading = first.heading + first.length * first.curvature
    return join(Curve((first, arc_to((float(middle[0]), float(middle[1])), middle_heading, end))))


def turn(start: Point, start_heading: float, end: Point, end_heading: float, radius: float = math.inf) -> Curve:
    """Line, arc, line from pose to pose, with the largest arc that fits (but at most `radius`);
    a biarc where the two tangents do not meet ahead."""
    angle = math.remainder(end_heading - start_heading, 2.0 * math.pi)
    if abs(angle) < math.radians(20.0):
        return biarc(start, start_heading, end, end_heading)
    dx, dy = end[0] - start[0], end[1] - start[1]
    before = (dx * math.sin(end_heading) - dy * math.cos(end_heading)) / math.sin(angle)
    after = (dy * math.cos(start_heading) - dx * math.sin(start_heading)) / math.sin(angle)
    tangent = min(before, after, radius * math.tan(abs(angle) / 2.0))
    if tangent <= 0.0:
        return biarc(start, start_heading, end, end_heading)
    curvature = math.copysign(math.tan(abs(angle) / 2.0) / tangent, angle)
    lead_in = line(start, start_heading, before - tangent)
    arc_start = lead_in.at(before - tangent)
    arc = Segment(arc_start[0], arc_start[1], start_heading, abs(angle / curvature), curvature)
    arc_end = arc.at(arc.length)
    return join(lead_in, Curve((arc,)), line((arc_end[0], arc_end[1]), end_heading, after - tangent))
