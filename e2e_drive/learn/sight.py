"""Which BEV cells a rig's cameras can see: what no picture shows can only be guessed, by people and by networks.

A camera's column of pixels looks along one bearing (the cameras hardly nod); it sees the ground as far as its farthest
pixel just below the horizon reaches. Whoever stands lower than the camera hides nothing behind it by this rule: cars
are looked over, buildings and lorries are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bev import BevGrid, Camera, CameraRig, FloatArray

_RISE = (-0.12, -0.004)  # of the rays asked: below the horizon, and reaching 13 m or more on flat ground
_SLACK_M = 0.75  # a cell


def line_of_sight(depths: Mapping[str, FloatArray], rig: CameraRig, grid: BevGrid) -> npt.NDArray[np.bool_]:
    """depths: camera name -> (h, w) metres along the optical axis, of any size. -> (rows, columns)."""
    seen = np.zeros((grid.rows, grid.columns), dtype=bool)
    for camera in rig.cameras:
        depth = depths[camera.name]
        rows, stretch, columns, distance_m = _geometry(camera, grid, depth.shape[0], depth.shape[1])
        if not len(rows):
            continue
        reach_m = (depth[rows] * stretch).max(axis=0)  # (w,) horizontal metres along each column's bearing
        inside = columns >= 0
        seen |= inside & (distance_m <= reach_m[np.maximum(columns, 0)] + _SLACK_M)
    return seen


@lru_cache(maxsize=32)
def _geometry(camera: Camera, grid: BevGrid, height: int, width: int) -> tuple[np.ndarray, ...]:
    """Picture rows just below the horizon; horizontal metres a metre of depth (rows, w); each cell's picture column, -1
    outside the field of view, and its distance from the camera."""
    scale = camera.width / width
    rays = camera.rays(height, width)
    middle = rays[:, width // 2, 2]
    rows = np.flatnonzero((middle > _RISE[0]) & (middle < _RISE[1]))
    centres = grid.cell_centres() - (camera.x, camera.y)
    cos, sin = np.cos(camera.yaw), np.sin(camera.yaw)
    ahead = centres @ (cos, sin)
    aside = centres @ (-sin, cos)
    focal = camera.intrinsics[0, 0]
    column = np.floor((camera.width / 2 - focal * aside / np.maximum(ahead, 0.1)) / scale).astype(np.int64)
    column = np.where((ahead > 0.1) & (column >= 0) & (column < width), column, -1)
    return rows, np.hypot(rays[rows, :, 0], rays[rows, :, 1]), column, np.hypot(centres[..., 0], centres[..., 1])
