"""More to do with curves: through several points, cut, shifted sideways, turned round."""

from __future__ import annotations

import math
from collections.abc import Sequence

from carla_bridge.embedded.towns.curves import Curve, Point, Segment, biarc, join, line

Pose = tuple[Point, float]


def _along(pose: Pose, distance: float) -> Point:
    (x, y), heading = pose
    return x + distance * math.cos(heading), y + distance * math.sin(heading)


def winding(start: Pose, via: Sequence[Point], end: Pose, stub: float) -> Curve:
    """From pose to pose through points: straight for the first and last `stub` metres, biarcs in between.

    The heading at each point is that of the line between its neighbours."""
    first, last = _along(start, stub), _along(end, -stub)
    points = [first, *via, last]
    headings = [start[1]]
    for before, after in zip(points, points[2:], strict=False):
        headings.append(math.atan2(after[1] - before[1], after[0] - before[0]))
    headings.append(end[1])
    pieces = [line(start[0], start[1], stub)]
    for i in range(len(points) - 1):
        pieces.append(biarc(points[i], headings[i], points[i + 1], headings[i + 1]))
    return join(*pieces, line(last, end[1], stub))


def cut(curve: Curve, start: float, end: float) -> Curve:
    """The part between two stations."""
    parts, s = [], 0.0
    for part in curve.segments:
        a, b = max(start - s, 0.0), min(end - s, part.length)
        if b - a > 1e-6:
            x, y, heading = part.at(a)
            parts.append(Segment(x, y, heading, b - a, part.curvature))
        s += part.length
    return Curve(tuple(parts))


def shifted(curve: Curve, left: float) -> Curve:
    """The parallel curve: arcs keep their centres."""
    parts = []
    for part in curve.segments:
        x, y = part.x - left * math.sin(part.heading), part.y + left * math.cos(part.heading)
        scale = 1.0 - part.curvature * left
        parts.append(Segment(x, y, part.heading, part.length * scale, part.curvature / scale))
    return Curve(tuple(parts))


def reverse(curve: Curve) -> Curve:
    """The same points, travelled the other way."""
    parts = []
    for part in reversed(curve.segments):
        x, y, heading = part.at(part.length)
        parts.append(Segment(x, y, math.remainder(heading + math.pi, math.tau), part.length, -part.curvature))
    return Curve(tuple(parts))


def arc(centre: Point, radius: float, start: float, sweep: float) -> Curve:
    """Counter-clockwise round a centre, from one direction [rad] through `sweep`."""
    x, y = centre[0] + radius * math.cos(start), centre[1] + radius * math.sin(start)
    return Curve((Segment(x, y, start + math.pi / 2.0, radius * sweep, 1.0 / radius),))
