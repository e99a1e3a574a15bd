"""Piecewise cubic functions of s: heights along a road and widths of lanes, as OpenDRIVE's a + b ds + c ds2 + d ds3."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Knot = tuple[float, float, float]  # s, value, slope


@dataclass(frozen=True)
class Cubics:
    """pieces: (s where it starts, a, b, c, d), the first one from s = 0."""

    pieces: tuple[tuple[float, float, float, float, float], ...]

    def _piece(self, s: float) -> tuple[float, float, float, float, float]:
        # a knot belongs to the piece it starts, as CARLA and OpenDRIVE have it; they are continuous there
        return self.pieces[max(0, bisect_right([piece[0] for piece in self.pieces], s) - 1)]

    def at(self, s: float) -> float:
        start, a, b, c, d = self._piece(s)
        ds = s - start
        return a + ds * (b + ds * (c + ds * d))

    def slope(self, s: float) -> float:
        start, _, b, c, d = self._piece(s)
        ds = s - start
        return b + ds * (2.0 * c + ds * 3.0 * d)


def constant(value: float) -> Cubics:
    return Cubics(((0.0, value, 0.0, 0.0, 0.0),))


def hermite(knots: Sequence[Knot]) -> Cubics:
    """The cubic between each two knots that has their values and slopes."""
    pieces = []
    for (s0, v0, m0), (s1, v1, m1) in pairwise(knots):
        h = s1 - s0
        rise = (v1 - v0) / h
        if v0 == v1 and m0 == m1 == 0.0:
            pieces.append((s0, v0, 0.0, 0.0, 0.0))
        else:
            pieces.append((s0, v0, m0, (3.0 * rise - 2.0 * m0 - m1) / h, (m0 + m1 - 2.0 * rise) / (h * h)))
    return Cubics(tuple(pieces))


def through(points: Sequence[tuple[float, float]]) -> Cubics:
    """Level at both ends, smooth in between (slopes from the neighbours, as Catmull and Rom have it)."""
    knots: list[Knot] = []
    for i, (s, value) in enumerate(points):
        slope = 0.0
        if 0 < i < len(points) - 1:
            (s0, v0), (s1, v1) = points[i - 1], points[i + 1]
            slope = (v1 - v0) / (s1 - s0)
        knots.append((s, value, slope))
    return hermite(knots)


def blend(start: float, end: float, length: float) -> Cubics:
    """From one value to the other, level at both ends."""
    return hermite([(0.0, start, 0.0), (length, end, 0.0)])


def bays(spans: Sequence[tuple[float, float]], width: float, taper: float, length: float) -> Cubics:
    """Nothing but for these spans of s, where it is `width`; it grows and shrinks within `taper` inside each span."""
    knots: list[Knot] = [(0.0, 0.0, 0.0)]
    for start, end in spans:
        knots += [(start, 0.0, 0.0), (start + taper, width, 0.0), (end - taper, width, 0.0), (end, 0.0, 0.0)]
    return hermite([*knots, (length, 0.0, 0.0)])
