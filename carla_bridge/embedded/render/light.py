"""Which share of the sun's and of the sky's light reaches each fragment of a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from .fragments import Fragments
from .shadow import BLOCK, MovingShadow, Openness, StaticShadow

F64 = npt.NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def _filtered(heights: npt.NDArray[np.uint16], tx: float, ty: float, mine: float) -> float:
    """Share of the texels around (tx, ty) that are not above `mine`: 4x4 of them, weighted by a tent."""
    ix, iy = int(tx), int(ty)
    sx, sy = tx - ix, ty - iy
    lit = 0.0
    for j in range(4):
        wy = 1.0 - sy if j == 0 else (sy if j == 3 else 1.0)
        row = 0.0
        if heights[iy - 1 + j, ix - 1] <= mine:
            row += 1.0 - sx
        if heights[iy - 1 + j, ix] <= mine:
            row += 1.0
        if heights[iy - 1 + j, ix + 1] <= mine:
            row += 1.0
        if heights[iy - 1 + j, ix + 2] <= mine:
            row += sx
        lit += wy * row
    return lit / 9.0


@njit(cache=True, nogil=True, error_model="numpy")
def block_light(
    count: int, f: Fragments, pixel_angle: float, sun: F64, town: StaticShadow, opening: Openness, others: MovingShadow
) -> None:
    """How much of the sun's and of the sky's light reaches each fragment."""
    number, which, suns, skies = f.number, f.moving, f.sun, f.sky
    xs, ys, zs, depth, through = f.x, f.y, f.z, f.depth, f.through
    gx, gy, gz, nx, ny, nz = f.gx, f.gy, f.gz, f.nx, f.ny, f.nz
    heights, high, low, values = town.heights, town.block_high, town.block_low, opening.values
    x0, y0, per_m = town.frame[0], town.frame[1], town.frame[2]
    base, per_step, slope_x, slope_y = town.frame[3], town.frame[4], town.frame[5], town.frame[6]
    open_x0, open_y0, open_per_m = opening.frame[0], opening.frame[1], opening.frame[2]
    size = heights.shape[0]
    rows, columns = values.shape
    hilly = opening.ground.size > 0
    for i in range(count):
        if number[i] < 0:
            continue
        # Off the surface, or it would shade itself.
        lift = 0.20 + 0.5 * depth[i] * pixel_angle
        x, y, z = xs[i] + gx[i] * lift, ys[i] + gy[i] * lift, zs[i] + gz[i] * lift
        light = 1.0
        if nx[i] * sun[0] + ny[i] * sun[1] + nz[i] * sun[2] + through[i] <= 0.0:
            light = 0.0
        else:
            tx = (x - z * slope_x - x0) * per_m - 0.5
            ty = (y - z * slope_y - y0) * per_m - 0.5
            if 2.0 <= tx < size - 3.0 and 2.0 <= ty < size - 3.0:
                mine = 1.0 + (z - base) * per_step
                if high[int(ty) // BLOCK, int(tx) // BLOCK] > mine:
                    if low[int(ty) // BLOCK, int(tx) // BLOCK] > mine:
                        light = 0.0
                    else:
                        light = _filtered(heights, tx, ty, mine)
        suns[i] = light
        # Seen from a step outside a wall, or the wall's own cells would count.
        reach = 0.9 * (1.0 - abs(gz[i]))
        tx = (xs[i] + gx[i] * reach - open_x0) * open_per_m - 0.5
        ty = (ys[i] + gy[i] * reach - open_y0) * open_per_m - 0.5
        share = 1.0
        if 0.0 <= tx < columns - 1.0 and 0.0 <= ty < rows - 1.0:
            ix, iy = int(tx), int(ty)
            rise = zs[i] - opening.ground[iy, ix] if hilly else float(zs[i])
            if rise >= 11.0:
                skies[i] = share
                continue
            sx, sy = tx - ix, ty - iy
            top = values[iy, ix] * (1.0 - sx) + values[iy, ix + 1] * sx
            bottom = values[iy + 1, ix] * (1.0 - sx) + values[iy + 1, ix + 1] * sx
            share = top * (1.0 - sy) + bottom * sy
            share += (1.0 - share) * min(1.0, max(0.0, rise * 0.09))  # more sky with height
        skies[i] = share
    # Moving things: most cells are empty.
    tiles, tile, tile_frame, footprint = others.tiles, others.tile, others.tile_frame, others.footprint
    cells, links = others.cells, others.links
    x0, y0, per_m = others.cell_frame[0], others.cell_frame[1], others.cell_frame[2]
    rows, columns = cells.shape
    for i in range(count):
        if number[i] < 0:
            continue
        lift = 0.08 + 0.5 * depth[i] * pixel_angle
        x, y, z = xs[i] + gx[i] * lift, ys[i] + gy[i] * lift, zs[i] + gz[i] * lift
        qx, qy = x - z * slope_x, y - z * slope_y
        column, row = (qx - x0) * per_m, (qy - y0) * per_m
        if not (0.0 <= column < columns and 0.0 <= row < rows):
            continue
        link = cells[int(row), int(column)]
        while link >= 0:
            k = links[link, 0]
            link = links[link, 1]
            width, height = tile[k, 1], tile[k, 2]
            tx = (qx - tile_frame[k, 0]) * tile_frame[k, 2] - 0.5
            ty = (qy - tile_frame[k, 1]) * tile_frame[k, 2] - 0.5
            if suns[i] > 0.0 and 0.0 <= tx < width - 1.0 and 0.0 <= ty < height - 1.0:
                ix, iy = int(tx), int(ty)
                sx, sy = tx - ix, ty - iy
                at = tile[k, 0] + iy * width + ix
                lit = 0.0
                if tiles[at] <= z:
                    lit += (1.0 - sx) * (1.0 - sy)
                if tiles[at + 1] <= z:
                    lit += sx * (1.0 - sy)
                if tiles[at + width] <= z:
                    lit += (1.0 - sx) * sy
                if tiles[at + width + 1] <= z:
                    lit += sx * sy
                suns[i] = min(suns[i], lit)
            # Contact: the sky that a body close above the ground hides.
            above = footprint[k, 6] - z
            if -0.5 < above < 1.0:
                px, py = x - footprint[k, 0], y - footprint[k, 1]
                along = abs(footprint[k, 2] * px + footprint[k, 3] * py) - footprint[k, 4]
                across = abs(footprint[k, 2] * py - footprint[k, 3] * px) - footprint[k, 5]
                outside = np.sqrt(max(along, 0.0) ** 2 + max(across, 0.0) ** 2) + min(max(along, across), 0.0)
                closed = min(1.0, max(0.0, (0.55 - outside) / 1.1))
                closed *= closed * (3.0 - 2.0 * closed) * min(1.0, 1.0 - above)
                skies[i] *= 1.0 - (0.8 if which[i] < 0 else 0.4) * closed
