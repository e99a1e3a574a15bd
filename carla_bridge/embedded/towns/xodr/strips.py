"""Lanes as strips: the two edges of each lane of each lane section, sampled densely enough to be drawn and driven.

t is measured horizontally, so that superelevated lanes keep the x and y that carla.Map gives their waypoints (whose
height ignores superelevation); the height above a road is elevation + t tan(superelevation), minus crossfall on either
side (ASAM OpenDRIVE 1.7, 10.4 and 10.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.towns.xodr.model import Array, Cubics, Lane, Road
from carla_bridge.embedded.towns.xodr.planview import ReferenceLine, reference_line

BoolArray = npt.NDArray[np.bool_]

CHORD_ERROR_M = 0.015
LONGEST_STEP_M = 12.0
HILL_STEP_M = 6.0
SHORTEST_STEP_M = 0.4
MOST_STATIONS = 10_000  # of one road, whatever its curvature
MERGE_M = 0.01  # breakpoints closer than this are one
KERB_M = 0.12
NARROW_BORDER_M = 0.6  # a wider border is a green strip


class Kind(Enum):
    """How a lane is built."""

    ASPHALT = 1
    RAISED = 2  # sidewalks: a kerb and paving
    GREEN = 3  # medians: a kerb and grass
    FLUSH_GREEN = 4
    FLUSH_STONE = 5
    NOTHING = 6


_THROUGH = ("driving", "bidirectional", "bus", "taxi", "HOV")
_RAMPS = ("entry", "exit", "onRamp", "offRamp", "connectingRamp", "slipLane", "mwyEntry", "mwyExit")
_BESIDE = ("shoulder", "stop", "biking", "parking", "restricted", "roadWorks", "tram", "rail")
_SPECIAL = ("special1", "special2", "special3")
DRIVING = frozenset((*_THROUGH, *_RAMPS))
_ASPHALT = DRIVING | {*_BESIDE, *_SPECIAL}
_RAISED = frozenset(["sidewalk", "walking", "curb", "trafficIsland"])


def kind_of(lane: Lane, widest_m: float) -> Kind:
    if lane.id == 0:
        return Kind.NOTHING
    if lane.kind in _ASPHALT:
        return Kind.ASPHALT
    if lane.kind in _RAISED:
        return Kind.RAISED
    if lane.kind == "median":
        return Kind.GREEN
    if lane.kind == "border":
        return Kind.FLUSH_STONE if widest_m <= NARROW_BORDER_M else Kind.FLUSH_GREEN
    return Kind.NOTHING


@dataclass(frozen=True)
class Strip:
    """One lane of one lane section. Edges at the height of their surface, kerb included."""

    road: Road
    lane: Lane
    kind: Kind
    s: Array  # (N,) along the road
    inner: Array  # (N, 3)
    outer: Array  # (N, 3)
    lift: Array  # (N, 2) how far inner and outer lie above the road's own plane [m]
    across: Array  # (N, 2) unit vectors to the left of the road
    tilt: Array  # (N,) rise per metre to the left

    @property
    def right(self) -> Array:
        return self.inner if self.lane.id > 0 else self.outer

    @property
    def left(self) -> Array:
        return self.outer if self.lane.id > 0 else self.inner

    @property
    def drivable(self) -> bool:
        return self.lane.kind in DRIVING

    @property
    def outwards(self) -> float:
        """+1 where the outer edge lies left of the inner one."""
        return 1.0 if self.lane.id > 0 else -1.0

    @property
    def width(self) -> Array:
        return np.asarray(np.hypot(*(self.outer - self.inner)[:, :2].T))

    def centre(self) -> Array:
        return (self.inner + self.outer) / 2.0


@dataclass(frozen=True)
class SampledRoad:
    road: Road
    line: ReferenceLine
    stations: Array
    strips: tuple[Strip, ...]  # section by section, from right to left


def _bounds(cubics: Cubics, at: Array, start: float, end: float) -> Array:
    """Largest step at each s in start..end so that a chord leaves the cubic by less than CHORD_ERROR_M."""
    bounds = np.full(len(at), LONGEST_STEP_M)
    inside = (at >= start) & (at <= end)
    if cubics.straight or not inside.any():
        return bounds
    index = np.maximum(np.searchsorted(cubics.starts, at[inside], side="right") - 1, 0)
    begins, ends = cubics.starts[index], np.minimum(np.append(cubics.starts[1:], end)[index], end)
    _, _, c, d = cubics.coefficients[index].T
    bend = np.maximum(np.abs(2.0 * c), np.abs(2.0 * c + 6.0 * d * np.maximum(ends - begins, 0.0)))
    bounds[inside] = np.minimum(LONGEST_STEP_M, np.sqrt(8.0 * CHORD_ERROR_M / np.maximum(bend, 1e-9)))
    return bounds


def _breaks(road: Road) -> Array:
    values = [0.0, road.length, *(g.s for g in road.geometry)]
    for cubics in (road.elevation, road.superelevation, road.crossfall_left, road.crossfall_right, road.lane_offset):
        values.extend(cubics.starts)
    for section in road.sections:
        values.append(section.s)
        for lane in section.lanes:
            for shape in (lane.width, lane.border):
                if shape is not None:
                    values.extend(shape.starts)
            values.extend(mark.s for mark in lane.marks)
            values.extend(height[0] for height in lane.heights)
    inside = sorted(v for v in values if 0.0 <= v <= road.length)
    kept = [0.0]
    for v in inside:
        if v - kept[-1] > MERGE_M:
            kept.append(v)
    if len(kept) == 1:
        kept.append(road.length)
    kept[-1] = road.length
    return np.array(kept)


def stations(road: Road, line: ReferenceLine) -> Array:
    """Values of s that draw the road within CHORD_ERROR_M."""
    breaks = _breaks(road)
    middles = (breaks[1:] + breaks[:-1]) / 2.0
    curvature = np.maximum(line.curvature_bound(middles), 1e-9)
    step = np.minimum(LONGEST_STEP_M, np.sqrt(8.0 * CHORD_ERROR_M / curvature))
    shapes = [(k, 0.0, road.length) for k in (road.elevation, road.superelevation, road.lane_offset)]
    for section in road.sections:
        cubics = (c for lane in section.lanes for c in (lane.width, lane.border) if c is not None)
        shapes.extend((c, section.s, section.end) for c in cubics if not c.straight)
    for shape, start, end in shapes:
        step = np.minimum(step, _bounds(shape, middles, start, end))
    if not (road.elevation.zero and road.superelevation.zero):
        step = np.minimum(step, HILL_STEP_M)
    shortest = max(SHORTEST_STEP_M, road.length / MOST_STATIONS)
    counts = np.ceil(np.diff(breaks) / np.maximum(step, shortest)).astype(int)
    parts = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(breaks[:-1], breaks[1:], counts, strict=True)]
    return np.concatenate([*parts, breaks[-1:]])


def _edges(road: Road, section: int, s: Array) -> tuple[list[Lane], Array]:
    """Lanes from right to left and the t of their borders: (lanes + 1, N), the centre lane having none of its own."""
    part = road.sections[section]
    offset = road.lane_offset.at(s, part.end)
    rights: list[tuple[Lane, Array]] = []
    lefts: list[tuple[Lane, Array]] = []
    for side, sign, found in ((reversed(part.lanes), -1, rights), (part.lanes, 1, lefts)):
        edge = offset
        for lane in side:
            if lane.id * sign <= 0:
                continue
            if lane.width is not None:
                edge = edge + sign * np.maximum(lane.width.at(s, part.end), 0.0)
            elif lane.border is not None:
                beyond = offset + lane.border.at(s, part.end)
                edge = np.maximum(edge, beyond) if sign > 0 else np.minimum(edge, beyond)
            found.append((lane, edge))
    lanes = [lane for lane, _ in reversed(rights)] + [lane for lane, _ in lefts]
    return lanes, np.array([*(e for _, e in reversed(rights)), offset, *(e for _, e in lefts)])


def _lift(lane: Lane, kind: Kind, s: Array) -> Array:
    """(N, 2) height of the inner and outer edge above the road."""
    if lane.heights:
        starts = np.array([h[0] for h in lane.heights])
        table = np.array([h[1:] for h in lane.heights])
        return np.asarray(table[np.maximum(np.searchsorted(starts, s + 1e-6, side="right") - 1, 0)])
    return np.full((len(s), 2), KERB_M if kind in (Kind.RAISED, Kind.GREEN) else 0.0)


def _surface(road: Road, poses: Array, s: Array, t: Array) -> Array:
    """(N, 3) points of the road's plane at s, t."""
    z = road.elevation.at(s, road.length) + t * np.tan(np.clip(road.superelevation.at(s, road.length), -1.2, 1.2))
    for side, fall in ((1.0, road.crossfall_left), (-1.0, road.crossfall_right)):
        if not fall.zero:
            z = z - np.where(side * t > 0.0, np.abs(t) * np.tan(fall.at(s, road.length)), 0.0)
    x, y, heading = poses.T
    return np.column_stack([x - t * np.sin(heading), y + t * np.cos(heading), z])


def sample_road(road: Road) -> SampledRoad:
    """All lanes of a road as strips; lanes without any width are left out (the centre lane is kept for its paint)."""
    line = reference_line(road)
    everywhere = stations(road, line)
    all_poses = line.poses(everywhere)
    strips = []
    for number, section in enumerate(road.sections):
        first = int(np.searchsorted(everywhere, section.s - MERGE_M))
        final = int(np.searchsorted(everywhere, section.end + MERGE_M, side="right"))
        s, poses = everywhere[first:final], all_poses[first:final]
        if len(s) < 2 or s[-1] - s[0] < MERGE_M:
            continue
        lanes, edges = _edges(road, number, np.clip(s, section.s, section.end))
        across = np.column_stack([-np.sin(poses[:, 2]), np.cos(poses[:, 2])])
        tilt = np.tan(np.clip(road.superelevation.at(s, road.length), -1.2, 1.2))
        points = [_surface(road, poses, s, t) for t in edges]
        middle = sum(lane.id < 0 for lane in lanes)
        centre = section.lane(0)
        if centre is not None:
            zero = np.zeros((len(s), 2))
            strips.append(Strip(road, centre, Kind.NOTHING, s, points[middle], points[middle], zero, across, tilt))
        for k, lane in enumerate(lanes):
            inner, outer = (points[k + 1], points[k]) if lane.id < 0 else (points[k], points[k + 1])
            widest = float(np.abs(edges[k + 1] - edges[k]).max())
            if widest < 0.02:
                continue
            kind = kind_of(lane, widest)
            lift = _lift(lane, kind, s)
            up = np.array([0.0, 0.0, 1.0])
            strips.append(
                Strip(road, lane, kind, s, inner + lift[:, :1] * up, outer + lift[:, 1:] * up, lift, across, tilt)
            )
    return SampledRoad(road, line, everywhere, tuple(strips))


def cells_of(right: Array, left: Array) -> Array:
    """(N - 1, 4, 3) corners, counter-clockwise."""
    return np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1)


def section_strips(sampled: SampledRoad) -> list[list[Strip]]:
    """Strips grouped by lane section, each from right to left, centre lane first."""
    groups: list[list[Strip]] = []
    for strip in sampled.strips:
        if not groups or groups[-1][0].s is not strip.s:
            groups.append([])
        groups[-1].append(strip)
    return groups


def resample(s: Array, points: Array, at: Array) -> Array:
    """(M, k) points of a polyline over s."""
    return np.column_stack([np.interp(at, s, points[:, k]) for k in range(points.shape[1])])


def headings(points: Array) -> Array:
    """(N,) direction of a polyline at its points."""
    d = np.gradient(points[:, :2], axis=0) if len(points) > 1 else np.array([[1.0, 0.0]])
    return np.arctan2(d[:, 1], d[:, 0])
