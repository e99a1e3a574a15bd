"""What lies between the lanes of a junction: asphalt in the gaps, and kerbed corners where sidewalks meet."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.towns.surface import KERB_STONE_M
from carla_bridge.embedded.towns.xodr.areas import common, minus, union
from carla_bridge.embedded.towns.xodr.cells import SAME_LEVEL_M, SLIVER_M2, Cells, IntArray
from carla_bridge.embedded.towns.xodr.paving import Raised
from carla_bridge.embedded.towns.xodr.strips import Kind

CLOSING_M = 3.0  # gaps narrower than twice this are filled
ARMS_M = 14.0  # how far along its arms a junction is looked at
ISLAND_M2 = 45.0  # holes larger than this stay islands
CORNER_REACH_M = 8.0  # corners lie within this distance of the junction's asphalt
TOUCH_M = 0.3
LEAST_KERB_M = 1.5  # a corner borders on the junction's asphalt at least so far


def _polygons_only(area: shapely.Geometry, smallest: float) -> list[shapely.Polygon]:
    return [p for p in shapely.get_parts(area) if p.geom_type == "Polygon" and p.area > smallest]


def _around(cells: Cells, area: shapely.Geometry, own: IntArray) -> IntArray:
    """Cells at the junction's own level that meet the area, its own ones included."""
    found = np.sort(cells.tree.query(area, predicate="intersects"))
    low, high = cells.z[own].min() - SAME_LEVEL_M, cells.z[own].max() + SAME_LEVEL_M
    return np.asarray(found[(cells.z[found] > low) & (cells.z[found] < high)])


def _ends_of_walks(cells: Cells, near: IntArray, junction: str) -> dict[int, list[shapely.Polygon]]:
    """Road -> the last cells of its sidewalks before the junction."""
    ends: dict[int, list[shapely.Polygon]] = defaultdict(list)
    for cell in near:
        strip = cells.strips[cells.strip[cell]]
        road, place = strip.road, int(cells.place[cell])
        if strip.kind is not Kind.RAISED or road.in_junction:
            continue
        for link, here in (
            (road.predecessor, strip.s[place] < 0.01),
            (road.successor, strip.s[place + 1] > road.length - 0.01),
        ):
            if here and link is not None and link.to_junction and link.id == junction:
                ends[int(cells.road[cell])].append(cells.polygons[cell])
    return ends


def fill_junctions(
    cells: Cells, left_of_raised: npt.NDArray[np.object_]
) -> tuple[list[shapely.Polygon], list[Raised], shapely.Geometry]:
    """Asphalt fillers, raised corners, and the zone within a kerb stone's width of all junctions' asphalt.

    left_of_raised: (M,) the polygons of all cells, the raised ones without what lanes took from them.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for number, strip in enumerate(cells.strips):
        if strip.road.in_junction:
            members[strip.road.junction].append(number)
    fillers: list[shapely.Polygon] = []
    corners: list[Raised] = []
    zones = []
    for junction in members:
        own = np.flatnonzero(np.isin(cells.strip, members[junction]) & ~cells.bridge)
        paved = own[cells.asphalt[own]]
        if not len(paved):
            continue
        asphalt = union(cells.polygons[paved])
        near = _around(cells, asphalt.buffer(ARMS_M), own)
        taken = union(left_of_raised[near])
        fills, walks = _gaps(asphalt, taken, union(left_of_raised[near[cells.raised[near]]]))
        inside = union([asphalt, *fills])
        ends = _ends_of_walks(cells, near, junction)
        fillers.extend(fills)
        corners.extend(Raised(part) for part in walks)
        corners.extend(_corners(inside, union([taken, *fills, *walks]), ends))
        zones.append(inside)
    zone = union(zones).buffer(KERB_STONE_M) if zones else shapely.Polygon()
    return fillers, corners, zone


def _gaps(
    asphalt: shapely.Geometry, taken: shapely.Geometry, raised: shapely.Geometry
) -> tuple[list[shapely.Polygon], list[shapely.Polygon]]:
    """Narrow gaps beside the junction's asphalt: to be paved, and (mostly bordered by sidewalks) to be raised."""
    closed = taken.buffer(CLOSING_M, quad_segs=4).buffer(-CLOSING_M, quad_segs=4)
    closed = union([_without_small_holes(p) for p in _polygons_only(closed, 1.0)])
    fills: list[shapely.Polygon] = []
    walks: list[shapely.Polygon] = []
    for part in _polygons_only(minus(closed, taken), SLIVER_M2):
        if not part.dwithin(asphalt, 0.05):
            continue
        beside = common(part.exterior, raised.buffer(0.02)).length if not raised.is_empty else 0.0
        (walks if beside > 0.5 * part.exterior.length and part.area > 0.5 else fills).append(part)
    return fills, walks


def _without_small_holes(polygon: shapely.Polygon) -> shapely.Polygon:
    return shapely.Polygon(polygon.exterior, [r for r in polygon.interiors if shapely.Polygon(r).area > ISLAND_M2])


def _corners(inside: shapely.Geometry, taken: shapely.Geometry, ends: dict[int, list[shapely.Polygon]]) -> list[Raised]:
    """Between the sidewalk ends of two arms, along the junction's edge."""
    if len(ends) < 2:
        return []
    free = minus(inside.buffer(CORNER_REACH_M, quad_segs=4), taken.buffer(0.005))
    border = inside.buffer(0.02)
    corners: list[Raised] = []
    for part in _polygons_only(free, 0.3):
        if common(part, border).length < 2.0 * LEAST_KERB_M:  # it lies behind a sidewalk
            continue
        touched = {r: [w for w in walks if part.dwithin(w, TOUCH_M)] for r, walks in ends.items()}
        joined = [walk for walks in touched.values() for walk in walks]
        if sum(bool(walks) for walks in touched.values()) < 2:
            continue
        edge = common(part, inside.buffer(2.0 * KERB_STONE_M))
        hull = union([*joined, edge]).convex_hull
        corners.extend(Raised(piece) for piece in _polygons_only(common(part, hull), 0.3))
    return corners
