"""What wheels and feet stand on: heights of a mesh of surfaces, for the kernels.

The triangles lie in the cells of a square grid over x, y. A query asks for the highest surface that is not more than
REACH above a point, so that below a bridge one stands on the road and not on the bridge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from carla_bridge.embedded.types import Mesh

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

REACH = 0.6  # [m] a step up that is still the same floor
NOTHING = -1e9  # the height where there is no surface
STEEPEST = 0.2  # z of the unit normal; what is steeper is a wall
_EDGE = 1e-6  # [m2] points this little outside of a triangle are on it, so that no seam is a hole
_MOST_CELLS = 250_000
_LEAST_CELL_M = 2.0


class Terrain(NamedTuple):
    """The mesh as the kernels read it. Without triangles it stands for the plane z = 0, which has its own fast path."""

    triangles: F64  # (T, 9): x0 y0 x1 y1 x2 y2, and height = p + q x + r y with x, y from the first corner
    starts: I64  # (cells + 1,)
    items: I64  # rows of triangles, ascending in each cell
    origin: F64  # (2,) [m] low corner
    shape: I64  # (2,) cells along x, y
    cell_m: float


class Ground:
    """The ground of a town; None: the plane z = 0."""

    def __init__(self, mesh: Mesh | None) -> None:
        self.terrain = _empty() if mesh is None else _index(mesh)
        self.flat = mesh is None

    def height(self, x: float, y: float, z: float) -> float | None:
        """[m] of the floor under a point, None where there is none."""
        if self.flat:
            return 0.0
        found = float(ground_at(self.terrain, x, y, z)[0])
        return None if found == NOTHING else found

    def normal(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Unit normal of that floor, upwards; (0, 0, 1) where there is none."""
        if self.flat:
            return (0.0, 0.0, 1.0)
        _, slope_x, slope_y = ground_at(self.terrain, x, y, z)
        length = float(np.sqrt(slope_x**2 + slope_y**2 + 1.0))
        return (-float(slope_x) / length, -float(slope_y) / length, 1.0 / length)


def _empty() -> Terrain:
    none = np.zeros(0, np.int64)
    return Terrain(np.zeros((0, 9)), np.zeros(2, np.int64), none, np.zeros(2), np.ones(2, np.int64), 1.0)


def _index(mesh: Mesh) -> Terrain:
    corners = mesh.vertices.astype(np.float64)[mesh.triangles]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(one, two)
    length = np.sqrt((normal * normal).sum(axis=1))
    keep = np.abs(normal[:, 2]) > STEEPEST * np.maximum(length, 1e-12)
    corners, normal = corners[keep], normal[keep]
    if not len(corners):
        raise ValueError("a ground mesh without any surface to stand on")
    slopes = -normal[:, :2] / normal[:, 2:]
    triangles = np.hstack([corners[:, :, :2].reshape(-1, 6), corners[:, 0, 2:], slopes])
    low, high = corners[:, :, :2].min(axis=1), corners[:, :, :2].max(axis=1)
    origin, size = low.min(axis=0), np.ptp(np.vstack([low, high]), axis=0)
    cell_m = max(_LEAST_CELL_M, float(np.sqrt(max(size[0], 1.0) * max(size[1], 1.0) / _MOST_CELLS)))
    shape = np.floor(size / cell_m).astype(np.int64) + 1
    first = np.floor((low - origin - 1e-6) / cell_m).astype(np.int64).clip(0, shape - 1)
    last = np.floor((high - origin + 1e-6) / cell_m).astype(np.int64).clip(0, shape - 1)
    spans = last - first + 1
    counts = spans.prod(axis=1)
    rows = np.repeat(np.arange(len(corners)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    cells = (first[rows, 0] + within // spans[rows, 1]) * shape[1] + first[rows, 1] + within % spans[rows, 1]
    order = np.argsort(cells, kind="stable")
    starts = np.searchsorted(cells[order], np.arange(int(shape.prod()) + 1)).astype(np.int64)
    return Terrain(triangles, starts, rows[order], origin, shape, cell_m)


@njit(cache=True, nogil=True)
def ground_at(terrain, x, y, z):
    """(height, dh/dx, dh/dy) of the highest surface not more than REACH above z; (NOTHING, 0, 0) where there is none.

    The normal is (-dh/dx, -dh/dy, 1) made a unit vector.
    """
    height, slope_x, slope_y = NOTHING, 0.0, 0.0
    ix = int(np.floor((x - terrain.origin[0]) / terrain.cell_m))
    iy = int(np.floor((y - terrain.origin[1]) / terrain.cell_m))
    if ix < 0 or iy < 0 or ix >= terrain.shape[0] or iy >= terrain.shape[1]:
        return height, slope_x, slope_y
    cell = ix * terrain.shape[1] + iy
    triangles = terrain.triangles
    for k in range(terrain.starts[cell], terrain.starts[cell + 1]):
        t = terrain.items[k]
        ax, ay = triangles[t, 0] - x, triangles[t, 1] - y
        h = triangles[t, 6] - triangles[t, 7] * ax - triangles[t, 8] * ay
        if h <= height or h > z + REACH:
            continue
        bx, by = triangles[t, 2] - x, triangles[t, 3] - y
        cx, cy = triangles[t, 4] - x, triangles[t, 5] - y
        u, v, w = ax * by - ay * bx, bx * cy - by * cx, cx * ay - cy * ax
        if (u >= -_EDGE and v >= -_EDGE and w >= -_EDGE) or (u <= _EDGE and v <= _EDGE and w <= _EDGE):
            height, slope_x, slope_y = h, triangles[t, 7], triangles[t, 8]
    return height, slope_x, slope_y
