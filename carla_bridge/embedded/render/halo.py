"""The shine around lamps that are seen at night: street lamps, head lamps, traffic lights.

A soft disc is laid over the finished picture around every lamp that is not hidden; it is what glare in a lens does,
and what tells a lamp that is on from a white spot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Material, Mesh
from .lamps import STREET, Lamps
from .scene import Moving

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

RADIUS_M = 0.9  # of a disc, as if at the lamp ...
LEAST_PX = 2.5  # ... but never smaller than this
REACH_M = 160.0  # [m] lamps farther away only show as what they are
CLEARANCE_M = 1.0  # what hides a lamp is at least this much nearer: not its own glass


class Halos(NamedTuple):
    place: F32  # (K, 3)
    forward: F32  # (K, 3) where it shines; zero: all around
    colour: F32  # (K, 3) strength, red green blue, 0..1


class Shining(NamedTuple):
    """What shines by itself on each prototype, as one spot; strength 0 where nothing does."""

    place: F64  # (P, 3)
    forward: F64  # (P, 3)
    colour: F64  # (P, 3)


def shining(prototypes: Sequence[Mesh]) -> Shining:
    found = Shining(*(np.zeros((len(prototypes), 3)) for _ in range(3)))
    for p, mesh in enumerate(prototypes):
        lit = mesh.materials == Material.EMISSIVE
        if lit.any():
            corners = mesh.vertices[mesh.triangles[lit]].astype(np.float64)
            found.place[p] = corners.mean(axis=(0, 1))
            facing = np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0]).sum(axis=0)
            found.forward[p] = facing / max(float(np.linalg.norm(facing)), 1e-9)
            found.colour[p] = mesh.colours[lit].mean(axis=0)
    return found


def halos(spots: Shining, prototype: npt.NDArray[np.int32], moving: Moving, lamps: Sequence[Lamps]) -> Halos:
    """Of the things of one frame and of lamps."""
    on = np.flatnonzero(spots.colour[prototype].any(axis=1))
    turn = moving.matrices[on, :3, :3].astype(np.float64)
    place = [np.einsum("nij,nj->ni", turn, spots.place[prototype[on]]) + moving.matrices[on, :3, 3]]
    forward = [np.einsum("nij,nj->ni", turn, spots.forward[prototype[on]])]
    colour = [0.75 * spots.colour[prototype[on]]]
    for group in lamps:
        beams = (group.kind != STREET)[:, None]
        place.append(group.place.astype(np.float64))
        forward.append(group.forward * beams)
        colour.append(group.colour / np.maximum(group.colour.max(axis=1, keepdims=True), 1e-9) * (0.7 + 0.3 * beams))
    return Halos(*(np.ascontiguousarray(np.concatenate(part), np.float32) for part in (place, forward, colour)))


@njit(cache=True, nogil=True, error_model="numpy")
def _unhidden(inverse_depth: F32, side: int, u: float, v: float, depth: float) -> float:
    """Share of five samples around a spot [px] where nothing is clearly nearer than it."""
    height, width = inverse_depth.shape
    nearer = 1.0 / max(depth - CLEARANCE_M, 0.1)
    free = 0
    for k in range(5):
        column = int(np.floor(side * (u + (1.5 if k == 1 else (-1.5 if k == 2 else 0.0)))))
        row = int(np.floor(side * (v + (1.5 if k == 3 else (-1.5 if k == 4 else 0.0)))))
        if 0 <= column < width and 0 <= row < height and inverse_depth[row, column] <= nearer:
            free += 1
    return 0.2 * free


@njit(cache=True, nogil=True, error_model="numpy")
def draw_halos(
    bgra: npt.NDArray[np.uint8],
    camera: F64,
    focal_px: float,
    inverse_depth: F32,
    side: int,
    spots: Halos,
    strength: float,
    fog: float,
) -> None:
    """side: samples of inverse_depth along a pixel's side; fog: extinction [1/m], which widens and dims the discs."""
    height, width = bgra.shape[:2]
    for k in range(spots.place.shape[0]):
        x, y, z = spots.place[k, 0] - camera[3, 0], spots.place[k, 1] - camera[3, 1], spots.place[k, 2] - camera[3, 2]
        ahead = camera[0, 0] * x + camera[0, 1] * y + camera[0, 2] * z
        if ahead < 1.0 or ahead > REACH_M:
            continue
        u = 0.5 * width + (camera[1, 0] * x + camera[1, 1] * y + camera[1, 2] * z) * focal_px / ahead
        v = 0.5 * height - (camera[2, 0] * x + camera[2, 1] * y + camera[2, 2] * z) * focal_px / ahead
        distance = np.sqrt(x * x + y * y + z * z)
        facing = -(spots.forward[k, 0] * x + spots.forward[k, 1] * y + spots.forward[k, 2] * z) / distance
        if spots.forward[k, 0] == 0.0 and spots.forward[k, 1] == 0.0 and spots.forward[k, 2] == 0.0:
            facing = 1.0
        if facing <= 0.0:
            continue
        murk = min(1.0, fog * 60.0)
        radius = max(LEAST_PX, focal_px * RADIUS_M * (1.0 + murk) / ahead)
        radius = min(radius, 0.12 * width)
        if u < -radius or u > width + radius or v < -radius or v > height + radius:
            continue
        level = strength * facing * facing * np.exp(-fog * distance) * (1.0 - ahead / REACH_M)
        level *= _unhidden(inverse_depth, side, u, v, ahead)
        if level < 0.004:
            continue
        for row in range(max(int(v - radius), 0), min(int(v + radius) + 2, height)):
            for column in range(max(int(u - radius), 0), min(int(u + radius) + 2, width)):
                du, dv = (column + 0.5 - u) / radius, (row + 0.5 - v) / radius
                r = du * du + dv * dv
                if r >= 1.0:
                    continue
                fall = (1.0 - r) * (1.0 - r) * (1.0 - r) * level * 0.15 / (0.15 + r)
                for c in range(3):
                    dark = 255.0 - bgra[row, column, c]
                    bgra[row, column, c] = int(255.0 - dark * (1.0 - min(fall * spots.colour[k, 2 - c], 0.95)) + 0.5)
