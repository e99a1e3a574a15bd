"""The sky: a gradient that depends on the sun, soft clouds, and the light it all sheds. Colours are linear, (r, g, b).

Clouds and gradient are baked once into an octahedral map of the upper half space (Engelhardt and Dachsbacher,
"Octahedron environment maps", VMV 2008), so a look-up is a few multiplications. The sun's disc is added on look-up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from .noise import fractal_noise

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

MAP_SIZE = 640  # texels a side of the octahedral map
CLOUD_PERIOD = 64


class Sky(NamedTuple):
    texels: F32  # (S, S, 3)
    sun: F64  # (3,) unit vector towards the sun
    sun_light: F64  # (3,) what a surface facing the sun receives
    above: F64  # (3,) skylight on a surface facing up
    below: F64  # (3,) light reflected by the ground on a surface facing down
    tones: F64  # (3, 3) colour at the zenith, at the horizon, and what the sun adds to the horizon below it


def sun_direction(azimuth_deg: float, altitude_deg: float) -> F64:
    """Unit vector towards the sun; the azimuth turns like yaw (from x towards y)."""
    azimuth, altitude = np.radians(azimuth_deg), np.radians(altitude_deg)
    return np.array([np.cos(altitude) * np.cos(azimuth), np.cos(altitude) * np.sin(azimuth), np.sin(altitude)])


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
def _bake(sun: F64, tones: F64, sun_light: F64, cover: float, texels: F32) -> None:
    size = texels.shape[0]
    for row in range(size):
        for column in range(size):
            a, b = (column + 0.5) / size * 2.0 - 1.0, (row + 0.5) / size * 2.0 - 1.0
            x, y = 0.5 * (a + b), 0.5 * (a - b)
            z = max(1.0 - abs(x) - abs(y), 0.0)
            length = np.sqrt(x * x + y * y + z * z)
            x, y, z = x / length, y / length, z / length
            toward = x * sun[0] + y * sun[1] + z * sun[2]
            red, green, blue = gradient(tones, z, toward)
            # A flat layer of clouds, bent down a little at the horizon so that it does not become infinitely dense.
            scale = 1.9 / (z + 0.16)
            u, v = x * scale, y * scale
            here = _cloud(u, v)
            density = min(1.0, max(0.0, (here - (1.0 - cover)) * 5.0))
            density *= density * (3.0 - 2.0 * density)
            if density > 0.0:
                ahead = _cloud(u + sun[0] * 0.22, v + sun[1] * 0.22)
                lit = min(1.0, max(0.0, 0.72 + (here - ahead) * 3.2 - 0.30 * density))
                lit += 0.35 * max(0.0, toward) ** 8 * (1.0 - 0.6 * density)
                fade = min(1.0, max(0.0, (z - 0.015) * 7.0))
                amount = density * fade * 0.93
                white_r = (0.42 + 0.62 * lit) * (0.55 + 0.45 * sun_light[0] / 1.6)
                white_g = (0.46 + 0.58 * lit) * (0.55 + 0.45 * sun_light[1] / 1.6)
                white_b = (0.53 + 0.51 * lit) * (0.55 + 0.45 * sun_light[2] / 1.6)
                red += (white_r - red) * amount
                green += (white_g - green) * amount
                blue += (white_b - blue) * amount
            texels[row, column, 0], texels[row, column, 1], texels[row, column, 2] = red, green, blue


def build_sky(azimuth_deg: float, altitude_deg: float, cover: float = 0.50) -> Sky:
    """Sky for a sun at least 3 degrees high (lower, its shadows would be endless)."""
    altitude_deg = max(float(altitude_deg), 3.0)
    sun = sun_direction(azimuth_deg, altitude_deg)
    high = float(np.clip((altitude_deg - 3.0) / 32.0, 0.0, 1.0)) ** 0.6
    mix = lambda low, top: np.asarray(low) + (np.asarray(top) - np.asarray(low)) * high  # noqa: E731
    sun_light = mix((1.10, 0.52, 0.20), (1.85, 1.66, 1.36))
    above = mix((0.22, 0.26, 0.38), (0.57, 0.65, 0.77))
    below = mix((0.10, 0.09, 0.08), (0.30, 0.27, 0.22))
    tones = np.stack(
        [
            mix((0.10, 0.17, 0.36), (0.075, 0.205, 0.52)),
            mix((0.62, 0.47, 0.40), (0.60, 0.74, 0.90)),
            mix((0.60, 0.30, 0.08), (0.42, 0.34, 0.20)),
        ]
    )
    texels = np.empty((MAP_SIZE, MAP_SIZE, 3), np.float32)
    _bake(sun, tones, sun_light, cover, texels)
    return Sky(texels, sun, sun_light, above, below, tones)


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
