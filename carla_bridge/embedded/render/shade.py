"""From a visibility buffer to colours and to the other planes a sensor may want."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Label, Material
from .fragments import Fragments, gather, locate, smooth
from .light import block_light
from .materials import paint
from .scene import Geometry, Moving, Surfaces
from .shadow import MovingShadow, Openness, StaticShadow
from .sky import Sky, gradient, look_up, sun_disc

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

SKY_DEPTH_M = 1000.0
HAZE_M = 2200.0  # [m] distance over which the air hides about half of what is behind it
TONE_STEPS = 4096
TONE_WHITE = 8.0  # linear light that is certainly white

EMISSIVE = int(Material.EMISSIVE)
SKY_LABEL = int(Label.SKY)


class Lighting(NamedTuple):
    sky: Sky
    shadow: StaticShadow
    openness: Openness
    noise: F32
    tones: npt.NDArray[np.uint8]  # (TONE_STEPS,) see tone_table


def tone_table() -> npt.NDArray[np.uint8]:
    """sRGB byte for linear light v at index sqrt(v / TONE_WHITE): a soft shoulder, then the sRGB transfer function."""
    light = (np.arange(TONE_STEPS) / (TONE_STEPS - 1)) ** 2 * TONE_WHITE
    shown = light / (1.0 + light**2.4) ** (1.0 / 2.4)
    encoded = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1.0 / 2.4) - 0.055)
    return np.round(np.clip(encoded, 0.0, 1.0) * 255.0).astype(np.uint8)


@njit(cache=True, nogil=True, error_model="numpy")
def _see_sky(count: int, f: Fragments, texels: F32, sun: F64, sun_light: F64) -> None:
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
            r, g, b = r + disc * sun_light[0], g + disc * sun_light[1], b + disc * sun_light[2]
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
) -> None:
    """Sun (Lambert), sky and bounced light, mirror image, highlight, and the haze in between."""
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
            red = red * (1.0 - shine) + (mr + (0.11 - mr) * ground) * seen
            green = green * (1.0 - shine) + (mg + (0.11 - mg) * ground) * seen
            blue = blue * (1.0 - shine) + (mb + (0.11 - mb) * ground) * seen
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
        path = distance[i] * (1.0 / HAZE_M)
        clear = 1.0 / (1.0 + path * (1.0 + 0.5 * path))
        hr, hg, hb = gradient(tones, 0.03, dx[i] * sun[0] + dy[i] * sun[1] + dz[i] * sun[2])
        x_red[i], x_green[i], x_blue[i] = hr + (red - hr) * clear, hg + (green - hg) * clear, hb + (blue - hb) * clear


@njit(cache=True, nogil=True, error_model="numpy")
def _tone(tones: npt.NDArray[np.uint8], light: float) -> int:
    share = min(1.0, max(0.0, light * (1.0 / TONE_WHITE)))
    return tones[int(np.sqrt(share) * (TONE_STEPS - 1) + 0.5)]


@njit(cache=True, nogil=True, error_model="numpy")
def _develop(count: int, side: int, f: Fragments, tones: npt.NDArray[np.uint8], bgra: npt.NDArray[np.uint8]) -> None:
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
            r, g, b = r + w * min(red[i], 1.5), g + w * min(green[i], 1.5), b + w * min(blue[i], 1.5)
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
    lighting: Lighting,
    row_buffers: Fragments,  # room for ids.shape[1] * side fragments
    bgra: npt.NDArray[np.uint8],  # (H, W, 4) out
) -> None:
    """Colour every pixel, a row at a time."""
    f, sky = row_buffers, lighting.sky
    half_w, half_h = 0.5 * ids.shape[1], 0.5 * ids.shape[0]
    for row in range(bgra.shape[0]):
        count = gather(ids, side, row, f)
        locate(count, f, camera, focal_px, half_w, half_h, static, moving, surfaces)
        smooth(count, f, static, moving, surfaces)
        _see_sky(count, f, sky.texels, sky.sun, sky.sun_light)
        paint(count, f, 1.0 / focal_px * side, surfaces.materials, surfaces.grids, lighting.noise)
        block_light(count, f, 1.0 / focal_px * side, sky.sun, lighting.shadow, lighting.openness, shadows)
        _illuminate(count, f, surfaces.materials, sky.texels, sky.sun, sky.sun_light, sky.above, sky.below, sky.tones)
        _develop(count, side, f, lighting.tones, bgra[row])


@njit(cache=True, nogil=True, error_model="numpy")
def resolve(
    ids: I32,
    camera: F64,
    focal_px: float,
    static: Geometry,
    surfaces: Surfaces,
    moving: Moving,
    depth_m: F32,
    labels: npt.NDArray[np.uint8],
    actor_ids: npt.NDArray[np.uint32],
) -> None:
    """Fill the planes whose shape is that of `ids`; a plane nobody wants comes with shape (0, 0)."""
    height, width = ids.shape
    half_w, half_h = 0.5 * width, 0.5 * height
    first_moving = static.planes.shape[0]
    want_depth, want_labels, want_actors = depth_m.size > 0, labels.size > 0, actor_ids.size > 0
    for row in range(height):
        for column in range(width):
            number = ids[row, column]
            if number < 0:
                if want_depth:
                    depth_m[row, column] = SKY_DEPTH_M
                if want_labels:
                    labels[row, column] = SKY_LABEL
                if want_actors:
                    actor_ids[row, column] = 0
                continue
            moves = number >= first_moving
            t = number - first_moving if moves else number
            if want_depth:
                planes = moving.geometry.planes if moves else static.planes
                su, sv = (column + 0.5 - half_w) / focal_px, (half_h - row - 0.5) / focal_px
                dx = camera[0, 0] + camera[1, 0] * su + camera[2, 0] * sv
                dy = camera[0, 1] + camera[1, 1] * su + camera[2, 1] * sv
                dz = camera[0, 2] + camera[1, 2] * su + camera[2, 2] * sv
                nx, ny, nz = planes[t, 0], planes[t, 1], planes[t, 2]
                facing = nx * camera[3, 0] + ny * camera[3, 1] + nz * camera[3, 2] - planes[t, 3]
                depth_m[row, column] = min(SKY_DEPTH_M, facing / max(-(nx * dx + ny * dy + nz * dz), 1e-9))
            if want_labels:
                labels[row, column] = surfaces.labels[moving.surface[t] if moves else t]
            if want_actors:
                actor_ids[row, column] = moving.actor_ids[moving.owner[t]] if moves else 0
