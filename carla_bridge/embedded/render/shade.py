"""From a visibility buffer to colours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Material
from .fog import veil
from .fragments import Fragments, gather, locate, smooth
from .lamps import Lamps, glow, lamplight
from .light import block_light
from .materials import paint
from .scene import Geometry, Moving, Surfaces
from .shadow import MovingShadow, Openness, StaticShadow
from .sky import Sky, gradient, look_up, sun_disc
from .water import wet_ground
from .weather import Air, Water

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

HAZE_M = 2200.0  # [m] distance over which the air hides about half of what is behind it
TONE_STEPS = 4096
TONE_WHITE = 8.0  # linear light that is certainly white

EMISSIVE = int(Material.EMISSIVE)


class Lighting(NamedTuple):
    sky: Sky
    shadow: StaticShadow
    openness: Openness
    noise: F32
    air: Air
    water: Water
    street: Lamps
    night: float  # 0..1


@njit(cache=True, nogil=True, error_model="numpy")
def _see_sky(count: int, f: Fragments, texels: F32, sun: F64, disc_light: F64) -> None:
    number, dx, dy, dz, red, green, blue = f.number, f.dx, f.dy, f.dz, f.red, f.green, f.blue
    for i in range(count):
        if number[i] >= 0:
            continue
        r, g, b = look_up(texels, dx[i], dy[i], dz[i])
        if dz[i] < 0.0:  # beyond the edge of the world: the haze over a far ground
            down = min(1.0, -dz[i] * 5.0)
            r, g, b = r * (1.0 - 0.35 * down), g * (1.0 - 0.33 * down), b * (1.0 - 0.38 * down)
        else:
            disc = sun_disc(dx[i] * sun[0] + dy[i] * sun[1] + dz[i] * sun[2])
            r, g, b = r + disc * disc_light[0], g + disc * disc_light[1], b + disc * disc_light[2]
        red[i], green[i], blue[i] = r, g, b


@njit(cache=True, nogil=True, error_model="numpy")
def _illuminate(
    count: int,
    f: Fragments,
    materials: npt.NDArray[np.uint8],
    texels: F32,
    sun: F64,
    sun_light: F64,
    above: F64,
    below: F64,
    tones: F64,
    street: float,
    own: bool,
) -> None:
    """Sun (Lambert), sky and bounced light, mirror image, highlight, and the haze in between.

    own: add the light that the fragments have of their own.
    """
    number, surface, x_red, x_green, x_blue = f.number, f.surface, f.red, f.green, f.blue
    dx, dy, dz, nx, ny, nz = f.dx, f.dy, f.dz, f.nx, f.ny, f.nz
    through, shines, glosses, suns, skies, distance = f.through, f.shine, f.gloss, f.sun, f.sky, f.distance
    for i in range(count):
        if number[i] < 0:
            continue
        red, green, blue = x_red[i], x_green[i], x_blue[i]
        if materials[surface[i]] == EMISSIVE:
            x_red[i], x_green[i], x_blue[i] = red * 1.9, green * 1.9, blue * 1.9
            continue
        share, soft = skies[i], through[i]
        lambert = (nx[i] * sun[0] + ny[i] * sun[1] + nz[i] * sun[2] + soft) / (1.0 + soft)
        direct = max(lambert, 0.0) * suns[i]
        upward = 0.5 + 0.5 * nz[i]
        open_sky = share * (0.35 + 0.65 * upward)
        bounced = (1.0 - upward) * (0.4 + 0.6 * share)
        red *= sun_light[0] * direct + above[0] * open_sky + below[0] * bounced
        green *= sun_light[1] * direct + above[1] * open_sky + below[1] * bounced
        blue *= sun_light[2] * direct + above[2] * open_sky + below[2] * bounced
        shine = shines[i]
        if shine > 0.0:
            twice = 2.0 * (dx[i] * nx[i] + dy[i] * ny[i] + dz[i] * nz[i])
            rx, ry, rz = dx[i] - twice * nx[i], dy[i] - twice * ny[i], dz[i] - twice * nz[i]
            mr, mg, mb = look_up(texels, rx, ry, rz)
            ground = min(1.0, max(0.0, 0.5 - rz * 6.0))  # a dim street below the horizon
            seen = shine * (0.3 + 0.7 * share)
            red = red * (1.0 - shine) + (mr + (street - mr) * ground) * seen
            green = green * (1.0 - shine) + (mg + (street - mg) * ground) * seen
            blue = blue * (1.0 - shine) + (mb + (street - mb) * ground) * seen
        if glosses[i] > 0.0 and suns[i] > 0.0:
            # Blinn-Phong (Blinn 1977): the half vector between the sun and the eye, to the power of 128.
            hx, hy, hz = sun[0] - dx[i], sun[1] - dy[i], sun[2] - dz[i]
            half = (nx[i] * hx + ny[i] * hy + nz[i] * hz) / max(np.sqrt(hx * hx + hy * hy + hz * hz), 1e-6)
            if half > 0.8:
                for _ in range(7):
                    half *= half
                highlight = glosses[i] * half * suns[i]
                red += highlight * sun_light[0]
                green += highlight * sun_light[1]
                blue += highlight * sun_light[2]
        if own:
            red, green, blue = red + f.own_red[i], green + f.own_green[i], blue + f.own_blue[i]
        path = distance[i] * (1.0 / HAZE_M)
        clear = 1.0 / (1.0 + path * (1.0 + 0.5 * path))
        hr, hg, hb = gradient(tones, 0.03, dx[i] * sun[0] + dy[i] * sun[1] + dz[i] * sun[2])
        x_red[i], x_green[i], x_blue[i] = hr + (red - hr) * clear, hg + (green - hg) * clear, hb + (blue - hb) * clear


@njit(cache=True, nogil=True, error_model="numpy")
def _tone(tones: npt.NDArray[np.uint8], light: float) -> int:
    share = min(1.0, max(0.0, light * (1.0 / TONE_WHITE)))
    return tones[int(np.sqrt(share) * (TONE_STEPS - 1) + 0.5)]


@njit(cache=True, nogil=True, error_model="numpy")
def _develop(
    count: int, side: int, f: Fragments, tones: npt.NDArray[np.uint8], brightest: float, bgra: npt.NDArray[np.uint8]
) -> None:
    """Add up the fragments of each pixel and store bytes; bgra: (W, 4), one row."""
    red, green, blue, pixel, weight = f.red, f.green, f.blue, f.pixel, f.weight
    if side == 1:
        for i in range(count):
            bgra[i, 0], bgra[i, 1], bgra[i, 2], bgra[i, 3] = (
                _tone(tones, blue[i]),
                _tone(tones, green[i]),
                _tone(tones, red[i]),
                255,
            )
        return
    i = 0
    while i < count:
        column = pixel[i]
        r, g, b = 0.0, 0.0, 0.0
        while i < count and pixel[i] == column:
            w = weight[i]
            # Tame the brightest before averaging, or a highlight's edge would stay jagged.
            r, g, b = r + w * min(red[i], brightest), g + w * min(green[i], brightest), b + w * min(blue[i], brightest)
            i += 1
        bgra[column, 0], bgra[column, 1], bgra[column, 2], bgra[column, 3] = (
            _tone(tones, b),
            _tone(tones, g),
            _tone(tones, r),
            255,
        )


@njit(cache=True, nogil=True, error_model="numpy")
def shade(
    ids: I32,  # (H * side, W * side)
    side: int,  # samples along one side of a pixel: 1 or 2
    camera: F64,  # (4, 3) forward, right, up, position
    focal_px: float,  # of the samples' grid
    static: Geometry,
    surfaces: Surfaces,
    moving: Moving,
    shadows: MovingShadow,
    beams: Lamps,
    shining: bool,  # some vehicle has a light on
    lighting: Lighting,
    tones: npt.NDArray[np.uint8],  # see lens.tone_table
    brightest: float,  # linear light that a sample counts for at most
    row_buffers: Fragments,  # room for ids.shape[1] * side fragments
    bgra: npt.NDArray[np.uint8],  # (H, W, 4) out
) -> None:
    """Colour every pixel, a row at a time."""
    f, sky = row_buffers, lighting.sky
    half_w, half_h = 0.5 * ids.shape[1], 0.5 * ids.shape[0]
    angle = 1.0 / focal_px * side
    wet, foggy = lighting.water.wet > 0.0, lighting.air.density > 0.0 or lighting.air.level > 0.0
    own = shining or wet or lighting.night > 0.0 or len(lighting.street.kind) > 0
    for row in range(bgra.shape[0]):
        count = gather(ids, side, row, f)
        locate(count, f, camera, focal_px, half_w, half_h, static, moving, surfaces)
        smooth(count, f, static, moving, surfaces)
        _see_sky(count, f, sky.texels, sky.sun, sky.disc)
        paint(count, f, angle, surfaces.materials, surfaces.grids, lighting.noise)
        block_light(count, f, angle, sky.sun, lighting.shadow, lighting.openness, shadows)
        if own:
            glow(count, f, angle, surfaces, moving, lighting.night)
            wet_ground(count, f, surfaces.materials, lighting.noise, sky.texels, lighting.water)
            lamplight(count, f, lighting.street)
            lamplight(count, f, beams)
        _illuminate(
            count,
            f,
            surfaces.materials,
            sky.texels,
            sky.sun,
            sky.sun_light,
            sky.above,
            sky.below,
            sky.tones,
            sky.street,
            own,
        )
        if foggy:
            veil(count, f, lighting.air, sky.sun, camera[3, 2])
        _develop(count, side, f, tones, brightest, bgra[row])
