"""The sky: a gradient that depends on the sun, soft clouds, and the light it all sheds. Colours are linear, (r, g, b).

Clouds and gradient are baked once into an octahedral map of the upper half space (Engelhardt and Dachsbacher,
"Octahedron environment maps", VMV 2008), so a look-up is a few multiplications. The sun's disc is added on look-up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from .noise import fractal_noise, hash01
from .weather import Daylight

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

MAP_SIZE = 640  # texels a side of the octahedral map
CLOUD_PERIOD = 64


class Sky(NamedTuple):
    texels: F32  # (S, S, 3)
    sun: F64  # (3,) unit vector towards the sun, or the moon
    sun_light: F64  # (3,) what a surface facing the sun receives
    disc: F64  # (3,) brightness of its disc
    above: F64  # (3,) skylight on a surface facing up
    below: F64  # (3,) light reflected by the ground on a surface facing down
    tones: F64  # (3, 3) colour at the zenith, at the horizon, and what the sun adds to the horizon below it
    street: float  # brightness of what mirrors show below the horizon


@njit(cache=True, nogil=True, error_model="numpy")
def gradient(tones: F64, up: float, toward_sun: float) -> tuple[float, float, float]:
    """Clear sky. up: sine of the elevation; toward_sun: cosine of the angle to the sun."""
    t = min(1.0, max(0.0, 1.0 - up))
    haze = t * t
    haze *= haze * (0.35 + 0.65 * t)
    glow = max(0.0, 0.5 + 0.5 * toward_sun)
    glow *= glow
    glow *= glow
    wide = 0.35 * glow
    glow *= glow
    near = glow * glow * 0.55
    low = wide * t * t + near
    return (
        tones[0, 0] + (tones[1, 0] - tones[0, 0]) * haze + tones[2, 0] * low,
        tones[0, 1] + (tones[1, 1] - tones[0, 1]) * haze + tones[2, 1] * low,
        tones[0, 2] + (tones[1, 2] - tones[0, 2]) * haze + tones[2, 2] * low,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _cloud(x: float, y: float) -> float:
    """Density before thresholding, 0..1; the slow noise bends the fast one so that edges billow."""
    bend_x = fractal_noise(x * 0.5 + 31.7, y * 0.5 + 4.2, CLOUD_PERIOD, 3) - 0.5
    bend_y = fractal_noise(x * 0.5 + 8.3, y * 0.5 + 47.1, CLOUD_PERIOD, 3) - 0.5
    return fractal_noise(x + 1.4 * bend_x, y + 1.4 * bend_y, CLOUD_PERIOD, 6)


@njit(cache=True, nogil=True, error_model="numpy")
def _unfold(row: int, column: int, size: int) -> tuple[float, float, float]:
    """Direction of a texel of the octahedral map."""
    a, b = (column + 0.5) / size * 2.0 - 1.0, (row + 0.5) / size * 2.0 - 1.0
    x, y = 0.5 * (a + b), 0.5 * (a - b)
    z = max(1.0 - abs(x) - abs(y), 0.0)
    length = np.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_clouds(thickness: F64) -> None:
    """`_cloud` of every texel, whatever the weather."""
    size = thickness.shape[0]
    for row in range(size):
        for column in range(size):
            x, y, z = _unfold(row, column, size)
            scale = 1.9 / (z + 0.16)
            thickness[row, column] = _cloud(x * scale, y * scale)


@lru_cache(maxsize=1)
def _clouds() -> F64:
    thickness = np.empty((MAP_SIZE, MAP_SIZE))
    _draw_clouds(thickness)
    return thickness


@njit(cache=True, nogil=True, error_model="numpy")
def _bake(sun: F64, tones: F64, brightness: F64, cover: float, night: float, thickness: F64, texels: F32) -> None:
    size = texels.shape[0]
    for row in range(size):
        for column in range(size):
            x, y, z = _unfold(row, column, size)
            toward = x * sun[0] + y * sun[1] + z * sun[2]
            red, green, blue = gradient(tones, z, toward)
            if night > 0.0:
                star = hash01(row * 5 + 11, column * 3 + 7)
                if star > 0.9962:
                    star = night * (star - 0.9962) * (star - 0.9962) * 36000.0 * min(1.0, 4.0 * z)
                    red, green, blue = red + star, green + star, blue + star * 1.1
            # A flat layer of clouds, bent down a little at the horizon so that it does not become infinitely dense.
            scale = 1.9 / (z + 0.16)
            u, v = x * scale, y * scale
            here = thickness[row, column]
            density = min(1.0, max(0.0, (here - (1.0 - cover)) * 5.0))
            density *= density * (3.0 - 2.0 * density)
            if density > 0.0:
                ahead = _cloud(u + sun[0] * 0.22, v + sun[1] * 0.22)
                lit = min(1.0, max(0.0, 0.72 + (here - ahead) * 3.2 - 0.30 * density))
                lit += 0.35 * max(0.0, toward) ** 8 * (1.0 - 0.6 * density)
                fade = min(1.0, max(0.0, (z - 0.015) * 7.0))
                amount = density * fade * 0.93
                white_r = (0.42 + 0.62 * lit) * brightness[0]
                white_g = (0.46 + 0.58 * lit) * brightness[1]
                white_b = (0.53 + 0.51 * lit) * brightness[2]
                red += (white_r - red) * amount
                green += (white_g - green) * amount
                blue += (white_b - blue) * amount
            texels[row, column, 0], texels[row, column, 1], texels[row, column, 2] = red, green, blue


def build_sky(light: Daylight) -> Sky:
    texels = np.empty((MAP_SIZE, MAP_SIZE, 3), np.float32)
    _bake(light.sun, light.tones, light.clouds, light.cover, light.night, _clouds(), texels)
    return Sky(texels, light.sun, light.sun_light, light.disc, light.above, light.below, light.tones, light.street)


@njit(cache=True, nogil=True, error_model="numpy")
def look_up(texels: F32, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Colour of the sky without the sun's disc in the direction of a unit vector; below the horizon, the horizon."""
    size = texels.shape[0]
    up = max(z, 0.0)
    scale = 1.0 / (abs(x) + abs(y) + up)
    a, b = (x + y) * scale, (x - y) * scale
    column = min(size - 1.001, max(0.0, (a * 0.5 + 0.5) * size - 0.5))
    row = min(size - 1.001, max(0.0, (b * 0.5 + 0.5) * size - 0.5))
    ix, iy = int(column), int(row)
    sx, sy = column - ix, row - iy
    w00, w10, w01, w11 = (1.0 - sx) * (1.0 - sy), sx * (1.0 - sy), (1.0 - sx) * sy, sx * sy
    jx, jy = ix + 1, iy + 1
    return (
        texels[iy, ix, 0] * w00 + texels[iy, jx, 0] * w10 + texels[jy, ix, 0] * w01 + texels[jy, jx, 0] * w11,
        texels[iy, ix, 1] * w00 + texels[iy, jx, 1] * w10 + texels[jy, ix, 1] * w01 + texels[jy, jx, 1] * w11,
        texels[iy, ix, 2] * w00 + texels[iy, jx, 2] * w10 + texels[jy, ix, 2] * w01 + texels[jy, jx, 2] * w11,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def sun_disc(toward_sun: float) -> float:
    """Brightness of the disc, its edge and its close glow."""
    if toward_sun < 0.995:
        return 0.0
    disc = min(1.0, max(0.0, (toward_sun - 0.99970) / 0.00018))
    glow = (toward_sun - 0.995) * 200.0
    return 6.0 * disc + 0.5 * glow * glow * glow
