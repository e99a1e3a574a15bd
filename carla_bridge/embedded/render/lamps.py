"""Lamps: street lamps and head lamps that light what is near them, and everything that shines by itself.

A lamp reaches a few dozen metres; a coarse grid of cells lists those that may reach a spot. Nothing blocks the light
of a lamp (there is no shadow map for them): what faces a lamp within its reach is lit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Material, Mesh, StreetLamp
from .fragments import Fragments
from .materials import window
from .scene import Moving, Surfaces

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

CELL_M = 8.0
STREET, LOW_BEAM, HIGH_BEAM = 0, 1, 2  # kinds of lamp
REACH_M = np.array([24.0, 42.0, 85.0])  # by kind
WIDEST = 1.1  # tangent of the angle to the side up to which a head lamp shines
STREET_POWER = 80.0  # light on a surface that faces the lamp, times the distance in metres squared
BEAM_POWER = {LOW_BEAM: 1900.0, HIGH_BEAM: 3300.0}
BEAM_COLOUR = (1.0, 0.93, 0.82)
# carla.VehicleLightState
POSITION, LOW, HIGH, BRAKE, RIGHT, LEFT, REVERSE = 1, 2, 4, 8, 16, 32, 64
HEADLAMP, TAILLAMP, INDICATOR = int(Material.HEADLAMP), int(Material.TAILLAMP), int(Material.INDICATOR)
FACADE = int(Material.FACADE)


class Lamps(NamedTuple):
    """L lamps, and a grid that finds them."""

    place: F32  # (L, 3) [m]
    forward: F32  # (L, 3) unit vector
    right: F32  # (L, 3) unit vector
    colour: F32  # (L, 3) linear
    kind: I32  # (L,)
    cells: I32  # (Y, X) first link, -1: none
    links: I32  # (K, 2) lamp, next link
    frame: F64  # (3,) x0, y0, 1 / cell


@njit(cache=True, nogil=True, error_model="numpy")
def _register(low: F64, high: F64, frame: F64, cells: I32, links: I32) -> int:
    """Enter each lamp's box into the cells it touches; returns the number of links, which may exceed their room."""
    used = 0
    for i in range(low.shape[0]):
        first_c, last_c = int((low[i, 0] - frame[0]) * frame[2]), int((high[i, 0] - frame[0]) * frame[2])
        first_r, last_r = int((low[i, 1] - frame[1]) * frame[2]), int((high[i, 1] - frame[1]) * frame[2])
        for r in range(max(first_r, 0), min(last_r + 1, cells.shape[0])):
            for c in range(max(first_c, 0), min(last_c + 1, cells.shape[1])):
                if used < links.shape[0]:
                    links[used, 0], links[used, 1] = i, cells[r, c]
                    cells[r, c] = used
                used += 1
    return used


def lamps_of(place: F64, forward: F64, right: F64, colour: F64, kind: npt.NDArray[np.int64]) -> Lamps:
    """A grid over lamps given one a row."""
    count = len(place)
    reach = REACH_M[kind]
    beam = (kind != STREET)[:, None]
    tip = place + forward * reach[:, None] * beam
    wide = 0.7 * reach[:, None] * beam
    outline = np.stack([place, tip, *(place + wide * (forward + side * right) for side in (WIDEST, -WIDEST))])[..., :2]
    margin = (np.where(kind == STREET, 1.0, 0.02) * reach)[:, None]
    low, high = outline.min(axis=0) - margin, outline.max(axis=0) + margin
    if count == 0:
        low = high = np.zeros((0, 2))
    origin, end = (low.min(axis=0), high.max(axis=0)) if count else (np.zeros(2), np.zeros(2))
    columns, rows = (int(v) + 1 for v in (end - origin) / CELL_M)
    cells = np.full((rows, columns), -1, np.int32)
    room = int(np.prod(np.floor((high - low) / CELL_M) + 2, axis=1).sum())
    links = np.zeros((max(room, 1), 2), np.int32)
    frame = np.array([origin[0], origin[1], 1.0 / CELL_M])
    _register(low, high, frame, cells, links)
    as32 = lambda a: np.ascontiguousarray(a, np.float32).reshape(count, 3)  # noqa: E731
    return Lamps(
        as32(place), as32(forward), as32(right), as32(colour), np.ascontiguousarray(kind, np.int32), cells, links, frame
    )


def no_lamps() -> Lamps:
    nothing = np.zeros((0, 3))
    return lamps_of(nothing, nothing, nothing, nothing, np.zeros(0, np.int64))


def street_lamps(lamps: Sequence[StreetLamp]) -> Lamps:
    if not lamps:
        return no_lamps()
    place = np.array([lamp.position for lamp in lamps], np.float64)
    colour = np.array([lamp.colour for lamp in lamps], np.float64) * STREET_POWER
    down, right = np.tile([0.0, 0.0, -1.0], (len(lamps), 1)), np.tile([0.0, 1.0, 0.0], (len(lamps), 1))
    return lamps_of(place, down, right, colour, np.full(len(lamps), STREET))


def head_lamp_places(mesh: Mesh) -> F64:
    """(2, 3) where a prototype's head lamps are, right and left: its HEADLAMP triangles, else the front of its box."""
    if len(mesh.triangles) == 0:
        return np.zeros((2, 3))
    centres = mesh.vertices[mesh.triangles].mean(axis=1, dtype=np.float64)
    front = centres[(mesh.materials == Material.HEADLAMP) & (centres[:, 0] > 0.0)]
    low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
    nose = high[0] + 0.05
    if len(front) == 0:
        z = low[2] + 0.35 * (high[2] - low[2])
        return np.array([[nose, 0.72 * high[1], z], [nose, 0.72 * low[1], z]])
    places = []
    for side in (1.0, -1.0):
        mine = front[side * front[:, 1] > 0.0]
        y, z = (mine if len(mine) else front)[:, 1:].mean(axis=0)
        places.append((nose, y, z))
    return np.array(places)


def head_lamps(places: F64, prototype: I32, moving: Moving) -> Lamps:
    """Two beams for every vehicle whose low or high beam is on; places: (P, 2, 3)."""
    on = np.flatnonzero(moving.lights & (LOW | HIGH))
    if len(on) == 0:
        return no_lamps()
    matrices = moving.matrices[on].astype(np.float64)
    place = np.einsum("nij,nkj->nki", matrices[:, :3, :3], places[prototype[on]]) + matrices[:, None, :3, 3]
    forward, right = (np.repeat(matrices[:, :3, axis], 2, axis=0) for axis in (0, 1))
    kind = np.repeat(np.where(moving.lights[on] & HIGH, HIGH_BEAM, LOW_BEAM), 2)
    power = np.where(kind == HIGH_BEAM, BEAM_POWER[HIGH_BEAM], BEAM_POWER[LOW_BEAM])
    return lamps_of(place.reshape(-1, 3), forward, right, power[:, None] * BEAM_COLOUR, kind)


@njit(cache=True, nogil=True, error_model="numpy")
def beam(kind: int, aside: float, above: float) -> float:
    """How bright a head lamp is in a direction, 0..1; aside, above: tangents of the angles from straight ahead.

    The low beam is brightest just below the horizon and ends there (as UN Regulation 112 wants its cut-off).
    """
    edge = 1.0 - aside * aside / (WIDEST * WIDEST)
    if edge <= 0.0:
        return 0.0
    if kind == HIGH_BEAM:
        u, v = aside * 3.2, above * 9.0
        return edge * edge / (1.0 + u * u * (1.0 + u * u) + v * v * (1.0 + v * v))
    u, v = aside * 1.9, (above + 0.012) * 26.0
    if v > 0.0:
        v *= 3.0
    return edge * edge * (1.0 / (1.0 + u * u + v * v) + 0.004)


@njit(cache=True, nogil=True, error_model="numpy")
def lamplight(count: int, f: Fragments, lamps: Lamps) -> None:
    """Add what the lamps give to each fragment's own light. The fragments' colour must still be the surface's."""
    number, through, wets = f.number, f.through, f.wet
    xs, ys, zs, dx, dy, dz, nx, ny, nz = f.x, f.y, f.z, f.dx, f.dy, f.dz, f.nx, f.ny, f.nz
    red, green, blue, own_red, own_green, own_blue = f.red, f.green, f.blue, f.own_red, f.own_green, f.own_blue
    place, forward, right, colour, kinds = lamps.place, lamps.forward, lamps.right, lamps.colour, lamps.kind
    cells, links, x0, y0, per_m = lamps.cells, lamps.links, lamps.frame[0], lamps.frame[1], lamps.frame[2]
    rows, columns = cells.shape
    for i in range(count):
        if number[i] < 0:
            continue
        column, row = (xs[i] - x0) * per_m, (ys[i] - y0) * per_m
        if not (0.0 <= column < columns and 0.0 <= row < rows):
            continue
        link = cells[int(row), int(column)]
        while link >= 0:
            k = links[link, 0]
            link = links[link, 1]
            kind = kinds[k]
            vx, vy, vz = place[k, 0] - xs[i], place[k, 1] - ys[i], place[k, 2] - zs[i]
            ahead = -(forward[k, 0] * vx + forward[k, 1] * vy + forward[k, 2] * vz)
            squared = vx * vx + vy * vy + vz * vz
            window_share = 1.0 - squared / (REACH_M[kind] * REACH_M[kind])
            if ahead <= 0.0 or window_share <= 0.0:
                continue
            facing = nx[i] * vx + ny[i] * vy + nz[i] * vz
            soft = through[i]
            if facing <= 0.0 and soft == 0.0:
                continue
            shining = 1.0
            if kind != STREET:
                aside = -(right[k, 0] * vx + right[k, 1] * vy + right[k, 2] * vz) / ahead
                if abs(aside) >= WIDEST:
                    continue
                upx = forward[k, 1] * right[k, 2] - forward[k, 2] * right[k, 1]
                upy = forward[k, 2] * right[k, 0] - forward[k, 0] * right[k, 2]
                upz = forward[k, 0] * right[k, 1] - forward[k, 1] * right[k, 0]
                shining = beam(kind, aside, -(upx * vx + upy * vy + upz * vz) / ahead)
            scale = 1.0 / np.sqrt(max(squared, 0.04))
            if kind == STREET:
                shining = min(1.0, 3.0 * ahead * scale)
            facing = facing * scale + soft
            if facing <= 0.0:
                continue
            arriving = shining * window_share * window_share * scale * scale
            diffuse = arriving * facing / (1.0 + soft)
            r, g, b = red[i] * diffuse, green[i] * diffuse, blue[i] * diffuse
            if wets[i] > 0.0:
                # The lamp's image on rippled water: long because the half vector hardly turns at grazing sight.
                hx, hy, hz = vx * scale - dx[i], vy * scale - dy[i], vz * scale - dz[i]
                half = (nx[i] * hx + ny[i] * hy + nz[i] * hz) / max(np.sqrt(hx * hx + hy * hy + hz * hz), 1e-6)
                for _ in range(6):
                    half *= half
                mirrored = (5.0 if kind == STREET else 0.35) * wets[i] * half * arriving
                r, g, b = r + mirrored, g + mirrored, b + mirrored
            own_red[i] += r * colour[k, 0]
            own_green[i] += g * colour[k, 1]
            own_blue[i] += b * colour[k, 2]


@njit(cache=True, nogil=True, error_model="numpy")
def glow(count: int, f: Fragments, pixel_angle: float, surfaces: Surfaces, moving: Moving, night: float) -> None:
    """Set each fragment's own light: lamps of vehicles by their flags, and windows of rooms that are lit at night."""
    number, surface, which = f.number, f.surface, f.moving
    own_red, own_green, own_blue = f.own_red, f.own_green, f.own_blue
    materials, grids, lights, m = surfaces.materials, surfaces.grids, moving.lights, moving.matrices
    for i in range(count):
        own_red[i], own_green[i], own_blue[i] = 0.0, 0.0, 0.0
        if number[i] < 0:
            continue
        s = surface[i]
        material = materials[s]
        if material == FACADE:
            if night > 0.0 and abs(f.gz[i]) < 0.5:
                pixel = f.depth[i] * pixel_angle
                u = -f.gy[i] * f.x[i] + f.gx[i] * f.y[i]
                glass, _, _, curtain = window(
                    (u - grids[s, 0]) * grids[s, 1],
                    (f.z[i] - grids[s, 2]) * grids[s, 3],
                    max(pixel / f.cosine[i] * grids[s, 1], 1e-3),
                    max(pixel * 1.1 * grids[s, 3], 1e-3),
                )
                if curtain > 0.72:
                    shine = night * glass * (0.25 + 1.6 * (curtain - 0.72))
                    own_red[i], own_green[i], own_blue[i] = 1.00 * shine, 0.72 * shine, 0.40 * shine
        elif which[i] >= 0 and material >= HEADLAMP:
            owner = moving.owner[which[i]]
            flags = lights[owner]
            if flags == 0:
                continue
            px, py, pz = f.x[i] - m[owner, 0, 3], f.y[i] - m[owner, 1, 3], f.z[i] - m[owner, 2, 3]
            if material == HEADLAMP:
                if m[owner, 0, 0] * px + m[owner, 1, 0] * py + m[owner, 2, 0] * pz < 0.0:
                    shine = 1.6 if flags & REVERSE else 0.0
                else:
                    shine = 6.0 if flags & HIGH else (4.0 if flags & LOW else (0.6 if flags & POSITION else 0.0))
                own_red[i], own_green[i], own_blue[i] = shine, 0.95 * shine, 0.86 * shine
            elif material == TAILLAMP:
                shine = 3.0 if flags & BRAKE else (0.7 if flags & (POSITION | LOW | HIGH) else 0.0)
                own_red[i], own_green[i], own_blue[i] = shine, 0.04 * shine, 0.03 * shine
            elif material == INDICATOR:
                right_side = m[owner, 0, 1] * px + m[owner, 1, 1] * py + m[owner, 2, 1] * pz > 0.0
                if flags & (RIGHT if right_side else LEFT):
                    own_red[i], own_green[i], own_blue[i] = 3.0, 1.15, 0.05
