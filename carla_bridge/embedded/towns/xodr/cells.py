"""The table of all pieces of lane (one between two stations each), with a spatial index and heights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.towns.site import TownError
from carla_bridge.embedded.towns.xodr.model import Array
from carla_bridge.embedded.towns.xodr.strips import BoolArray, Kind, SampledRoad, Strip, cells_of

IntArray = npt.NDArray[np.int64]

SAME_LEVEL_M = 1.5  # surfaces closer in height belong together
BRIDGE_CLEARANCE_M = 2.0  # lower crossings are not taken for bridges
BRIDGE_REACH_M = 4.0  # the deck goes on this far beyond the road below
SLIVER_M2 = 0.02


def _valid(polygons: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Quads of sharp bends may be bow ties; their hulls are near enough."""
    bad = ~shapely.is_valid(polygons)
    polygons[bad] = shapely.convex_hull(polygons[bad])
    return polygons


@dataclass(frozen=True)
class Cells:
    """Struct of arrays, one row a cell; cells of no width are left out."""

    strips: tuple[Strip, ...]
    corners: Array  # (M, 4, 3) right, right ahead, left ahead, left
    strip: IntArray  # (M,) index into strips
    place: IntArray  # (M,) index of the cell within its strip
    road: IntArray  # (M,) index of the road
    drivable: BoolArray
    asphalt: BoolArray
    raised: BoolArray  # kerbed: sidewalks and medians
    in_junction: BoolArray
    bridge: BoolArray

    @cached_property
    def polygons(self) -> npt.NDArray[np.object_]:
        return _valid(shapely.polygons(self.corners[:, :, :2]))

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.polygons)

    @cached_property
    def z(self) -> Array:
        return np.asarray(self.corners[:, :, 2].mean(axis=1))

    def pairs(self, of: IntArray, reach: float = 0.0) -> tuple[IntArray, IntArray]:
        """(cell of `of`, any other cell that it touches or is within reach of)."""
        predicate = {"predicate": "dwithin", "distance": reach} if reach else {"predicate": "intersects"}
        a, b = self.tree.query(self.polygons[of], **predicate)
        return of[a], b

    def heights(self, points: Array, near: Array, chosen: BoolArray | None = None) -> Array:
        """(N, 2) points, (N,) z to look near -> (N,) z of the cell there, nan where there is none."""
        found = np.full(len(points), np.nan)
        index, cell = self.tree.query(shapely.points(points), predicate="intersects")
        if chosen is not None:
            keep = chosen[cell]
            index, cell = index[keep], cell[keep]
        if not len(index):
            return found
        z = _quad_height(self.corners[cell], points[index])
        order = np.lexsort((np.abs(z - near[index]), index))
        first = np.unique(index[order], return_index=True)[1]
        found[index[order][first]] = z[order][first]
        return found


def _quad_height(quads: Array, points: Array) -> Array:
    """(N, 4, 3) quads as the two triangles that `MeshBuilder.ribbon` draws, at (N, 2) points."""

    def plane(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
        u, v, w = b - a, c - a, points - a[:, :2]
        det = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        det = np.where(np.abs(det) < 1e-9, np.inf, det)
        p = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / det
        q = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / det
        return a[:, 2] + p * u[:, 2] + q * v[:, 2], np.minimum(np.minimum(p, q), 1.0 - p - q)

    right, right_ahead, left_ahead, left = (quads[:, k] for k in range(4))
    z0, inside0 = plane(right, right_ahead, left_ahead)
    z1, inside1 = plane(right, left_ahead, left)
    return np.where(inside0 >= inside1, z0, z1)


def gather(roads: list[SampledRoad]) -> Cells:
    """Cells of all lanes that have a surface; bridges are found among them."""
    strips: list[Strip] = []
    corners, strip_of, place, road_of = [], [], [], []
    for number, sampled in enumerate(roads):
        for strip in sampled.strips:
            if strip.kind is Kind.NOTHING:
                continue
            quads = cells_of(strip.right, strip.left)
            area = shapely.area(shapely.polygons(quads[:, :, :2]))
            keep = np.flatnonzero(area > 1e-4)
            if not len(keep):
                continue
            corners.append(quads[keep])
            strip_of.append(np.full(len(keep), len(strips)))
            place.append(keep)
            road_of.append(np.full(len(keep), number))
            strips.append(strip)
    if not strips:
        raise TownError("the OpenDRIVE text has no lane of any width")
    which = np.concatenate(strip_of)

    def flag(values: list[bool]) -> BoolArray:
        return np.array(values, dtype=bool)[which]

    cells = Cells(
        strips=tuple(strips),
        corners=np.concatenate(corners),
        strip=which,
        place=np.concatenate(place),
        road=np.concatenate(road_of),
        drivable=flag([k.drivable for k in strips]),
        asphalt=flag([k.kind is Kind.ASPHALT for k in strips]),
        raised=flag([k.kind in (Kind.RAISED, Kind.GREEN) for k in strips]),
        in_junction=flag([k.road.in_junction for k in strips]),
        bridge=np.zeros(len(which), dtype=bool),
    )
    _mark_bridges(cells)
    return cells


def _mark_bridges(cells: Cells) -> None:
    """A road is a bridge, over its full width, wherever another one passes well below."""
    if np.ptp(cells.corners[:, :, 2]) < BRIDGE_CLEARANCE_M:
        return
    above, below = cells.pairs(np.flatnonzero(cells.drivable), BRIDGE_REACH_M)
    high = (cells.z[above] - cells.z[below] > BRIDGE_CLEARANCE_M) & (cells.road[above] != cells.road[below])
    high &= cells.drivable[below]
    spans: dict[int, list[tuple[float, float]]] = {}
    for cell in np.unique(above[high]):
        s = cells.strips[cells.strip[cell]].s
        spans.setdefault(int(cells.road[cell]), []).append((s[cells.place[cell]], s[cells.place[cell] + 1]))
    if not spans:
        return
    rows = zip(cells.strip, cells.place, strict=True)
    middle = np.array([cells.strips[strip].s[place : place + 2].mean() for strip, place in rows])
    for road, parts in spans.items():
        mine = np.flatnonzero(cells.road == road)
        for low, top in parts:
            cells.bridge[mine[(middle[mine] > low) & (middle[mine] < top)]] = True
