"""Where in bird's-eye view the depth bins of every pixel lie, and in which pixels points of the car's frame appear.

A pixel's ray is cut into depth bins; the centre of each (pixel, bin) is a point that falls into one BEV cell, or into
none. Depth is measured along the optical axis (z-depth), as a depth camera gives it, not along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bev.types import BevGrid, Camera, CameraRig, FloatArray

_NEAREST_M = 0.2  # points closer to the image plane than this are not projected


@dataclass(frozen=True)
class DepthBins:
    """`count` bins of equal width between `first_m` and `last_m` of z-depth; a class more, the last, is "farther"."""

    first_m: float = 1.0
    last_m: float = 49.0
    count: int = 48

    def __post_init__(self) -> None:
        if not 0.0 <= self.first_m < self.last_m or self.count < 1:
            raise ValueError(
                f"depth bins need 0 <= first_m < last_m and count >= 1, received {self.first_m}, {self.last_m} and "
                f"{self.count}"
            )

    @property
    def width_m(self) -> float:
        return (self.last_m - self.first_m) / self.count

    @property
    def centres_m(self) -> FloatArray:
        """(count,)"""
        return self.first_m + (np.arange(self.count) + 0.5) * self.width_m

    def classes(self, depth_m: Tensor) -> Tensor:
        """z-depths, inf where nothing is hit -> class of each (int64): its bin, `count` where it is farther than the
        last; what is nearer than the first counts as the first."""
        position = ((depth_m - self.first_m) / self.width_m).floor()
        return position.clamp(0, self.count).long()

    def expected_m(self, logits: Tensor) -> Tensor:
        """(B, count + 1, h, w) logits of the classes -> (B, h, w) mean depth; "farther" stands half a bin behind."""
        centres = self.first_m + (torch.arange(self.count + 1, device=logits.device) + 0.5) * self.width_m
        return torch.einsum("bdhw,d->bhw", logits.float().softmax(dim=1), centres)


def project(camera: Camera, points: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Points (..., 3) of the ego frame -> pixels (..., 2), and which of them the camera sees."""
    pixels, depth = camera.project(points, _NEAREST_M)
    inside = (pixels >= 0).all(-1) & (pixels < (camera.width, camera.height)).all(-1)
    return pixels, inside & (depth > _NEAREST_M)


def feature_shapes(rig: CameraRig, stride: int) -> list[tuple[int, int]]:
    """(rows, columns) of each camera's feature map."""
    for camera in rig.cameras:
        if camera.width % stride or camera.height % stride:
            raise ValueError(f"camera {camera.name!r}: {camera.width}x{camera.height} is no multiple of {stride} px")
    return [(camera.height // stride, camera.width // stride) for camera in rig.cameras]


def frustum_points(rig: CameraRig, bins: DepthBins, stride: int) -> FloatArray:
    """(N, count, 3) points of the ego frame. N pixels: through the feature maps in the rig's order, row by row."""
    points = []
    for camera, (rows, columns) in zip(rig.cameras, feature_shapes(rig, stride), strict=True):
        rays = camera.rays(rows, columns).reshape(-1, 3)
        points.append(rays[:, None] * bins.centres_m[:, None] + camera.ego_from_optical[:3, 3])
    return np.concatenate(points)


def frustum_cells(
    rig: CameraRig, grid: BevGrid, bins: DepthBins, stride: int, z_range_m: tuple[float, float]
) -> npt.NDArray[np.int64]:
    """(N, count): the cell, counted row by row, into which each (pixel, bin) falls; -1 outside the grid or of
    `z_range_m` above the ground."""
    x, y, z = np.moveaxis(frustum_points(rig, bins, stride), -1, 0)
    row = np.floor((grid.x_max_m - x) / grid.cell_m).astype(np.int64)
    column = np.floor((grid.y_max_m - y) / grid.cell_m).astype(np.int64)
    inside = (row >= 0) & (row < grid.rows) & (column >= 0) & (column < grid.columns)
    inside &= (z >= z_range_m[0]) & (z <= z_range_m[1])
    return np.where(inside, row * grid.columns + column, -1)
