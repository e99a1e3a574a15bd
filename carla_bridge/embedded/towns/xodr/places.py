"""Where cars may start and people may walk, and the verges and parking spaces of the site."""

from __future__ import annotations

import math

import numpy as np
import shapely

from carla_bridge.embedded.towns.site import ParkingSpace, Verge
from carla_bridge.embedded.towns.xodr.cells import SAME_LEVEL_M, Cells
from carla_bridge.embedded.towns.xodr.lights import pose_of
from carla_bridge.embedded.towns.xodr.model import Array, RoadObject
from carla_bridge.embedded.towns.xodr.strips import Kind, SampledRoad, Strip, headings, resample, section_strips
from carla_bridge.embedded.types import Pose

SPAWN_SPACING_M = 14.0
SPAWN_FROM_END_M = 6.0  # behind a car that has just left the junction
SPAWN_TO_END_M = 16.0  # clear of the stop line's queue
SPAWN_ROOM_M = (8.0, 2.3)  # two points are at least this far apart, along or across
SPAWN_HEIGHT_M = 0.4
SPAWN_LANE_M = 2.2  # narrower lanes get none
MOST_SPAWNS = 300
VERGE_STEP_M = 2.0
BEYOND_M = 0.3  # what lies this far outside a road's edge decides whether it is a verge
PARALLEL_M = 3.4  # a parking lane up to this width is parked along
CAR_BAY_M, SIDE_BAY_M = 6.0, 2.6


def _lane_runs(sampled: SampledRoad) -> list[list[Strip]]:
    """Driving lanes that keep their id over neighbouring sections, as one run."""
    runs: list[list[Strip]] = []
    open_runs: dict[int, list[Strip]] = {}
    for group in section_strips(sampled):
        here = {strip.lane.id: strip for strip in group if strip.drivable}
        for lane in list(open_runs):
            if lane not in here:
                runs.append(open_runs.pop(lane))
        for lane, strip in here.items():
            open_runs.setdefault(lane, []).append(strip)
    return runs + list(open_runs.values())


def spawn_points(roads: list[SampledRoad]) -> tuple[Pose, ...]:
    """Lane centres outside junctions, spaced, in order of road and lane; no two overlap."""
    rows: list[tuple[float, float, float, float, float]] = []
    runs = [(k, run) for k in roads if not k.road.in_junction for run in _lane_runs(k)]
    total = sum(float(run[-1].s[-1] - run[0].s[0]) for _, run in runs)
    spacing = max(SPAWN_SPACING_M, total / MOST_SPAWNS)
    for sampled, run in runs:
        road = sampled.road
        s = np.concatenate([strip.s for strip in run])
        table = np.concatenate([np.column_stack([strip.centre(), strip.width]) for strip in run])
        order = np.argsort(s, kind="stable")
        s, table = s[order], table[order]
        lane = run[0].lane.id
        forwards = road.forwards(lane)
        first = SPAWN_FROM_END_M + (spacing / 2.0 if abs(lane) % 2 == 0 else 0.0)
        ends = (first, SPAWN_TO_END_M)
        low, high = s[0] + ends[not forwards], s[-1] - ends[forwards]
        at = np.arange(low, high, spacing)
        if not len(at) and s[-1] - s[0] > 12.0:
            at = np.array([(s[0] + s[-1]) / 2.0])
        if not len(at):
            continue
        x, y, z, width = resample(s, table, at).T
        heading = sampled.line.poses(at)[:, 2] + (0.0 if forwards else math.pi)
        slope = road.elevation.slope(at) * (1.0 if forwards else -1.0)
        keep = width >= SPAWN_LANE_M
        rows.extend(zip(*(v[keep].tolist() for v in (x, y, z, heading, slope)), strict=True))
    return tuple(
        Pose(x=p.x, y=p.y, z=p.z, pitch=math.degrees(math.atan(slope)), yaw=p.yaw)
        for p, slope in ((pose_of(x, y, z + SPAWN_HEIGHT_M, h), slope) for x, y, z, h, slope in _apart(rows))
    )


def _apart(rows: list[tuple[float, float, float, float, float]]) -> list[tuple[float, float, float, float, float]]:
    """Drops every point that stands in an earlier one."""
    if not rows:
        return []
    table = np.array(rows)
    tree = shapely.STRtree(shapely.points(table[:, :2]))
    a, b = tree.query(shapely.points(table[:, :2]), predicate="dwithin", distance=math.hypot(*SPAWN_ROOM_M))
    keep = a > b
    a, b = a[keep], b[keep]
    d = table[a] - table[b]
    close = np.abs(d[:, 2]) < 3.0
    for one in (a, b):  # in the frame of either car
        c, s = np.cos(table[one, 3]), np.sin(table[one, 3])
        along, across = np.abs(d[:, 0] * c + d[:, 1] * s), np.abs(d[:, 1] * c - d[:, 0] * s)
        close &= (along < SPAWN_ROOM_M[0]) & (across < SPAWN_ROOM_M[1])
    blockers: dict[int, list[int]] = {}
    for i, j in zip(a[close].tolist(), b[close].tolist(), strict=True):
        blockers.setdefault(i, []).append(j)
    kept: list[bool] = []
    for i in range(len(rows)):
        kept.append(not any(kept[j] for j in blockers.get(i, [])))
    return [row for row, wanted in zip(rows, kept, strict=True) if wanted]


def _outermost(sampled: SampledRoad, side: int) -> list[Strip]:
    """The outermost strip with a surface on one side, section by section."""
    found = []
    for group in section_strips(sampled):
        built = [k for k in group if k.lane.id * side > 0 and k.kind is not Kind.NOTHING]
        if built:
            found.append(max(built, key=lambda k: abs(k.lane.id)))
        else:  # a one-way road: the inner edge of its other half
            other = [k for k in group if k.lane.id * side < 0 and k.kind is not Kind.NOTHING]
            if other:
                found.append(min(other, key=lambda k: abs(k.lane.id)))
    return found


def verges(roads: list[SampledRoad], cells: Cells, fillers: shapely.Geometry) -> tuple[Verge, ...]:
    """Outer edges of all roads, cut where another lane of the same height or a junction lies beyond them."""
    shapely.prepare(fillers)
    found = []
    for sampled in roads:
        for side in (1, -1):
            for points, walk in _verge_chunks(sampled, side):
                found.extend(_free_runs(sampled, side, points, walk, cells, fillers))
    return tuple(found)


def _verge_chunks(sampled: SampledRoad, side: int) -> list[tuple[Array, bool]]:
    """(points every 2 m, sidewalk?) for runs of sections with the same kind of edge."""
    chunks: list[tuple[list[Array], bool]] = []
    for strip in _outermost(sampled, side):
        edge = strip.outer if strip.lane.id * side > 0 else strip.inner
        count = max(2, math.ceil(float(strip.s[-1] - strip.s[0]) / VERGE_STEP_M) + 1)
        points = resample(strip.s, edge, np.linspace(strip.s[0], strip.s[-1], count))
        walk = strip.kind is Kind.RAISED
        if chunks and chunks[-1][1] == walk:
            previous = chunks[-1][0][-1][-1]
            chunks[-1][0].append(points[1:] if np.hypot(*(points[0] - previous)[:2]) < 0.5 else points)
        else:
            chunks.append(([points], walk))
    return [(np.concatenate(parts), walk) for parts, walk in chunks]


def _free_runs(
    sampled: SampledRoad, side: int, points: Array, walk: bool, cells: Cells, fillers: shapely.Geometry
) -> list[Verge]:
    moved = np.r_[True, np.hypot(*np.diff(points[:, :2], axis=0).T) > 0.05]
    points = points[moved]
    if len(points) < 2:
        return []
    heading = headings(points)
    outward = side * np.column_stack([-np.sin(heading), np.cos(heading)])
    beyond = points[:, :2] + BEYOND_M * outward
    z = cells.heights(beyond, points[:, 2])
    free = np.isnan(z) | (np.abs(z - points[:, 2]) > SAME_LEVEL_M)
    free &= ~shapely.contains_xy(fillers, beyond[:, 0], beyond[:, 1])
    runs = np.split(np.arange(len(points)), np.flatnonzero(np.diff(free)) + 1)
    road = sampled.road
    return [
        Verge(_number(road.id), points[run], outward[run], road.in_junction, walk, road.speed_kmh or 50.0)
        for run in runs
        if free[run[0]] and len(run) >= 2
    ]


def _number(road_id: str) -> int:
    return int(road_id) if road_id.lstrip("-").isdigit() else -1


def parking_spaces(roads: list[SampledRoad]) -> tuple[ParkingSpace, ...]:
    """Bays of parking lanes, and the file's own parkingSpace objects."""
    found = []
    for sampled in roads:
        for strip in sampled.strips:
            if strip.lane.kind == "parking":
                found.extend(_bays(sampled, strip))
        for thing in sampled.road.objects:
            if thing.kind.lower() == "parkingspace":
                outline = object_outline(sampled, thing)
                x, y, z = outline.mean(axis=0)
                sides = np.diff(outline[:3, :2], axis=0)
                lengths = np.hypot(*sides.T)
                longest = int(np.argmax(lengths))
                heading = math.atan2(sides[longest][1], sides[longest][0])
                size = float(lengths[longest]), float(lengths[1 - longest])
                found.append(ParkingSpace((float(x), float(y), float(z)), heading, *size))
    return tuple(found)


def _bays(sampled: SampledRoad, strip: Strip) -> list[ParkingSpace]:
    width = float(np.median(strip.width))
    if width < 1.7:
        return []
    along = width <= PARALLEL_M
    pitch = CAR_BAY_M if along else SIDE_BAY_M
    at = np.arange(strip.s[0] + pitch / 2.0, strip.s[-1] - pitch / 2.0 + 0.01, pitch)
    rows = resample(strip.s, np.column_stack([strip.centre(), strip.width]), at) if len(at) else np.zeros((0, 4))
    spaces = []
    for (x, y, z, here), pose in zip(rows, sampled.line.poses(at), strict=True):
        if here < 0.85 * width:
            continue
        heading = float(pose[2]) + (0.0 if sampled.road.forwards(strip.lane.id) else math.pi)
        if along:
            spaces.append(ParkingSpace((float(x), float(y), float(z)), heading, CAR_BAY_M, width))
        else:
            spaces.append(ParkingSpace((float(x), float(y), float(z)), heading + math.pi / 2.0, width, SIDE_BAY_M))
    return spaces


def object_outline(sampled: SampledRoad, thing: RoadObject) -> Array:
    """(N, 3) corners of an object in the world, not closed; a rectangle where the file has no outline."""
    corners = _outline(sampled, thing)
    closed = len(corners) > 3 and np.hypot(*(corners[0] - corners[-1])[:2]) < 0.01
    return corners[:-1] if closed else corners


def _outline(sampled: SampledRoad, thing: RoadObject) -> Array:
    road, line = sampled.road, sampled.line
    if thing.road_corners:
        corners = np.array(thing.road_corners)
        s = np.clip(corners[:, 0], 0.0, road.length)
        x, y, heading = line.poses(s).T
        t = corners[:, 1]
        z = road.elevation.at(s, road.length) + t * np.tan(road.superelevation.at(s, road.length)) + corners[:, 2]
        return np.column_stack([x - t * np.sin(heading), y + t * np.cos(heading), z])
    s = np.array([min(max(thing.s, 0.0), road.length)])
    x, y, heading = line.poses(s)[0]
    ex, ey = thing.length / 2.0, thing.width / 2.0
    local = np.array(thing.local or [(ex, ey, 0.0), (-ex, ey, 0.0), (-ex, -ey, 0.0), (ex, -ey, 0.0)])
    turn = heading + thing.heading
    c, sn = math.cos(turn), math.sin(turn)
    x, y = x - thing.t * math.sin(heading), y + thing.t * math.cos(heading)
    z = float(road.elevation.at(s, road.length)[0]) + thing.t * math.tan(float(road.superelevation.at(s)[0]))
    z += thing.z_offset
    u, v = local[:, 0], local[:, 1]
    return np.column_stack([x + c * u - sn * v, y + sn * u + c * v, z + local[:, 2]])
