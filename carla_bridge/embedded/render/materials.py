"""What surfaces look like up close, from world position alone: every pattern is a function, none is an image.

Each function returns a factor (or a replacement) for the base colour. `width` is the size of a pixel on the
surface [m]: patterns finer than that are faded to their mean, so that nothing shimmers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Material
from .fragments import Fragments
from .noise import hash01, sample

F32 = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

ASPHALT, PAVING, GRASS, FACADE = int(Material.ASPHALT), int(Material.PAVING), int(Material.GRASS), int(Material.FACADE)
FOLIAGE, BODY, GLASS = int(Material.FOLIAGE), int(Material.BODY), int(Material.GLASS)


@njit(cache=True, nogil=True, error_model="numpy")
def visible(feature_m: float, width_m: float) -> float:
    """How much of a pattern with features of this size survives in pixels of this width."""
    return min(1.0, max(0.0, 2.0 - 2.0 * width_m / feature_m))


@njit(cache=True, nogil=True, error_model="numpy")
def stripes(x: float, width: float, start: float, end: float) -> float:
    """Share of the interval x +- width/2 where frac(x) is in start..end: a box-filtered pulse train."""
    low, high = x - 0.5 * width, x + 0.5 * width
    floor_low, floor_high = np.floor(low), np.floor(high)
    length = end - start
    covered = (
        (floor_high - floor_low) * length
        + min(max(high - floor_high - start, 0.0), length)
        - min(max(low - floor_low - start, 0.0), length)
    )
    return covered / width


@njit(cache=True, nogil=True, error_model="numpy")
def asphalt(noise: F32, x: float, y: float, width: float) -> float:
    shade = 1.0 + 0.10 * sample(noise, 0, x * 2.1, y * 2.1) + 0.07 * sample(noise, 0, x * 11.0 + 40.0, y * 11.0)
    fine = visible(0.10, width)
    if fine > 0.0:
        shade += fine * 0.13 * sample(noise, 1, x * 23.0, y * 23.0)
    return shade


@njit(cache=True, nogil=True, error_model="numpy")
def paving(noise: F32, x: float, y: float, width: float) -> float:
    shade = 1.0 + 0.06 * sample(noise, 0, x * 3.0, y * 3.0)
    near = visible(1.2, width)
    if near > 0.0:
        u, v = x / 0.9, y / 0.6
        shift = 0.5 * (int(np.floor(v)) & 1)
        joint_u = stripes(u + shift, max(width / 0.9, 1e-3), 0.0, 0.028)
        joint_v = stripes(v, max(width / 0.6, 1e-3), 0.0, 0.042)
        slab = hash01(int(np.floor(u + shift)), int(np.floor(v))) - 0.5
        shade *= 1.0 + near * (0.13 * slab - 0.42 * max(joint_u, joint_v))
    fine = visible(0.08, width)
    if fine > 0.0:
        shade += fine * 0.06 * sample(noise, 1, x * 31.0, y * 31.0)
    return shade


@njit(cache=True, nogil=True, error_model="numpy")
def grass(noise: F32, x: float, y: float, width: float) -> Colour:
    large = sample(noise, 0, x * 0.55, y * 0.55)
    medium = sample(noise, 0, x * 4.3 + 90.0, y * 4.3)
    shade = 1.0 + 0.14 * large + 0.12 * medium
    fine = visible(0.14, width)
    if fine > 0.0:
        shade += fine * (0.20 * sample(noise, 1, x * 13.0, y * 17.0) + 0.10 * sample(noise, 1, x * 41.0, y * 37.0))
    dry = max(0.0, large * 0.6 + medium * 0.4)
    return shade * (1.0 + 0.35 * dry), shade * (1.0 + 0.06 * dry), shade * (1.0 - 0.10 * dry)


@njit(cache=True, nogil=True, error_model="numpy")
def foliage(noise: F32, u: float, v: float, width: float) -> Colour:
    """u, v: position in the plane that the leaves face most."""
    clump = sample(noise, 0, u * 12.0, v * 12.0)
    tree = sample(noise, 0, u * 1.1 + 60.0, v * 1.1)
    shade = 1.0 + 0.24 * clump
    fine = visible(0.40, width)
    if fine > 0.0:
        shade += fine * 0.26 * sample(noise, 1, u * 5.3 + 0.5 * v, v * 5.3 - 0.5 * u)
    fine = visible(0.12, width)
    if fine > 0.0:
        shade += fine * 0.26 * sample(noise, 1, u * 17.0 - 3.0 * v, v * 17.0 + 3.0 * u)
    return shade * (1.0 + 0.16 * tree + 0.05 * clump), shade, shade * (1.0 - 0.10 * tree)


@njit(cache=True, nogil=True, error_model="numpy")
def plaster(noise: F32, u: float, z: float, width: float) -> float:
    """Streaks and stains of a wall."""
    shade = 1.0 + 0.045 * sample(noise, 0, u * 5.0, z * 1.6) + 0.03 * sample(noise, 0, u * 0.9 + 11.0, z * 0.9)
    fine = visible(0.12, width)
    if fine > 0.0:
        shade += fine * 0.025 * sample(noise, 1, u * 19.0, z * 19.0)
    return shade


@njit(cache=True, nogil=True, error_model="numpy")
def window(bay: float, storey: float, bay_width: float, storey_width: float) -> tuple[float, float, float, float]:
    """(glass, frame, sill shadow, curtain) at a point of the window grid; widths: a pixel in bays and in storeys.

    glass and frame are shares of the pixel; the sill shadow darkens the wall; the curtain (0..1) belongs to the window.
    """
    column, level = int(np.floor(bay)), int(np.floor(storey))
    low, high = (0.12, 0.80) if level == 0 else (0.27, 0.80)
    left, right = (0.10, 0.90) if level == 0 else (0.22, 0.78)
    outer = stripes(bay, bay_width, left - 0.025, right + 0.025)
    outer *= stripes(storey, storey_width, low - 0.03, high + 0.02)
    glass = stripes(bay, bay_width, left, right) * stripes(storey, storey_width, low, high)
    bar = stripes(bay, bay_width, 0.485, 0.515)
    glass *= 1.0 - bar
    sill = stripes(bay, bay_width, left - 0.05, right + 0.05) * stripes(storey, storey_width, low - 0.075, low - 0.03)
    return glass, max(0.0, outer - glass), sill, hash01(column * 31 + 7, level * 57 + 3)


@njit(cache=True, nogil=True, error_model="numpy")
def paint(
    count: int, f: Fragments, pixel_angle: float, materials: npt.NDArray[np.uint8], grids: F32, noise: F32
) -> None:
    """Apply the pattern of its material to each fragment of a surface. pixel_angle: a pixel's width 1 m away [m]."""
    number, surface, red, green, blue = f.number, f.surface, f.red, f.green, f.blue
    through, shine, gloss = f.through, f.shine, f.gloss
    xs, ys, zs, gx, gy, gz, depth, cosines = f.x, f.y, f.z, f.gx, f.gy, f.gz, f.depth, f.cosine
    for i in range(count):
        if number[i] < 0:
            continue
        through[i], shine[i], gloss[i] = 0.0, 0.0, 0.0
        s = surface[i]
        material = materials[s]
        x, y, z, cosine = xs[i], ys[i], zs[i], cosines[i]
        pixel = depth[i] * pixel_angle
        width = pixel / np.sqrt(cosine)  # between the short and the long side of the pixel's footprint
        if material == ASPHALT:
            k = asphalt(noise, x, y, width)
            red[i] *= k
            green[i] *= k
            blue[i] *= k
        elif material == PAVING:
            k = paving(noise, x, y, pixel / cosine)
            red[i] *= k
            green[i] *= k
            blue[i] *= k
        elif material in (GRASS, FOLIAGE):
            if material == GRASS:
                kr, kg, kb = grass(noise, x, y, width)
                through[i] = 0.15
            else:
                ax, ay, az = abs(gx[i]), abs(gy[i]), abs(gz[i])
                u, v = (x, y) if az > ax and az > ay else ((y, z) if ax > ay else (x, z))
                kr, kg, kb = foliage(noise, u, v, width)
                through[i] = 0.35
            red[i] *= kr
            green[i] *= kg
            blue[i] *= kb
        elif material == FACADE:
            upright = abs(gz[i]) < 0.5
            u, v = (-gy[i] * x + gx[i] * y, z) if upright else (x, y)
            k = plaster(noise, u, v, width)
            r, g, b = red[i] * k, green[i] * k, blue[i] * k
            if upright:
                bay_scale, storey_scale = grids[s, 1], grids[s, 3]
                glass, frame, sill, curtain = window(
                    (u - grids[s, 0]) * bay_scale,
                    (z - grids[s, 2]) * storey_scale,
                    max(pixel / cosine * bay_scale, 1e-3),
                    max(pixel * 1.1 * storey_scale, 1e-3),
                )
                wall = max(0.0, 1.0 - glass - frame) * (1.0 - 0.35 * sill)
                pane = (0.035 + 0.11 * max(0.0, curtain - 0.55)) * glass
                r, g, b = (
                    r * wall + 0.36 * frame + 0.80 * pane,
                    g * wall + 0.36 * frame + 0.95 * pane,
                    b * wall + 0.35 * frame + 1.10 * pane,
                )
                shine[i] = glass * (0.16 + 0.64 * (1.0 - cosine) ** 3)
            red[i], green[i], blue[i] = r, g, b
        elif material == BODY:
            shine[i] = 0.055 + 0.60 * (1.0 - cosine) ** 5  # Schlick 1994
            gloss[i] = 0.9
        elif material == GLASS:
            red[i] *= 0.35
            green[i] *= 0.35
            blue[i] *= 0.35
            shine[i] = 0.16 + 0.80 * (1.0 - cosine) ** 5
            gloss[i] = 1.2
