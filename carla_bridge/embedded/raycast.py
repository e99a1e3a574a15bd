"""Rays against oriented boxes, for lines of sight and `world.cast_ray`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from carla_bridge.embedded.types import Box

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RayBoxes:
    """Boxes ready for rays."""

    centres: F64  # (M, 3) [m]
    axes: F64  # (M, 3, 3) rows: the box's x, y, z axes in the world
    extents: F64  # (M, 3) half sizes [m]
    radii: F64  # (M,) of the enclosing spheres
    labels: npt.NDArray[np.uint8]  # (M,) Label


def ray_boxes(boxes: Sequence[Box]) -> RayBoxes:
    """Pack boxes for `hit_boxes`."""
    count = len(boxes)
    centres = np.array([[b.centre.x, b.centre.y, b.centre.z] for b in boxes], np.float64).reshape(count, 3)
    axes = np.zeros((count, 3, 3))
    for k, box in enumerate(boxes):
        axes[k] = box.centre.matrix()[:3, :3].T
    extents = np.array([b.extent for b in boxes], np.float64).reshape(count, 3)
    labels = np.array([int(b.label) for b in boxes], np.uint8)
    return RayBoxes(centres, axes, extents, np.sqrt((extents * extents).sum(axis=1)), labels)


@njit(cache=True, nogil=True)
def hit_boxes(a, b, centres, axes, extents, radii):
    """Where the segment a-b enters each box: fraction of the way in 0..1, or -1 for a miss. (M,)

    The slab test of Kay and Kajiya (1986). A segment that begins inside a box does not enter it: no hit.
    """
    count = len(centres)
    entry = np.full(count, -1.0)
    dx, dy, dz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    length2 = dx * dx + dy * dy + dz * dz
    for k in range(count):
        ox, oy, oz = a[0] - centres[k, 0], a[1] - centres[k, 1], a[2] - centres[k, 2]
        # Reject by the enclosing sphere: the closest point of the segment to the centre.
        t = 0.0
        if length2 > 0.0:
            t = min(1.0, max(0.0, -(ox * dx + oy * dy + oz * dz) / length2))
        qx, qy, qz = ox + t * dx, oy + t * dy, oz + t * dz
        if qx * qx + qy * qy + qz * qz > radii[k] * radii[k]:
            continue
        low, high = -np.inf, np.inf
        for i in range(3):
            ux, uy, uz = axes[k, i, 0], axes[k, i, 1], axes[k, i, 2]
            origin = ox * ux + oy * uy + oz * uz
            slope = dx * ux + dy * uy + dz * uz
            if abs(slope) < 1e-12:
                if abs(origin) > extents[k, i]:
                    low, high = 1.0, -1.0
                continue
            near, far = (-extents[k, i] - origin) / slope, (extents[k, i] - origin) / slope
            if near > far:
                near, far = far, near
            low, high = max(low, near), min(high, far)
        if low <= high and 0.0 <= low <= 1.0:
            entry[k] = low
    return entry
