"""Where pedestrians may walk: from a town's walkways to the navigation mesh of CARLA's client.

The walkways, which may touch and overlap, become one plane partition: their union without a margin along its border and
around obstacles (an agent is a point there), cut by kinds; roads, which only the pedestrians of
World.set_pedestrians_cross_factor use, reach up to the margin of the walkways. Shared edges of the partition are the
same two points on both sides, so the mesh is connected wherever the walkways are.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString, Polygon

from carla_bridge.embedded.detour import MAX_CORNERS, MAX_POLYGONS, MAX_VERTICES, PolygonMesh, tile_set
from carla_bridge.embedded.types import Box, Town, WalkArea, Walkway

MANY_WALKWAYS = 4000  # in towns with more than these nobody crosses but at crosswalks: loading them takes long enough
MARGIN_M = 0.3  # between the border of the mesh and that of the walkways
GAP_M = 0.1  # walkways that come this close to each other touch
KERB_M = 0.5  # a crosswalk or a road rises to the height of the sidewalk within this distance
TOLERANCES_M = (0.1, 0.2, 0.4, 1.0)  # of outlines; the next one where the mesh would not fit into one tile
FLAT_M = 0.5
LONGEST_ON_HILLS_M = 10.0  # edges follow the ground where it is not flat
GRID_M = 0.001  # coordinates are rounded to this
SMALLEST_M2 = 0.02
STOREY_M = 1.5  # walkways that cross at heights this different lie above each other
OBSTACLE_CLEARANCE_M = 0.25
OBSTACLE_LOW_M, OBSTACLE_HIGH_M = 0.3, 1.8  # what a walker bumps into, above the walkway
ON_FOOT = (WalkArea.SIDEWALK, WalkArea.CROSSWALK)  # the rest is for those who cross where they like
PRIORITY = (WalkArea.SIDEWALK, WalkArea.CROSSWALK, WalkArea.ROAD, WalkArea.GRASS, WalkArea.BLOCK)

Points = npt.NDArray[np.float64]
Region: TypeAlias = shapely.Geometry


@dataclass(frozen=True)
class NavigationFile:
    """What get_required_files("Nav") names and request_file delivers; clients keep it on their disk by name."""

    name: str
    content: bytes


def navigation_file(town: Town) -> NavigationFile | None:
    """None for a town without walkways."""
    walkways = town.walkways
    if len(walkways) > MANY_WALKWAYS:
        walkways = tuple(walkway for walkway in walkways if walkway.area in ON_FOOT)
    content = navigation_mesh(walkways, town.solids)
    if not content:
        return None
    return NavigationFile(f"Carla/Maps/Nav/{town.name}-{hashlib.sha256(content).hexdigest()[:16]}.bin", content)


@dataclass(frozen=True)
class _Source:
    """A walkway ready for questions."""

    area: WalkArea
    polygon: Region
    border: LineString  # with heights


def navigation_mesh(walkways: Sequence[Walkway], obstacles: Sequence[Box] = ()) -> bytes:
    """The file for get_required_files("Nav"); empty for no walkways (the client then has no pedestrian navigation).

    obstacles: boxes that stand on walkways, which pedestrians go round as far as there is room.
    """
    mesh = polygon_mesh(walkways, obstacles)
    return tile_set(mesh) if mesh.polygons else b""


def polygon_mesh(walkways: Sequence[Walkway], obstacles: Sequence[Box] = ()) -> PolygonMesh:
    """The mesh itself, with as fine outlines as fit into one Detour tile."""
    mesh = PolygonMesh(np.zeros((0, 3)), (), ())
    for tolerance in TOLERANCES_M:
        mesh = _mesh(walkways, obstacles, tolerance)
        if len(mesh.vertices) <= MAX_VERTICES and len(mesh.polygons) <= MAX_POLYGONS:
            break
    return mesh


def _mesh(walkways: Sequence[Walkway], obstacles: Sequence[Box], tolerance: float) -> PolygonMesh:
    index: dict[tuple[int, int, int], int] = {}
    polygons: list[tuple[int, ...]] = []
    areas: list[int] = []
    for sources in _storeys(walkways):
        faces = _faces(sources, obstacles, tolerance)
        flat: dict[tuple[int, int], int] = {}
        local = [
            (area, [tuple(flat.setdefault(key, len(flat)) for key in piece) for piece in _convex_pieces(face)])
            for area, face in faces
        ]
        points = np.array(list(flat), np.float64).reshape(-1, 2) * GRID_M
        heights = _heights(points, sources)
        numbers = [
            index.setdefault((x, y, round(z / GRID_M)), len(index))
            for (x, y), z in zip(flat, heights.tolist(), strict=True)
        ]
        for area, pieces in local:
            polygons += [tuple(numbers[k] for k in piece) for piece in pieces]
            areas += [int(area)] * len(pieces)
    return PolygonMesh(np.array(list(index), np.float64).reshape(-1, 3) * GRID_M, tuple(polygons), tuple(areas))


# ---------------------------------------------------------------------------------------------------------- regions


def _storeys(walkways: Sequence[Walkway]) -> list[list[_Source]]:
    """Walkways that cross above each other (bridges) go to different storeys, which do not touch."""
    sources = []
    for walkway in walkways:
        outline = np.asarray(walkway.outline, np.float64)
        polygon = shapely.make_valid(Polygon(outline[:, :2]))
        if polygon.area > SMALLEST_M2:
            sources.append(_Source(walkway.area, polygon, LineString(np.concatenate([outline, outline[:1]]))))
    tree = shapely.STRtree([source.polygon for source in sources])
    storey: list[int] = []
    for k, source in enumerate(sources):
        crossed = {storey[j] for j in tree.query(source.polygon) if j < k and _above(source, sources[j])}
        storey.append(next(level for level in range(len(crossed) + 1) if level not in crossed))
    return [[s for s, n in zip(sources, storey, strict=True) if n == level] for level in sorted(set(storey))]


def _above(one: _Source, other: _Source) -> bool:
    heights = np.concatenate([shapely.get_coordinates(s.border, include_z=True)[:, 2] for s in (one, other)])
    if np.ptp(heights) <= STOREY_M:
        return False
    shared = one.polygon.intersection(other.polygon)
    if shared.area <= SMALLEST_M2:
        return False
    at = np.array(shared.representative_point().coords)
    return abs(float(_along(one, at)[0] - _along(other, at)[0])) > STOREY_M


def _faces(sources: Sequence[_Source], obstacles: Sequence[Box], tolerance: float) -> list[tuple[WalkArea, Polygon]]:
    """The partition of one storey: polygons whose common borders have the same points on both sides."""
    regions: list[tuple[WalkArea, Region]] = []
    taken: Region = Polygon()
    for area in PRIORITY:
        parts = [source.polygon for source in sources if source.area == area]
        if parts:
            region = shapely.union_all(parts).buffer(GAP_M, join_style="mitre")
            regions.append((area, region.difference(taken)))
            taken = taken.union(region)
    on_foot = [(area, region) for area, region in regions if area in ON_FOOT]
    others = [(area, region) for area, region in regions if area not in ON_FOOT]
    footprints = _footprints(obstacles, sources)
    walk = _shrunk(shapely.union_all([region for _, region in on_foot]), tolerance)
    walk = _without(walk, footprints)
    # The rest begins where the walkways' margin does.
    beside = shapely.union_all([region for _, region in others]).buffer(2.0 * GAP_M + MARGIN_M, join_style="mitre")
    rest = beside.intersection(_shrunk(taken, tolerance)).difference(walk).difference(footprints)
    crossings = shapely.union_all([region for area, region in regions if area is WalkArea.CROSSWALK])
    crossings = crossings.intersection(walk).simplify(tolerance)
    borders = [_border(walk), _border(rest), _border(crossings)]
    borders += [
        _within(_border(_away_from_kerbs(part, regions).simplify(tolerance)), part) for part in (crossings, rest)
    ]
    lines = shapely.union_all([shapely.set_precision(border, GRID_M) for border in borders], grid_size=GRID_M)
    if np.ptp(np.concatenate([shapely.get_coordinates(s.border, include_z=True)[:, 2] for s in sources])) > FLAT_M:
        lines = shapely.set_precision(shapely.segmentize(lines, LONGEST_ON_HILLS_M), GRID_M)
    faces = []
    shapely.prepare([walk, rest, *(region for _, region in regions)])
    for face in shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.node(lines)).tolist())):
        middle = face.representative_point()
        if face.area < SMALLEST_M2:
            continue
        for part, kinds in ((walk, on_foot), (rest, others)):
            if part.contains(middle):
                faces.append((next((area for area, region in kinds if region.contains(middle)), kinds[0][0]), face))
                break
    return faces


def _shrunk(region: Region, tolerance: float) -> Region:
    """Without its margin and without the gap that `_faces` has closed."""
    return region.buffer(-GAP_M - MARGIN_M, join_style="mitre").simplify(tolerance)


def _border(region: Region) -> Region:
    """Border lines of the areas of a region, whatever else an intersection has left in it."""
    return shapely.union_all([part.boundary for part in shapely.get_parts(region) if part.geom_type == "Polygon"])


def _within(lines: Region, region: Region) -> Region:
    parts = shapely.get_parts(lines.intersection(region))
    return shapely.union_all([part for part in parts if part.geom_type == "LineString"])


def _away_from_kerbs(region: Region, regions: Sequence[tuple[WalkArea, Region]]) -> Region:
    """The part of crosswalks or roads that has its own height."""
    walks = [region.buffer(KERB_M, join_style="mitre") for area, region in regions if area is WalkArea.SIDEWALK]
    return region.difference(shapely.union_all(walks)) if walks else Polygon()


def _footprints(obstacles: Sequence[Box], sources: Sequence[_Source]) -> Region:
    """What the obstacles take from the walkways of this storey."""
    tree = shapely.STRtree([source.polygon for source in sources])
    taken = []
    for box in obstacles:
        yaw, (ex, ey, ez) = math.radians(box.centre.yaw), (box.extent[0], box.extent[1], box.extent[2])
        along, aside = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
        corners = [
            np.array([box.centre.x, box.centre.y])
            + sx * (ex + OBSTACLE_CLEARANCE_M) * along
            + sy * (ey + OBSTACLE_CLEARANCE_M) * aside
            for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        footprint = Polygon(corners)
        for k in sorted(tree.query(footprint).tolist()):
            ground = float(_along(sources[k], np.array([[box.centre.x, box.centre.y]]))[0])
            if box.centre.z + ez > ground + OBSTACLE_LOW_M and box.centre.z - ez < ground + OBSTACLE_HIGH_M:
                taken.append(footprint)
                break
    return shapely.union_all(taken) if taken else Polygon()


def _without(whole: Region, footprints: Region) -> Region:
    """Cut the footprints out of every part of the walkways that they do not cut in two."""
    kept = []
    for part in shapely.get_parts(whole):
        rest = part.difference(footprints)
        pieces = [piece for piece in shapely.get_parts(rest) if piece.area > SMALLEST_M2]
        kept.append(rest if len(pieces) == 1 else part)
    return shapely.union_all(kept)


# ----------------------------------------------------------------------------------------------------------- pieces


def _convex_pieces(face: Polygon) -> list[tuple[tuple[int, int], ...]]:
    """Convex polygons of at most MAX_CORNERS corners, clockwise, in steps of the grid.

    A constrained Delaunay triangulation whose triangles are merged across their longest common edges first, in the
    manner of Hertel and Mehlhorn (1983).
    """
    pieces: dict[int, tuple[tuple[int, int], ...]] = {}
    for triangle in shapely.get_parts(shapely.constrained_delaunay_triangles(face)):
        ring = [(round(x / GRID_M), round(y / GRID_M)) for x, y in triangle.exterior.coords[:3]]
        turn = _turn(ring[0], ring[1], ring[2])
        if turn != 0:
            pieces[len(pieces)] = tuple(ring if turn < 0 else ring[::-1])
    owner = {edge: number for number, ring in pieces.items() for edge in _edges(ring)}
    queue = [(-_length2(a, b), a, b) for a, b in owner if (b, a) in owner and a < b]
    heapq.heapify(queue)
    while queue:
        _, a, b = heapq.heappop(queue)
        one, two = owner[a, b], owner[b, a]
        merged = _merged(pieces[one], pieces[two], a, b) if one != two else None
        if merged is None:
            continue
        del pieces[two], owner[a, b], owner[b, a]
        pieces[one] = merged
        owner.update((edge, one) for edge in _edges(merged))
    return list(pieces.values())


def _edges(ring: Sequence[tuple[int, int]]) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    return zip(ring, (*ring[1:], ring[0]), strict=True)


def _length2(a: tuple[int, int], b: tuple[int, int]) -> int:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    """Negative where the way a, b, c turns clockwise (x right, y up); exact."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])


def _merged(
    one: tuple[tuple[int, int], ...], two: tuple[tuple[int, int], ...], a: tuple[int, int], b: tuple[int, int]
) -> tuple[tuple[int, int], ...] | None:
    """The union across the edge a-b of `one` (b-a of `two`), or None where it is not strictly convex or too large."""
    if len(one) + len(two) - 2 > MAX_CORNERS:
        return None
    i, j = one.index(b), two.index(a)
    ring = (*one[i:], *one[:i], *(*two[j:], *two[:j])[1:-1])
    count = len(ring)
    if any(_turn(ring[k - 1], ring[k], ring[(k + 1) % count]) >= 0 for k in range(count)):
        return None
    return ring


# ---------------------------------------------------------------------------------------------------------- heights


def _along(source: _Source, points: Points) -> npt.NDArray[np.float64]:
    """(N,) heights [m] of a walkway at points (N, 2): that of its border where it is nearest."""
    on_border = shapely.line_interpolate_point(
        source.border, shapely.line_locate_point(source.border, shapely.points(points))
    )
    return np.asarray(shapely.get_z(on_border))


def _heights(points: Points, sources: Sequence[_Source]) -> npt.NDArray[np.float64]:
    """(N,) heights of mesh points: of the walkway they lie on, sidewalks before crosswalks; or of the nearest one."""
    heights = np.full(len(points), np.nan)
    ordered = sorted(sources, key=lambda source: PRIORITY.index(source.area))
    tree = shapely.STRtree(shapely.points(points))
    for reach in (GRID_M, 2.0 * GAP_M, 1.0, 10.0):
        for source in ordered:
            inside = np.sort(tree.query(source.polygon, predicate="dwithin", distance=reach))
            inside = inside[np.isnan(heights[inside])]
            if len(inside):
                heights[inside] = _along(source, points[inside])
        if not np.isnan(heights).any():
            break
    return np.nan_to_num(heights)
