"""The planes of a picture that are no colours: depth, labels, actors, normals, optical flow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Label
from .raster import NEAR_M
from .scene import Geometry, Moving, Surfaces

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

SKY_DEPTH_M = 1000.0
SKY_LABEL = int(Label.SKY)


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


@njit(cache=True, nogil=True, error_model="numpy")
def face(ids: I32, static: Geometry, moving: Moving, normals: F32) -> None:
    """Normal of the triangle that each pixel sees, in world axes; zero where there is only sky."""
    first_moving = static.planes.shape[0]
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            number = ids[row, column]
            for k in range(3):
                if number < 0:
                    normals[row, column, k] = 0.0
                elif number >= first_moving:
                    normals[row, column, k] = moving.geometry.planes[number - first_moving, k]
                else:
                    normals[row, column, k] = static.planes[number, k]


@njit(cache=True, nogil=True, error_model="numpy")
def drift(ids: I32, camera: F64, before: F64, focal_px: float, static: Geometry, moving: Moving, flow: F32) -> None:
    """Where each pixel's point was in the picture one step earlier, subtracted from where it is now [px]: right, down.

    camera, before: (4, 3) forward, right, up, position, now and one step earlier. A point that was behind the camera's
    near plane gets no motion; the sky only turns with the camera.
    """
    height, width = ids.shape
    half_w, half_h = 0.5 * width, 0.5 * height
    first_moving = static.planes.shape[0]
    for row in range(height):
        for column in range(width):
            su, sv = (column + 0.5 - half_w) / focal_px, (half_h - row - 0.5) / focal_px
            x = camera[0, 0] + camera[1, 0] * su + camera[2, 0] * sv
            y = camera[0, 1] + camera[1, 1] * su + camera[2, 1] * sv
            z = camera[0, 2] + camera[1, 2] * su + camera[2, 2] * sv
            number = ids[row, column]
            if number >= 0:
                moves = number >= first_moving
                t = number - first_moving if moves else number
                planes = moving.geometry.planes if moves else static.planes
                nx, ny, nz = planes[t, 0], planes[t, 1], planes[t, 2]
                facing = nx * camera[3, 0] + ny * camera[3, 1] + nz * camera[3, 2] - planes[t, 3]
                depth = facing / max(-(nx * x + ny * y + nz * z), 1e-9)
                x, y, z = camera[3, 0] + x * depth, camera[3, 1] + y * depth, camera[3, 2] + z * depth
                if moves:
                    m = moving.steps[moving.owner[t]]
                    x, y, z = (
                        m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3],
                        m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3],
                        m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3],
                    )
                x, y, z = x - before[3, 0], y - before[3, 1], z - before[3, 2]
            ahead = before[0, 0] * x + before[0, 1] * y + before[0, 2] * z
            if ahead < (NEAR_M if number >= 0 else 1e-6):
                flow[row, column, 0] = flow[row, column, 1] = 0.0
                continue
            scale = focal_px / ahead
            u = half_w + (before[1, 0] * x + before[1, 1] * y + before[1, 2] * z) * scale
            v = half_h - (before[2, 0] * x + before[2, 1] * y + before[2, 2] * z) * scale
            flow[row, column, 0], flow[row, column, 1] = column + 0.5 - u, row + 0.5 - v
