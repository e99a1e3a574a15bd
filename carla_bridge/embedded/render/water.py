"""Rain: a wet ground that mirrors the sky, puddles on it, and streaks in the air."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Material
from .fragments import Fragments
from .noise import hash01, sample
from .sky import look_up
from .weather import Water

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

ASPHALT, PAVING, GRASS = int(Material.ASPHALT), int(Material.PAVING), int(Material.GRASS)
PLAIN = int(Material.PLAIN)
FALL_M_S = 9.0  # a large drop's (Gunn and Kinzer 1949)
SHUTTER_S = 1.0 / 50.0
NEAREST_M, DEEPEST_M = 1.2, 14.0  # where the streaks that are seen one by one fall
STREAKS_PER_PIXEL = 0.009  # in the hardest rain


@njit(cache=True, nogil=True, error_model="numpy")
def wet_ground(
    count: int, f: Fragments, materials: npt.NDArray[np.uint8], noise: F32, texels: F32, water: Water
) -> None:
    """Darken what is wet and put the sky's mirror image on it.

    The water's pores take light in (Lekner and Dorf 1988); its surface mirrors by Schlick's term for n = 1.33.
    """
    number, surface, nz, cosine, wets = f.number, f.surface, f.nz, f.cosine, f.wet
    xs, ys, dx, dy, dz, skies = f.x, f.y, f.dx, f.dy, f.dz, f.sky
    red, green, blue, gloss = f.red, f.green, f.blue, f.gloss
    for i in range(count):
        wets[i] = 0.0
        if water.wet <= 0.0 or number[i] < 0 or nz[i] < 0.8:
            continue
        material = materials[surface[i]]
        if f.moving[i] >= 0 or material not in (ASPHALT, PAVING, PLAIN, GRASS):
            continue
        if material == GRASS:
            dark = 1.0 - 0.3 * water.wet
            red[i], green[i], blue[i] = red[i] * dark, green[i] * dark, blue[i] * dark
            continue
        x, y = xs[i], ys[i]
        lie = 0.5 + 0.5 * sample(noise, 0, x * 2.3 + 7.0, y * 2.3) + 0.25 * sample(noise, 0, x * 9.0, y * 9.0 + 3.0)
        pool = min(1.0, max(0.0, (lie - 1.02 + 0.75 * water.puddles) * 7.0)) if water.puddles > 0.0 else 0.0
        film = water.wet * (0.55 + 0.45 * min(1.0, max(0.0, lie)))
        film += (1.0 - film) * pool
        grazing = 1.0 - cosine[i]
        grazing *= grazing * grazing * grazing * grazing
        # A rough wet surface is a mirror only where one looks along it; a pool is one everywhere.
        mirror = film * (0.04 + 0.96 * grazing) * (0.6 + 0.4 * pool)
        dark = (1.0 - 0.55 * film) * (1.0 - mirror)
        red[i], green[i], blue[i] = red[i] * dark, green[i] * dark, blue[i] * dark
        gloss[i] = 0.15 * film + 0.5 * pool
        wets[i] = mirror + 0.02 * film
        ripple = (1.0 - 0.8 * pool) * 0.10
        sx = ripple * sample(noise, 1, x * 37.0, y * 37.0)
        sy = ripple * sample(noise, 1, x * 37.0 + 91.0, y * 37.0)
        r, g, b = look_up(texels, dx[i] + sx, dy[i] + sy, max(-dz[i], 0.02))
        seen = mirror * (0.25 + 0.75 * skies[i])
        f.own_red[i] += r * seen
        f.own_green[i] += g * seen
        f.own_blue[i] += b * seen


@njit(cache=True, nogil=True, error_model="numpy")
def streaks(
    bgra: npt.NDArray[np.uint8], camera: F64, focal_px: float, amount: float, colour: npt.NDArray[np.uint8], seed: int
) -> None:
    """Draw falling drops as lines one shutter time long. The same seed gives the same drops; camera: (4, 3)."""
    height, width = bgra.shape[:2]
    half_w, half_h = 0.5 * width, 0.5 * height
    fall = FALL_M_S * SHUTTER_S
    fx, fy, fz = -camera[0, 2] * fall, -camera[1, 2] * fall, -camera[2, 2] * fall
    for k in range(int(amount**0.7 * STREAKS_PER_PIXEL * width * height)):
        near = hash01(4 * k, seed)
        depth = NEAREST_M + (DEEPEST_M - NEAREST_M) * np.sqrt(near)
        u0, v0 = hash01(4 * k + 1, seed) * width, (hash01(4 * k + 2, seed) * 1.2 - 0.2) * height
        slant = (hash01(4 * k + 3, seed) - 0.5) * 0.12 * fall
        ahead = depth + fx
        if ahead < 0.3:
            continue
        scale = focal_px / ahead
        u1 = half_w + ((u0 - half_w) * depth / focal_px + fy + slant) * scale
        v1 = half_h + ((v0 - half_h) * depth / focal_px - fz) * scale
        length = max(abs(u1 - u0), abs(v1 - v0))
        steps = int(min(length, 0.35 * height)) + 1
        strength = min(0.40, 0.9 * focal_px / depth * 0.004) + 0.08
        for s in range(steps):
            t = (s + 0.5) / steps
            column, row = int(np.floor(u0 + (u1 - u0) * t)), int(np.floor(v0 + (v1 - v0) * t))
            if 0 <= column < width and 0 <= row < height:
                here = strength * 4.0 * t * (1.0 - t)
                for c in range(3):
                    behind = float(bgra[row, column, c])
                    bgra[row, column, c] = int(behind + (float(colour[c]) - behind) * here + 0.5)
