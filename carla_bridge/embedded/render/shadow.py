"""Sunlight and skylight that other things block.

The shadow map is laid on the ground: every point slides along the sun's rays to z = 0 (x - z * slope_x,
y - z * slope_y) and a texel keeps the height of the highest point that lands there. A point is in shadow when
something higher landed on its texel. The town's map is drawn once; every moving thing gets a small sharp map of its
own each frame, found through a coarse grid of cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Label, Material
from .scene import Moving, Scene

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

FINEST_TEXEL_M = 0.12  # [m] of the town's shadow map ...
LARGEST_MAP = 4096  # ... unless the town would need more texels a side than this
MOVING_TEXEL_M = 0.08
MOVING_TILE = 128  # texels a side at most
BLOCK = 8  # texels a side of the coarse maximum/minimum
CELL_M = 8.0  # [m] of the grid that finds moving things
OPENNESS_CELL_M = 0.5  # [m] of the map of how much sky the ground sees
FLOOR = -1000.0  # [m] height of a texel nobody shades
GROUND_LABELS = tuple(
    int(label)
    for label in (
        Label.ROADS,
        Label.SIDEWALKS,
        Label.TERRAIN,
        Label.GROUND,
        Label.ROAD_LINES,
        Label.RAIL_TRACK,
        Label.WATER,
    )
)
HILLY_M = 0.5  # [m] ground that stays closer to z = 0 is flat
CAST_ABOVE_M = 0.3  # [m] lower triangles (ground, kerbs, markings) cast no shadow


class StaticShadow(NamedTuple):
    heights: npt.NDArray[np.uint16]  # (S, S) 0: nothing, else 1 + (z - base) / step
    block_high: npt.NDArray[np.uint16]  # (S / 8, S / 8) over the block and two texels around it
    block_low: npt.NDArray[np.uint16]
    frame: F64  # (7,) x0, y0, 1 / texel, base, 1 / step, slope_x, slope_y


class Openness(NamedTuple):
    """Share of the sky seen from the ground, 0..1."""

    values: F32  # (Y, X)
    frame: F64  # (3,) x0, y0, 1 / cell
    ground: F32  # (Y, X) its height [m]; (0, 0) where all of it is at z = 0


class MovingShadow(NamedTuple):
    tiles: F32  # all tiles end to end
    tile: I32  # (N, 3) offset, width, height
    tile_frame: F32  # (N, 3) x0, y0, 1 / texel
    footprint: F32  # (N, 7) centre x, y, cos, sin of the long axis, half length, half width, clearance
    cells: I32  # (Y, X) first link, -1: none
    links: I32  # (L, 2) instance, next link
    cell_frame: F64  # (3,) x0, y0, 1 / cell


@njit(cache=True, nogil=True, error_model="numpy")
def draw_heights(
    corners: F32,
    slope_x: float,
    slope_y: float,
    x0: float,
    y0: float,
    per_m: float,
    above: float,
    closed: bool,
    first_step: float,
    base: float,
    step: float,
    out: npt.NDArray[np.float32] | npt.NDArray[np.uint16],
) -> None:
    """Highest z over each texel, seen along the sun's rays, as first_step + (z - base) / step (base <= z).

    closed: only the faces turned to the sun matter.
    """
    first32, base32, step32 = np.float32(first_step), np.float32(base), np.float32(step)
    rows, columns = out.shape
    px, py, pz = np.empty(3), np.empty(3), np.empty(3)
    for t in range(corners.shape[0]):
        for k in range(3):
            z = corners[t, 3 * k + 2]
            px[k] = (corners[t, 3 * k] - z * slope_x - x0) * per_m - 0.5
            py[k] = (corners[t, 3 * k + 1] - z * slope_y - y0) * per_m - 0.5
            pz[k] = z
        if max(pz[0], pz[1], pz[2]) < above:
            continue
        area = (px[1] - px[0]) * (py[2] - py[0]) - (px[2] - px[0]) * (py[1] - py[0])
        if abs(area) < 1e-9 or (closed and area > 0.0):
            continue
        gx = ((pz[1] - pz[0]) * (py[2] - py[0]) - (pz[2] - pz[0]) * (py[1] - py[0])) / area
        gy = ((px[1] - px[0]) * (pz[2] - pz[0]) - (px[2] - px[0]) * (pz[1] - pz[0])) / area
        highest, lowest = max(pz[0], pz[1], pz[2]), min(pz[0], pz[1], pz[2])
        first = int(max(0.0, np.ceil(min(py[0], py[1], py[2]))))
        last = int(min(rows - 1.0, np.floor(max(py[0], py[1], py[2]))))
        for row in range(first, last + 1):
            low, high = np.inf, -np.inf
            for k in range(3):
                j = k + 1 if k < 2 else 0
                if (py[k] <= row) != (py[j] <= row):
                    x = px[k] + (row - py[k]) / (py[j] - py[k]) * (px[j] - px[k])
                    low, high = min(low, x), max(high, x)
            if low > high:
                continue
            for column in range(int(max(0.0, np.ceil(low))), int(min(columns - 1.0, np.floor(high))) + 1):
                z = pz[0] + gx * (column - px[0]) + gy * (row - py[0])
                z = min(highest, max(lowest, z))
                kept = first32 + (np.float32(z) - base32) / step32
                if kept > out[row, column]:
                    out[row, column] = kept


def _slopes(sun: F64) -> tuple[float, float]:
    return float(sun[0] / sun[2]), float(sun[1] / sun[2])


@njit(cache=True, nogil=True, error_model="numpy")
def _blocks(heights: npt.NDArray[np.uint16], high: npt.NDArray[np.uint16], low: npt.NDArray[np.uint16]) -> None:
    """Extremes of each block of texels and its eight neighbours."""
    rows, columns = high.shape
    for row in range(rows):
        for column in range(columns):
            top, bottom = heights[row * BLOCK, column * BLOCK], heights[row * BLOCK, column * BLOCK]
            for r in range(row * BLOCK, (row + 1) * BLOCK):
                for c in range(column * BLOCK, (column + 1) * BLOCK):
                    top, bottom = max(top, heights[r, c]), min(bottom, heights[r, c])
            high[row, column], low[row, column] = top, bottom
    for extreme, largest in ((high, True), (low, False)):
        own = extreme.copy()
        for row in range(rows):
            for column in range(columns):
                value = own[row, column]
                for r in range(max(row - 1, 0), min(row + 2, rows)):
                    for c in range(max(column - 1, 0), min(column + 2, columns)):
                        value = max(value, own[r, c]) if largest else min(value, own[r, c])
                extreme[row, column] = value


def _is_ground(scene: Scene) -> npt.NDArray[np.bool_]:
    """(T,) triangles of the static world that one walks or drives on: hills throw no shadow, or all would be spots."""
    labels = scene.surfaces.labels[: len(scene.static.corners)]
    return np.isin(labels, GROUND_LABELS) & (scene.static.planes[:, 2] > 0.5)


def static_shadow(scene: Scene, sun: F64) -> StaticShadow:
    """Draw the town's shadow map."""
    slope_x, slope_y = _slopes(sun)
    casting = (scene.static.corners.reshape(-1, 3, 3)[:, :, 2] > CAST_ABOVE_M).any(axis=1) & ~_is_ground(scene)
    if not casting.any():
        empty = np.zeros((BLOCK, BLOCK), np.uint16)
        frame = np.array([0.0, 0.0, 1.0, 0.0, 1.0, slope_x, slope_y])
        return StaticShadow(empty, empty[:1, :1].copy(), empty[:1, :1].copy(), frame)
    casters = scene.static.corners[casting]
    points = casters.reshape(-1, 3).astype(np.float64)
    ground = points[:, :2] - points[:, 2:] * (slope_x, slope_y)
    low, high = ground.min(axis=0) - 1.0, ground.max(axis=0) + 1.0
    texel = max(FINEST_TEXEL_M, float((high - low).max()) / LARGEST_MAP)
    size = min(LARGEST_MAP, int(np.ceil(float((high - low).max()) / texel / BLOCK)) * BLOCK)
    base, top = float(points[:, 2].min()), float(points[:, 2].max())
    step = max(top - base, 1.0) / 65000.0
    heights = np.zeros((size, size), np.uint16)
    draw_heights(casters, slope_x, slope_y, low[0], low[1], 1.0 / texel, CAST_ABOVE_M, False, 1.0, base, step, heights)
    block_high, block_low = (np.empty((size // BLOCK, size // BLOCK), np.uint16) for _ in range(2))
    _blocks(heights, block_high, block_low)
    frame = np.array([low[0], low[1], 1.0 / texel, base, 1.0 / step, slope_x, slope_y])
    return StaticShadow(heights, block_high, block_low, frame)


@njit(cache=True, nogil=True, error_model="numpy")
def _bake_openness(heights: F32, cell_m: float, out: F32) -> None:
    rows, columns = heights.shape
    steps = np.array([1, 2, 3, 5, 8, 13, 21, 34])
    directions = 12
    for row in range(rows):
        for column in range(columns):
            total = 0.0
            for k in range(directions):
                angle = 2.0 * np.pi * k / directions
                cx, cy = np.cos(angle), np.sin(angle)
                steepest = 0.0
                for s in steps:
                    r, c = row + int(np.round(s * cy)), column + int(np.round(s * cx))
                    if 0 <= r < rows and 0 <= c < columns:
                        steepest = max(steepest, heights[r, c] / (s * cell_m))
                total += 1.0 / (1.0 + steepest * steepest)  # cos^2 of the horizon: share of a cosine-weighted sky
            out[row, column] = total / directions


def openness(scene: Scene) -> Openness:
    """How much sky each spot of ground sees between the buildings; foliage lets light through and is left out."""
    solid = scene.surfaces.materials[: len(scene.static.corners)] != Material.FOLIAGE
    is_ground = _is_ground(scene)
    casters = scene.static.corners[solid & ~is_ground]
    floor = scene.static.corners[is_ground]
    hilly = len(floor) > 0 and float(np.abs(floor[:, 2::3]).max()) > HILLY_M
    tall = casters[(casters.reshape(-1, 3, 3)[:, :, 2] > 1.0).any(axis=1)]
    if len(tall) == 0:
        return Openness(np.ones((2, 2), np.float32), np.array([0.0, 0.0, 1.0]), np.zeros((0, 0), np.float32))
    points = tall.reshape(-1, 3).astype(np.float64)
    low, high = points[:, :2].min(axis=0) - 12.0, points[:, :2].max(axis=0) + 12.0
    cell = max(OPENNESS_CELL_M, float((high - low).max()) / 1600.0)
    columns, rows = (int(v) for v in np.ceil((high - low) / cell))
    heights, ground = np.zeros((rows, columns), np.float32), np.zeros((0, 0), np.float32)
    if hilly:
        ground = np.full((rows, columns), FLOOR, np.float32)
        draw_heights(floor, 0.0, 0.0, low[0], low[1], 1.0 / cell, FLOOR, False, 0.0, 0.0, 1.0, ground)
        ground[ground == FLOOR] = np.median(floor[:, 2])
        heights[:] = ground
    draw_heights(tall, 0.0, 0.0, low[0], low[1], 1.0 / cell, 1.0 if not hilly else FLOOR, False, 0.0, 0.0, 1.0, heights)
    if hilly:
        heights -= ground
    values = np.empty((rows, columns), np.float32)
    _bake_openness(heights, cell, values)
    return Openness(values, np.array([low[0], low[1], 1.0 / cell]), ground)


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_tiles(
    corners: F32,
    chunk_first: I32,
    slope_x: float,
    slope_y: float,
    tile: I32,
    tile_frame: F32,
    tiles: F32,
    footprint: F32,
    cells: I32,
    links: I32,
    cell_frame: F64,
) -> int:
    """Draw each instance's tile and register it in the cells it may darken; returns the number of links."""
    used = 0
    rows, columns = cells.shape
    for i in range(tile.shape[0]):
        offset, width, height = tile[i, 0], tile[i, 1], tile[i, 2]
        picture = tiles[offset : offset + width * height].reshape(height, width)
        picture[:] = FLOOR
        draw_heights(
            corners[chunk_first[i] : chunk_first[i + 1]],
            slope_x,
            slope_y,
            tile_frame[i, 0],
            tile_frame[i, 1],
            tile_frame[i, 2],
            FLOOR,
            True,
            0.0,
            0.0,
            1.0,
            picture,
        )
        reach = 1.5 + footprint[i, 4]
        x_low = min(tile_frame[i, 0] - 0.5, footprint[i, 0] - reach)
        y_low = min(tile_frame[i, 1] - 0.5, footprint[i, 1] - reach)
        x_high = max(tile_frame[i, 0] + width / tile_frame[i, 2] + 0.5, footprint[i, 0] + reach)
        y_high = max(tile_frame[i, 1] + height / tile_frame[i, 2] + 0.5, footprint[i, 1] + reach)
        first_c = int(max(0.0, np.floor((x_low - cell_frame[0]) * cell_frame[2])))
        last_c = int(min(columns - 1.0, np.floor((x_high - cell_frame[0]) * cell_frame[2])))
        first_r = int(max(0.0, np.floor((y_low - cell_frame[1]) * cell_frame[2])))
        last_r = int(min(rows - 1.0, np.floor((y_high - cell_frame[1]) * cell_frame[2])))
        for r in range(first_r, last_r + 1):
            for c in range(first_c, last_c + 1):
                if used < links.shape[0]:
                    links[used, 0] = i
                    links[used, 1] = cells[r, c]
                    cells[r, c] = used
                    used += 1
    return used


def moving_shadow(moving: Moving, sun: F64) -> MovingShadow:
    """Shadow tiles and contact footprints of this frame's moving things."""
    slope_x, slope_y = _slopes(sun)
    n, matrices = len(moving.tints), moving.matrices
    first = moving.geometry.chunk_first
    if n == 0 or first[-1] == 0:
        return MovingShadow(
            np.zeros(1, np.float32),
            np.zeros((0, 3), np.int32),
            np.zeros((0, 3), np.float32),
            np.zeros((0, 7), np.float32),
            np.full((1, 1), -1, np.int32),
            np.zeros((1, 2), np.int32),
            np.array([0.0, 0.0, 1.0 / CELL_M]),
        )
    bounds = np.empty((n, 7), np.float64)  # shadow x, y low and high, lowest z, half length, half width
    _bounds(moving.geometry.corners, first, slope_x, slope_y, matrices, bounds)
    span = bounds[:, 2:4] - bounds[:, 0:2] + 0.3
    texel = np.maximum(MOVING_TEXEL_M, span.max(axis=1) / (MOVING_TILE - 1))
    shape = np.ceil(span / texel[:, None]).astype(np.int64) + 1
    areas = shape.prod(axis=1)
    offsets = np.concatenate([[0], np.cumsum(areas)])
    tile = np.ascontiguousarray(np.column_stack([offsets[:-1], shape]), np.int32)
    tile_frame = np.ascontiguousarray(np.column_stack([bounds[:, 0:2] - 0.15, 1.0 / texel]), np.float32)
    forward = matrices[:, :2, 0] / np.maximum(np.linalg.norm(matrices[:, :2, 0], axis=1, keepdims=True), 1e-6)
    footprint = np.ascontiguousarray(
        np.column_stack([moving.geometry.spheres[:, :2], forward, bounds[:, 5], bounds[:, 6], bounds[:, 4]]), np.float32
    )
    reach = 2.0 + float(bounds[:, 5].max())
    low = np.minimum(bounds[:, 0:2].min(axis=0), footprint[:, :2].min(axis=0)) - reach
    high = np.maximum(bounds[:, 2:4].max(axis=0), footprint[:, :2].max(axis=0)) + reach
    cell = max(CELL_M, float((high - low).max()) / 512.0)
    columns, rows = (int(v) for v in np.ceil((high - low) / cell))
    cells = np.full((rows, columns), -1, np.int32)
    covered = np.ceil((span + 2.0 * (bounds[:, 5:6] + 2.0) + 2.0) / cell) + 2
    links = np.empty((int(covered.prod(axis=1).sum()) + 1, 2), np.int32)
    tiles = np.empty(int(offsets[-1]), np.float32)
    cell_frame = np.array([low[0], low[1], 1.0 / cell])
    _fill_tiles(
        moving.geometry.corners, first, slope_x, slope_y, tile, tile_frame, tiles, footprint, cells, links, cell_frame
    )
    return MovingShadow(tiles, tile, tile_frame, footprint, cells, links, cell_frame)


@njit(cache=True, nogil=True, error_model="numpy")
def _bounds(corners: F32, first: I32, slope_x: float, slope_y: float, matrices: F32, bounds: F64) -> None:
    for i in range(bounds.shape[0]):
        bounds[i, 0], bounds[i, 1], bounds[i, 2], bounds[i, 3] = np.inf, np.inf, -np.inf, -np.inf
        bounds[i, 4], bounds[i, 5], bounds[i, 6] = np.inf, 0.0, 0.0
        ax, ay = matrices[i, 0, 0], matrices[i, 1, 0]
        length = max(np.sqrt(ax * ax + ay * ay), 1e-6)
        ax, ay = ax / length, ay / length
        along_low, along_high, across_low, across_high = np.inf, -np.inf, np.inf, -np.inf
        for t in range(first[i], first[i + 1]):
            for k in range(3):
                x, y, z = corners[t, 3 * k], corners[t, 3 * k + 1], corners[t, 3 * k + 2]
                qx, qy = x - z * slope_x, y - z * slope_y
                bounds[i, 0], bounds[i, 1] = min(bounds[i, 0], qx), min(bounds[i, 1], qy)
                bounds[i, 2], bounds[i, 3] = max(bounds[i, 2], qx), max(bounds[i, 3], qy)
                bounds[i, 4] = min(bounds[i, 4], z)
                along, across = ax * x + ay * y, ax * y - ay * x
                along_low, along_high = min(along_low, along), max(along_high, along)
                across_low, across_high = min(across_low, across), max(across_high, across)
        if first[i + 1] > first[i]:
            bounds[i, 5], bounds[i, 6] = 0.5 * (along_high - along_low), 0.5 * (across_high - across_low)
        else:
            bounds[i, :] = 0.0
