"""Triangles to a visibility buffer: for every pixel the nearest triangle's number and 1/depth.

Camera space is x forward, y right, z up; a pixel's centre is at (column + 0.5, row + 0.5).

Why shared edges leave no gap: the screen position of an edge on a row is computed from its two end points ordered
by y, so two triangles that share the edge get the same bits, and a pixel belongs to the span [left, right).
Depth never depends on the clipped polygon: 1/depth is affine on the screen and comes from the triangle's own plane,
n . (camera + depth * ray) = d  =>  1/depth = -(n . ray) / (n . camera - d).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

NEAR_M = 0.1  # [m] nothing closer to the image plane is drawn
NOTHING = -1  # triangle number of a pixel that sees the sky

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]


@njit(cache=True, nogil=True, error_model="numpy")
def _first_centre(value: float, limit: int) -> int:
    """Index of the first pixel centre at or after `value`, clamped to 0..limit *before* it becomes an integer
    (near-horizontal edges give values beyond any integer)."""
    rounded = np.ceil(value - 0.5)
    if not rounded > 0.0:
        return 0
    if rounded > limit:
        return limit
    return int(rounded)


@njit(cache=True, nogil=True, error_model="numpy")
def _trace_edge(ax: float, ay: float, bx: float, by: float, width: int, side: I32, height: int) -> None:
    """Write the first pixel right of the edge for each row it crosses; a above b."""
    first = _first_centre(ay, height)
    last = _first_centre(by, height)
    if first >= last:
        return
    slope = (bx - ax) / (by - ay)
    for row in range(first, last):
        side[row] = _first_centre(ax + (row + 0.5 - ay) * slope, width)


@njit(cache=True, nogil=True, error_model="numpy")
def rasterise(
    corners: F32,  # (T, 9) three world points a triangle
    planes: F64,  # (T, 4) outward unit normal and offset: n . p = d
    chunk_first: I32,  # (C + 1,) triangles of chunk c are chunk_first[c] .. chunk_first[c + 1] - 1
    spheres: F32,  # (C, 4) bounding sphere of each chunk
    number_of_first: int,  # what triangle 0 is called in `ids`
    camera: F64,  # (4, 3) forward, right, up, position
    focal_px: float,
    inverse_depth: F32,  # (H, W) in and out
    ids: I32,  # (H, W) in and out
    left: I32,  # (H,) scratch
    right: I32,  # (H,) scratch
) -> None:
    height, width = ids.shape
    half_w, half_h = 0.5 * width, 0.5 * height
    fx, fy, fz = camera[0, 0], camera[0, 1], camera[0, 2]
    rx, ry, rz = camera[1, 0], camera[1, 1], camera[1, 2]
    ux, uy, uz = camera[2, 0], camera[2, 1], camera[2, 2]
    px, py, pz = camera[3, 0], camera[3, 1], camera[3, 2]
    # Inward unit normals of the side planes of the frustum, in camera space: (sin, -+cos).
    side_w = 1.0 / np.sqrt(focal_px * focal_px + half_w * half_w)
    side_h = 1.0 / np.sqrt(focal_px * focal_px + half_h * half_h)
    sin_w, cos_w = half_w * side_w, focal_px * side_w
    sin_h, cos_h = half_h * side_h, focal_px * side_h
    xs, ys, zs = np.empty(3), np.empty(3), np.empty(3)
    us, vs = np.empty(4), np.empty(4)

    for chunk in range(spheres.shape[0]):
        dx, dy, dz = spheres[chunk, 0] - px, spheres[chunk, 1] - py, spheres[chunk, 2] - pz
        radius = spheres[chunk, 3]
        ahead = fx * dx + fy * dy + fz * dz
        aside = abs(rx * dx + ry * dy + rz * dz)
        above = abs(ux * dx + uy * dy + uz * dz)
        if ahead + radius < NEAR_M:
            continue
        if aside * cos_w - ahead * sin_w > radius or above * cos_h - ahead * sin_h > radius:
            continue
        for t in range(chunk_first[chunk], chunk_first[chunk + 1]):
            nx, ny, nz = planes[t, 0], planes[t, 1], planes[t, 2]
            facing = nx * px + ny * py + nz * pz - planes[t, 3]
            if not facing > 0.0:
                continue
            inside = 0
            for k in range(3):
                dx, dy, dz = corners[t, 3 * k] - px, corners[t, 3 * k + 1] - py, corners[t, 3 * k + 2] - pz
                xs[k] = fx * dx + fy * dy + fz * dz
                ys[k] = rx * dx + ry * dy + rz * dz
                zs[k] = ux * dx + uy * dy + uz * dz
                if xs[k] >= NEAR_M:
                    inside += 1
            if inside == 0:
                continue
            n = 0
            if inside == 3:
                for k in range(3):
                    scale = focal_px / xs[k]
                    us[k] = half_w + ys[k] * scale
                    vs[k] = half_h - zs[k] * scale
                n = 3
            else:
                for k in range(3):
                    j = k + 1 if k < 2 else 0
                    if xs[k] >= NEAR_M:
                        scale = focal_px / xs[k]
                        us[n] = half_w + ys[k] * scale
                        vs[n] = half_h - zs[k] * scale
                        n += 1
                    if (xs[k] >= NEAR_M) != (xs[j] >= NEAR_M):
                        # Always from the end that is seen: both triangles of a shared edge get the same point.
                        a, b = (k, j) if xs[k] >= NEAR_M else (j, k)
                        s = (xs[a] - NEAR_M) / (xs[a] - xs[b])
                        scale = focal_px / NEAR_M
                        us[n] = half_w + (ys[a] + s * (ys[b] - ys[a])) * scale
                        vs[n] = half_h - (zs[a] + s * (zs[b] - zs[a])) * scale
                        n += 1
            low_u = high_u = us[0]
            low_v = high_v = vs[0]
            for k in range(1, n):
                low_u, high_u = min(low_u, us[k]), max(high_u, us[k])
                low_v, high_v = min(low_v, vs[k]), max(high_v, vs[k])
            if low_u >= width or high_u <= 0.0:
                continue
            top, bottom = _first_centre(low_v, height), _first_centre(high_v, height)
            if top >= bottom or _first_centre(low_u, width) >= _first_centre(high_u, width):
                continue
            # Seen from its front a polygon runs down on its left and up on its right.
            for k in range(n):
                j = k + 1 if k + 1 < n else 0
                if vs[k] < vs[j]:
                    _trace_edge(us[k], vs[k], us[j], vs[j], width, left, height)
                elif vs[k] > vs[j]:
                    _trace_edge(us[j], vs[j], us[k], vs[k], width, right, height)
            inverse = -1.0 / facing
            along_u = inverse * (nx * rx + ny * ry + nz * rz) / focal_px
            along_v = -inverse * (nx * ux + ny * uy + nz * uz) / focal_px
            start = inverse * (nx * fx + ny * fy + nz * fz) + along_u * (0.5 - half_w) + along_v * (0.5 - half_h)
            number = number_of_first + t
            for row in range(top, bottom):
                base = start + along_v * row
                for column in range(left[row], right[row]):
                    value = np.float32(base + along_u * column)
                    if value > inverse_depth[row, column]:
                        inverse_depth[row, column] = value
                        ids[row, column] = number
