"""The land between the roads: it meets every road edge at the edge's height and is smooth in between.

Near a road the height is that of the nearest edges; farther off it comes from a grid that is filled between the
roads by pull-push interpolation (Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree

from carla_bridge.embedded.towns.meshes import MeshBuilder, refine, triangulate
from carla_bridge.embedded.towns.site import Style
from carla_bridge.embedded.towns.xodr.areas import common, minus, union
from carla_bridge.embedded.towns.xodr.cells import Cells, IntArray
from carla_bridge.embedded.towns.xodr.model import Array
from carla_bridge.embedded.towns.xodr.strips import BoolArray
from carla_bridge.embedded.types import Label, Material

GRASS_BELOW_KERB_M = 0.02  # as Gridley: grass ends just below the paving
GRASS_BELOW_ROAD_M = 0.03
GRASS_BESIDE_WALKS_M = 0.10  # in flat towns
OVERLAP_M = 0.35  # the land reaches under the road's edge, so no seam can show
SEAM_M, SLOPE_SEAM_M = 0.01, 0.12
LOWEST_M = -1e5
ABUTMENT_M = 1.0
BELOW_DECK_M = 0.8  # the land under a bridge stays below its slab
NEAR_M, FAR_M = 2.0, 18.0  # where the nearest edges and where the grid decides
EDGE_STEP_M = 1.0
MOST_STEPS = 64  # of one edge of one cell
BESIDE_M = 0.6
NEIGHBOURS = 4
FLAT_M = 1e-3
LARGEST_GRID = 512
SLOPE_CELL_M = 12.5
PLAIN_CELL_M = 25.0
MOST_CELLS = 12_000


@dataclass(frozen=True)
class Terrain:
    """height(points) of the land; flat: one height everywhere."""

    flat: bool
    level: float
    tree: cKDTree | None
    edge_z: Array  # what the land meets
    kerbed: BoolArray  # whether that is a kerbed edge
    grid: Array
    origin: tuple[float, float]
    spacing: float

    def height(self, points: Array) -> Array:
        """(N, 2) -> (N,)"""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if self.flat or self.tree is None:
            return np.full(len(points), self.level)
        distance, index = self.tree.query(points, k=min(NEIGHBOURS, len(self.edge_z)))
        distance, index = distance.reshape(len(points), -1), index.reshape(len(points), -1)
        weight = 1.0 / (distance + 1e-3) ** 2
        near = (weight * self.edge_z[index]).sum(axis=1) / weight.sum(axis=1)
        # where a sidewalk tapers off, the land must not reach over the asphalt beside it
        lowest = np.where((distance < BESIDE_M) & ~self.kerbed[index], self.edge_z[index], np.inf).min(axis=1)
        near = np.minimum(near, lowest)
        share = np.clip((distance[:, 0] - NEAR_M) / (FAR_M - NEAR_M), 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        return np.asarray((1.0 - share) * near + share * self._from_grid(points))

    def _from_grid(self, points: Array) -> Array:
        rows, columns = self.grid.shape
        u = np.clip((points[:, 0] - self.origin[0]) / self.spacing, 0.0, columns - 1.001)
        v = np.clip((points[:, 1] - self.origin[1]) / self.spacing, 0.0, rows - 1.001)
        i, j = u.astype(int), v.astype(int)
        fu, fv = u - i, v - j
        low = self.grid[j, i] * (1.0 - fu) + self.grid[j, i + 1] * fu
        high = self.grid[j + 1, i] * (1.0 - fu) + self.grid[j + 1, i + 1] * fu
        return np.asarray(low * (1.0 - fv) + high * fv)


def road_edges(cells: Cells) -> tuple[Array, Array, Array]:
    """Points along both edges of all lanes on the ground: (N, 3) with z of the surface, (N,) how far the land stays
    below, and (N,) how far the surface is raised above the road's plane."""
    use = np.flatnonzero(~cells.bridge)
    quads = cells.corners[use]
    strips = [cells.strips[i] for i in cells.strip[use]]
    starts = np.array([k.s[i] for k, i in zip(strips, cells.place[use], strict=True)]) < 0.01
    stops = np.array([k.s[i + 1] > k.road.length - 0.01 for k, i in zip(strips, cells.place[use], strict=True)])
    lines = np.concatenate([quads[:, [0, 1]], quads[:, [3, 2]], quads[starts][:, [0, 3]], quads[stops][:, [1, 2]]])
    rows = np.concatenate([use, use, use[starts], use[stops]])  # of each line; roads' ends are edges as well
    below = np.where(cells.raised[rows], GRASS_BELOW_KERB_M, GRASS_BELOW_ROAD_M)
    lift = np.array([k.lift.mean() for k in cells.strips])[cells.strip[rows]]
    length = np.hypot(*(lines[:, 1] - lines[:, 0])[:, :2].T)
    counts = np.clip(np.ceil(length / EDGE_STEP_M).astype(int), 1, MOST_STEPS)
    row = np.repeat(np.arange(len(lines)), counts)
    step = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = ((step + 0.5) / counts[row])[:, None]
    return lines[row, 0] * (1.0 - share) + lines[row, 1] * share, below[row], lift[row]


def _pull_push(values: Array, weights: Array) -> Array:
    """Fills cells of weight 0 smoothly from coarser and coarser means."""
    if weights.all() or min(values.shape) < 2:
        mean = (values * weights).sum() / max(float(weights.sum()), 1e-12)
        return np.where(weights > 0.0, values, mean)
    rows, columns = (n + n % 2 for n in values.shape)
    w = np.zeros((rows, columns))
    v = np.zeros((rows, columns))
    w[: weights.shape[0], : weights.shape[1]] = weights
    v[: values.shape[0], : values.shape[1]] = values * weights

    def fold(a: Array) -> Array:
        return np.asarray(a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2])

    total = fold(w)
    coarse = _pull_push(np.divide(fold(v), total, out=np.zeros_like(total), where=total > 0), np.minimum(total, 1.0))
    padded = np.pad(coarse, 1, mode="edge")
    # bilinear: a fine cell lies a quarter of a coarse one from its parent's middle
    across = 0.75 * np.repeat(padded[1:-1], 2, axis=0)
    across[::2] += 0.25 * padded[:-2]
    across[1::2] += 0.25 * padded[2:]
    fine = 0.75 * np.repeat(across[:, 1:-1], 2, axis=1)
    fine[:, ::2] += 0.25 * across[:, :-2]
    fine[:, 1::2] += 0.25 * across[:, 2:]
    fine = fine[: values.shape[0], : values.shape[1]]
    return np.asarray(np.where(weights > 0.0, values, fine))


def shape_terrain(edges: Array, below: Array, lift: Array, bounds: tuple[float, float, float, float]) -> Terrain:
    """The land that meets the given road edges."""
    road_z = edges[:, 2]
    if np.abs(road_z - lift).max() < FLAT_M:
        walks = edges[lift > 0.05]
        level = GRASS_BESIDE_WALKS_M if len(walks) > 0.2 * len(edges) else -GRASS_BELOW_ROAD_M
        return Terrain(True, level, None, np.zeros(0), np.zeros(0, bool), np.zeros((2, 2)), (0.0, 0.0), 1.0)
    x0, y0, x1, y1 = bounds
    spacing = max(6.0, max(x1 - x0, y1 - y0) / LARGEST_GRID)
    columns, rows = math.ceil((x1 - x0) / spacing) + 1, math.ceil((y1 - y0) / spacing) + 1
    column = np.clip(np.round((edges[:, 0] - x0) / spacing).astype(int), 0, columns - 1)
    row = np.clip(np.round((edges[:, 1] - y0) / spacing).astype(int), 0, rows - 1)
    flat_index = row * columns + column
    count = np.bincount(flat_index, minlength=rows * columns).astype(np.float64)
    total = np.bincount(flat_index, weights=road_z - below, minlength=rows * columns)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0).reshape(rows, columns)
    grid = _pull_push(mean, np.minimum(count, 1.0).reshape(rows, columns))
    return Terrain(False, 0.0, cKDTree(edges[:, :2]), road_z - below, lift > 0.05, grid, (x0, y0), spacing)


def add_terrain(
    builder: MeshBuilder,
    terrain: Terrain,
    covered: shapely.Geometry,
    asphalt: shapely.Geometry,
    cells: Cells,
    bounds: tuple[float, float, float, float],
    style: Style,
) -> None:
    """Grass from the roads' edges to the bounds, and under bridges. covered: all that is paved on the ground;
    asphalt: what of it no sidewalk covers."""
    x0, y0, x1, y1 = bounds
    size = PLAIN_CELL_M if terrain.flat else SLOPE_CELL_M
    size = max(size, math.sqrt((x1 - x0) * (y1 - y0) / MOST_CELLS))
    columns, rows = math.ceil((x1 - x0) / size), math.ceil((y1 - y0) / size)
    west, south = (g.ravel() for g in np.meshgrid(x0 + size * np.arange(columns), y0 + size * np.arange(rows)))
    boxes = shapely.box(west, south, west + size, south + size)
    bridges = union(cells.polygons[cells.bridge])
    # where a bridge begins the land starts only beneath it, or it would reach under the road and above it
    hole = union([covered, common(bridges, covered.buffer(ABUTMENT_M))]).buffer(-OVERLAP_M, quad_segs=2)
    if not terrain.flat or terrain.level > 0.0:  # level with sidewalks: it may not lie over lanes that have none
        hole = union([hole, asphalt.buffer(-SEAM_M if terrain.flat else -SLOPE_SEAM_M, quad_segs=2)])
    pieces = shapely.STRtree(shapely.get_parts(hole.normalize()))
    touched = np.unique(pieces.query(boxes, predicate="intersects")[0])
    shapely.prepare(hole)
    spanned = np.unique(shapely.STRtree(shapely.get_parts(bridges)).query(boxes, predicate="intersects")[0])
    touched = np.union1d(touched, spanned)
    cut = minus(boxes[touched], hole)
    if not bridges.is_empty:
        cut = np.concatenate([minus(cut, bridges), common(cut, bridges)])
    free = np.ones(len(boxes), dtype=bool)
    free[touched] = False
    parts = [(v, t) for cell in cut for v, t in _triangles(cell, 2.0 * size if terrain.flat else size)]
    corner = np.array([[0.0, 0.0], [size, 0.0], [size, size], [0.0, size]])
    plain = np.column_stack([west, south])[free][:, None, :] + corner
    quads = np.arange(4 * len(plain)).reshape(-1, 4)
    parts.append((plain.reshape(-1, 2), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])))
    offsets = np.cumsum([0, *(len(v) for v, _ in parts)])
    points = np.concatenate([v for v, _ in parts])
    triangles = np.concatenate([t + offset for (_, t), offset in zip(parts, offsets[:-1], strict=True)])
    # between neighbouring cells the same corner must get the same height, so one query for all of them
    heights = terrain.height(points)
    if not bridges.is_empty:
        deck = cells.heights(points, np.full(len(points), LOWEST_M), cells.bridge)
        heights = np.where(np.isnan(deck), heights, np.minimum(heights, deck - BELOW_DECK_M))
    builder.add(np.column_stack([points, heights]), triangles, style.terrain_colour, Label.TERRAIN, Material.GRASS)


def _triangles(cell: shapely.Geometry, longest: float) -> list[tuple[Array, IntArray]]:
    found = []
    for part in shapely.get_parts(cell):
        if part.geom_type != "Polygon" or part.area < 1e-3:
            continue
        vertices, triangles = triangulate(part)
        if len(triangles):
            vertices, triangles = refine(vertices, triangles, longest)
            a, b, c = (vertices[triangles[:, k]] for k in range(3))
            area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
            found.append((vertices, triangles[area > 2e-6]))
    return found
