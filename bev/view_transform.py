"""Camera features -> bird's-eye view, by asking each BEV cell which pixels look at it.

Every cell is lifted to a few heights; each such point is projected into every camera and takes the bilinearly
interpolated features found there. This is the parameter-free lift of Simple-BEV (Harley et al., arXiv 2206.07959),
which needs no depth and no depth labels; the layers after it learn which height was right. Where several cameras see
a point, they are weighted by their resolution (focal length squared: pixels per solid angle), so the tele lens is not
blurred by the wide ones.

Since the cameras are fixed to the car, the whole lift is one sparse matrix (points x pixels), built once for a rig.

Shapes:  B batch   C channels   P = rows * columns * heights points   N pixels of all feature maps together
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev.types import BevGrid, Camera, CameraRig, FloatArray

_NEAREST_M = 0.2  # points closer to the image plane than this are not projected


def grid_points(grid: BevGrid, heights_m: Sequence[float]) -> FloatArray:
    """(rows * columns * heights, 3) points of the ego frame, height fastest."""
    ground = grid.cell_centres().reshape(-1, 1, 2)
    height = np.asarray(heights_m, dtype=np.float64).reshape(1, -1, 1)
    return np.concatenate(
        [np.repeat(ground, len(heights_m), axis=1), np.repeat(height, len(ground), axis=0)], axis=2
    ).reshape(-1, 3)


def project(camera: Camera, points: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Points (P, 3) of the ego frame -> pixels (P, 2), and which of them the camera sees."""
    optical_from_ego = np.linalg.inv(camera.ego_from_optical)
    optical = points @ optical_from_ego[:3, :3].T + optical_from_ego[:3, 3]
    depth = optical[:, 2]
    image = optical @ camera.intrinsics.T
    pixels = image[:, :2] / np.maximum(depth, _NEAREST_M)[:, None]
    seen = (depth > _NEAREST_M) & (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1)
    return pixels, seen


def lift_entries(rig: CameraRig, grid: BevGrid, heights_m: Sequence[float], stride: int) -> tuple[np.ndarray, ...]:
    """The lift as a sparse matrix: (point, pixel, weight) triplets sorted by point; a seen point's weights sum to 1.

    Pixels are numbered through the cameras' feature maps in the rig's order, row by row.
    """
    points = grid_points(grid, heights_m)
    total = np.zeros(len(points))
    triplets, offset = [], 0
    for camera in rig.cameras:
        if camera.width % stride or camera.height % stride:
            raise ValueError(f"camera {camera.name!r}: {camera.width}x{camera.height} is no multiple of {stride} px")
        columns, rows = camera.width // stride, camera.height // stride
        pixels, seen = project(camera, points)
        index = np.flatnonzero(seen)
        position = pixels[index] / stride - 0.5  # feature (0, 0) is centred half a stride into the picture
        low = np.floor(position).astype(np.int64)
        fraction = position - low
        resolution = camera.intrinsics[0, 0] ** 2
        total[index] += resolution
        for step_u in (0, 1):
            for step_v in (0, 1):
                u = np.clip(low[:, 0] + step_u, 0, columns - 1)
                v = np.clip(low[:, 1] + step_v, 0, rows - 1)
                share_u = fraction[:, 0] if step_u else 1 - fraction[:, 0]
                share_v = fraction[:, 1] if step_v else 1 - fraction[:, 1]
                triplets.append((index, offset + v * columns + u, share_u * share_v * resolution))
        offset += rows * columns
    point, pixel, weight = (np.concatenate(parts) for parts in zip(*triplets, strict=True))
    order = np.argsort(point, kind="stable")
    point, pixel, weight = point[order], pixel[order], weight[order]
    return point, pixel, (weight / total[point]).astype(np.float32)


class _SparseLift(torch.autograd.Function):
    """lifted = M @ table, M given by its rows (forward) and by its columns (backward).

    Two weighted embedding bags: on CPU several times faster than grid_sample or a sparse CSR product, since a row of
    the table (all channels of all samples of one pixel) is contiguous.
    """

    @staticmethod
    def forward(ctx, table: Tensor, rows: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> Tensor:
        ctx.columns = columns
        index, starts, weights = rows
        # Detached: autograd is our business here, and its bookkeeping makes embedding_bag several times slower.
        return F.embedding_bag(index, table.detach(), starts, mode="sum", per_sample_weights=weights.to(table.dtype))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        index, starts, weights = ctx.columns
        gradient = gradient.contiguous()
        table = F.embedding_bag(index, gradient, starts, mode="sum", per_sample_weights=weights.to(gradient.dtype))
        return table, None, None


class ViewTransform(nn.Module):
    """One (B, C, h, w) feature map a camera, in the rig's order -> (B, C, rows, columns)."""

    row_index: Tensor
    row_starts: Tensor
    row_weights: Tensor
    column_index: Tensor
    column_starts: Tensor
    column_weights: Tensor

    def __init__(self, rig: CameraRig, grid: BevGrid, heights_m: Sequence[float], channels: int, stride: int) -> None:
        super().__init__()
        self.grid, self.heights_m, self.stride = grid, tuple(heights_m), stride
        self.squeeze = nn.Linear(len(self.heights_m) * channels, channels)
        self.set_rig(rig)

    def set_rig(self, rig: CameraRig) -> None:
        """Build the lift for these cameras (the calibration enters the network here, and only here)."""
        point, pixel, weight = lift_entries(rig, self.grid, self.heights_m, self.stride)
        points = self.grid.rows * self.grid.columns * len(self.heights_m)
        pixels = sum(camera.width * camera.height // self.stride**2 for camera in rig.cameras)
        order = np.argsort(pixel, kind="stable")
        device = self.squeeze.weight.device
        for name, array in {
            "row_index": pixel,
            "row_starts": np.searchsorted(point, np.arange(points)),
            "row_weights": weight,
            "column_index": point[order],
            "column_starts": np.searchsorted(pixel[order], np.arange(pixels)),
            "column_weights": weight[order],
        }.items():
            # Not persistent: the weights of a model do not depend on the rig it looks through.
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).to(device), persistent=False)

    def forward(self, *features: Tensor) -> tuple[Tensor]:
        batch, channels = features[0].shape[:2]
        table = torch.cat([feature.flatten(2) for feature in features], dim=2)  # (B, C, N)
        table = table.permute(2, 0, 1).reshape(-1, batch * channels)
        lifted = _SparseLift.apply(
            table,
            (self.row_index, self.row_starts, self.row_weights),
            (self.column_index, self.column_starts, self.column_weights),
        )
        cells, heights = self.grid.rows * self.grid.columns, len(self.heights_m)
        stacked = lifted.view(cells, heights, batch, channels).permute(2, 0, 1, 3).reshape(batch, cells, -1)
        squeezed = self.squeeze(stacked)
        return (squeezed.transpose(1, 2).reshape(batch, channels, self.grid.rows, self.grid.columns),)
