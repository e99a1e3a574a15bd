"""A row of the picture on its way from triangle numbers to colours.

A fragment is one triangle (or the sky) as one pixel sees it; with several samples a pixel, a pixel has one fragment
for every different triangle among its samples. The shader runs pass after pass over the fragments of one row: that
keeps the buffers in the fastest cache, and each pass short.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Material
from .scene import Geometry, Moving, Surfaces

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

FOLIAGE, BODY, GLASS = int(Material.FOLIAGE), int(Material.BODY), int(Material.GLASS)


class Fragments(NamedTuple):
    """Struct of arrays, one entry a fragment of the row."""

    number: I32  # triangle, -1: sky
    pixel: I32  # column of the picture
    weight: F32  # share of the pixel's samples
    u: F32  # where on the sample grid, in samples: the middle of the samples that see this triangle
    v: F32
    moving: I32  # triangle of the moving geometry, -1: not moving
    surface: I32  # row of the surface table
    depth: F32  # [m] along the optical axis
    distance: F32  # [m] along the ray
    x: F32  # [m] world position
    y: F32
    z: F32
    dx: F32  # unit direction of sight
    dy: F32
    dz: F32
    gx: F32  # normal of the triangle
    gy: F32
    gz: F32
    nx: F32  # normal for shading
    ny: F32
    nz: F32
    cosine: F32  # between the sight and the normal
    red: F32  # linear: first the surface's colour, then the light that leaves it
    green: F32
    blue: F32
    through: F32  # share of light that comes through from behind (leaves, grass)
    shine: F32  # share of the mirror image
    gloss: F32  # strength of the sun's highlight
    sun: F32  # share of the sun's light that arrives
    sky: F32  # share of the sky's light that arrives
    wet: F32  # strength of the mirror that water makes of the ground
    own_red: F32  # linear: light from lamps and mirrors, and what shines by itself; only kept when there is any
    own_green: F32
    own_blue: F32


INTEGERS = ("number", "pixel", "moving", "surface")


def fragments(capacity: int) -> Fragments:
    return Fragments._make(
        np.zeros(capacity, np.int32 if name in INTEGERS else np.float32) for name in Fragments._fields
    )


@njit(cache=True, nogil=True, error_model="numpy")
def gather(ids: I32, side: int, row: int, f: Fragments) -> int:
    """Collect the fragments of one row of pixels; returns their number."""
    number, pixel, weight, us, vs = f.number, f.pixel, f.weight, f.u, f.v
    used = 0
    if side == 1:
        for column in range(ids.shape[1]):
            number[column], pixel[column], weight[column] = ids[row, column], column, 1.0
            us[column], vs[column] = column + 0.5, row + 0.5
        return ids.shape[1]
    for column in range(ids.shape[1] // 2):
        r, c = 2 * row, 2 * column
        a, b, d, e = ids[r, c], ids[r, c + 1], ids[r + 1, c], ids[r + 1, c + 1]
        if a == b and a == d and a == e:
            number[used], pixel[used], weight[used] = a, column, 1.0
            us[used], vs[used] = c + 1.0, r + 1.0
            used += 1
            continue
        for k in range(4):
            mine = a if k == 0 else (b if k == 1 else (d if k == 2 else e))
            if (k > 0 and mine == a) or (k > 1 and mine == b) or (k > 2 and mine == d):
                continue
            share, u, v = 0, 0.0, 0.0
            for j in range(k, 4):
                if mine == (a if j == 0 else (b if j == 1 else (d if j == 2 else e))):
                    share += 1
                    u += c + 0.5 + (j & 1)
                    v += r + 0.5 + (j >> 1)
            number[used], pixel[used], weight[used] = mine, column, 0.25 * share
            us[used], vs[used] = u / share, v / share
            used += 1
    return used


@njit(cache=True, nogil=True, error_model="numpy")
def locate(
    count: int,
    f: Fragments,
    camera: F64,
    focal_px: float,
    half_w: float,
    half_h: float,
    static: Geometry,
    moving: Moving,
    surfaces: Surfaces,
) -> None:
    """Where each fragment lies, which way it faces, and its base colour."""
    number, us, vs, which, surface = f.number, f.u, f.v, f.moving, f.surface
    depth, distance, cosine = f.depth, f.distance, f.cosine
    x, y, z, dx, dy, dz, gx, gy, gz, nx, ny, nz = f.x, f.y, f.z, f.dx, f.dy, f.dz, f.gx, f.gy, f.gz, f.nx, f.ny, f.nz
    red, green, blue = f.red, f.green, f.blue
    still, placed, moving_surface = static.planes, moving.geometry.planes, moving.surface
    colours = surfaces.colours
    first_moving = still.shape[0]
    cx, cy, cz = camera[3, 0], camera[3, 1], camera[3, 2]
    for i in range(count):
        su, sv = (us[i] - half_w) / focal_px, (half_h - vs[i]) / focal_px
        rx = camera[0, 0] + camera[1, 0] * su + camera[2, 0] * sv
        ry = camera[0, 1] + camera[1, 1] * su + camera[2, 1] * sv
        rz = camera[0, 2] + camera[1, 2] * su + camera[2, 2] * sv
        stretch = np.sqrt(rx * rx + ry * ry + rz * rz)
        scale = 1.0 / stretch
        dx[i], dy[i], dz[i] = rx * scale, ry * scale, rz * scale
        n = number[i]
        if n < 0:
            continue
        if n >= first_moving:
            t = n - first_moving
            a, b, c, offset = placed[t, 0], placed[t, 1], placed[t, 2], placed[t, 3]
            which[i] = t
            s = moving_surface[t]
        else:
            a, b, c, offset = still[n, 0], still[n, 1], still[n, 2], still[n, 3]
            which[i] = -1
            s = n
        surface[i] = s
        slant = min(a * rx + b * ry + c * rz, -1e-9)
        # The middle of several samples may lie beyond the triangle: keep near-edge-on planes from running away.
        reach = min((a * cx + b * cy + c * cz - offset) / -slant, 2000.0)
        depth[i], distance[i] = reach, reach * stretch
        x[i], y[i], z[i] = cx + rx * reach, cy + ry * reach, cz + rz * reach
        gx[i], gy[i], gz[i] = a, b, c
        nx[i], ny[i], nz[i] = a, b, c
        cosine[i] = max(-slant * scale, 0.02)
        red[i], green[i], blue[i] = colours[s, 0], colours[s, 1], colours[s, 2]


@njit(cache=True, nogil=True, error_model="numpy")
def smooth(count: int, f: Fragments, static: Geometry, moving: Moving, surfaces: Surfaces) -> None:
    """Round what is round: blend the triangle's corner normals at the fragment (barycentric). Tint car paint."""
    number, which, surface, materials, normals = f.number, f.moving, f.surface, surfaces.materials, surfaces.normals
    xs, ys, zs, dx, dy, dz, nx, ny, nz, cosine = f.x, f.y, f.z, f.dx, f.dy, f.dz, f.nx, f.ny, f.nz, f.cosine
    red, green, blue = f.red, f.green, f.blue
    still, placed, owners = static.corners, moving.geometry.corners, moving.owner
    m, tints = moving.matrices, moving.tints
    p = np.empty(9)
    for i in range(count):
        if number[i] < 0:
            continue
        row = surface[i]
        material = materials[row]
        moves = which[i] >= 0
        if not (material == FOLIAGE or (moves and material in (BODY, GLASS))):
            continue
        for k in range(9):
            p[k] = placed[which[i], k] if moves else still[number[i], k]
        ex, ey, ez = p[3] - p[0], p[4] - p[1], p[5] - p[2]
        fx, fy, fz = p[6] - p[0], p[7] - p[1], p[8] - p[2]
        px, py, pz = xs[i] - p[0], ys[i] - p[1], zs[i] - p[2]
        ee, ef, ff = ex * ex + ey * ey + ez * ez, ex * fx + ey * fy + ez * fz, fx * fx + fy * fy + fz * fz
        pe, pf = px * ex + py * ey + pz * ez, px * fx + py * fy + pz * fz
        scale = 1.0 / max(ee * ff - ef * ef, 1e-20)
        b = min(1.0, max(0.0, (ff * pe - ef * pf) * scale))
        c = min(1.0, max(0.0, (ee * pf - ef * pe) * scale))
        a = max(0.0, 1.0 - b - c)
        wx = a * normals[row, 0] + b * normals[row, 3] + c * normals[row, 6]
        wy = a * normals[row, 1] + b * normals[row, 4] + c * normals[row, 7]
        wz = a * normals[row, 2] + b * normals[row, 5] + c * normals[row, 8]
        if moves:
            owner = owners[which[i]]
            wx, wy, wz = (
                m[owner, 0, 0] * wx + m[owner, 0, 1] * wy + m[owner, 0, 2] * wz,
                m[owner, 1, 0] * wx + m[owner, 1, 1] * wy + m[owner, 1, 2] * wz,
                m[owner, 2, 0] * wx + m[owner, 2, 1] * wy + m[owner, 2, 2] * wz,
            )
            if material == BODY:
                red[i] *= tints[owner, 0]
                green[i] *= tints[owner, 1]
                blue[i] *= tints[owner, 2]
        scale = 1.0 / max(np.sqrt(wx * wx + wy * wy + wz * wz), 1e-9)
        wx, wy, wz = wx * scale, wy * scale, wz * scale
        nx[i], ny[i], nz[i] = wx, wy, wz
        cosine[i] = max(-(wx * dx[i] + wy * dy[i] + wz * dz[i]), 0.02)
