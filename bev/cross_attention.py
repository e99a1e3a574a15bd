"""Camera features -> bird's-eye view by asking: deformable spatial cross-attention (BEVFormer, arXiv 2203.17270).

Learned BEV queries, one a few cells wide, stand at several heights; where such a point appears in a camera, a query
samples the features around it, at offsets and with weights that it chooses itself (Deformable DETR, arXiv 2010.04159).
The first layer's choices are the same for every picture; from the second on they follow from what was seen.

Shapes:  B batch   C channels   h, w feature map   Q queries   G heads   Z heights   S samples a height
         n queries that a camera sees at some height
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev.frustum import feature_shapes, project
from bev.types import BevGrid, CameraRig


class _Layer(nn.Module):
    """One round of looking into every camera, and a feed-forward block."""

    def __init__(self, channels: int, heads: int, heights: int, samples: int) -> None:
        super().__init__()
        self.heads, self.heights, self.samples = heads, heights, samples
        self.before, self.between = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.value, self.out = nn.Conv2d(channels, channels, 1), nn.Linear(channels, channels)
        self.offsets = nn.Linear(channels, heads * heights * samples * 2)
        self.weights = nn.Linear(channels, heads * heights * samples)
        self.feed = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        # To begin with, every head looks in a direction of its own, sample after sample a feature pixel farther, and
        # weighs all alike (Deformable DETR, A.4).
        angle = torch.arange(heads) * (2.0 * math.pi / heads)
        ring = torch.stack([angle.cos(), angle.sin()], dim=-1)[:, None, None] * torch.arange(1, samples + 1)[:, None]
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.offsets.bias.copy_(ring.expand(-1, heights, -1, -1).flatten())

    def forward(self, queries: Tensor, features: Sequence[Tensor], views: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """queries (B, Q, C), features (B, C, h, w) a camera; views: `DeformableLift.set_rig` -> queries (B, Q, C)."""
        asking = self.before(queries)
        offsets = self.offsets(asking).unflatten(-1, (self.heads, self.heights, self.samples, 2))
        weights = self.weights(asking).unflatten(-1, (self.heads, self.heights, self.samples))
        seen = torch.zeros_like(queries)
        for feature, (index, places, hidden, share) in zip(features, views, strict=True):
            # Half a feature pixel is 1/w of the way from -1 to 1.
            scale = offsets.new_tensor([2.0 / feature.shape[-1], 2.0 / feature.shape[-2]])
            grid = places[:, None, :, None] + offsets[:, index] * scale  # (B, n, G, Z, S, 2)
            shares = weights[:, index].masked_fill(hidden[:, None, :, None], -torch.inf).flatten(3).softmax(dim=-1)
            found = self._sample(self.value(feature), grid.flatten(3, 4).transpose(1, 2), shares.transpose(1, 2))
            seen = seen.index_add(1, index, (found * share).to(seen.dtype))
        queries = queries + self.out(seen)
        return queries + self.feed(self.between(queries))

    def _sample(self, value: Tensor, grid: Tensor, shares: Tensor) -> Tensor:
        """value (B, C, h, w), grid (B, G, n, Z*S, 2), shares (B, G, n, Z*S) -> (B, n, C)."""
        batch = value.shape[0]
        split = value.unflatten(1, (self.heads, -1)).flatten(0, 1)
        # In float32: a half-precision coordinate is a good part of a pixel off.
        sampled = F.grid_sample(split.float(), grid.flatten(0, 1).float(), align_corners=False)  # (B*G, C/G, n, Z*S)
        found = (sampled * shares.flatten(0, 1)[:, None]).sum(dim=-1)
        return found.unflatten(0, (batch, self.heads)).flatten(1, 2).transpose(1, 2)


class DeformableLift(nn.Module):
    """Contexts (B, C, h, w) of all cameras in the rig's order -> (B, C, rows, columns), 0 where no camera sees.

    What follows the contexts (depth logits, for `LiftSplat`) is not looked at.
    """

    def __init__(
        self,
        rig: CameraRig,
        grid: BevGrid,
        channels: int,
        stride: int,
        heads: int = 4,
        points: int = 4,
        heights_m: Sequence[float] = (0.0, 1.0, 2.5, 5.0),
        query_stride: int = 2,
        layers: int = 2,
    ) -> None:
        super().__init__()
        if grid.rows % query_stride or grid.columns % query_stride:
            raise ValueError(
                f"query_stride must divide rows and columns, received {query_stride} for {grid.rows}x{grid.columns}"
            )
        if channels % heads:
            raise ValueError(f"heads must divide channels, received {heads} for {channels} channels")
        self.grid, self.stride, self.query_stride = grid, stride, query_stride
        self.heights_m = tuple(heights_m)
        self.shape = (grid.rows // query_stride, grid.columns // query_stride)
        self.queries = nn.Parameter(torch.randn(1, self.shape[0] * self.shape[1], channels) * 0.02)
        self.layers = nn.ModuleList(_Layer(channels, heads, len(self.heights_m), points) for _ in range(layers))
        # A query answers for query_stride x query_stride cells, each with a projection of its own.
        self.spread = nn.Conv2d(channels, channels * query_stride**2, 1)
        self.set_rig(rig)

    def set_rig(self, rig: CameraRig) -> None:
        """Project the queries into these cameras (the calibration enters the network here, and only here)."""
        feature_shapes(rig, self.stride)
        cells = self.grid.cell_centres()
        step = self.query_stride
        centres = cells.reshape(self.shape[0], step, self.shape[1], step, 2).mean(axis=(1, 3)).reshape(-1, 2)
        visible, cameras_seeing = np.zeros(cells.shape[:2], dtype=bool), np.zeros(len(centres))
        buffers: dict[str, np.ndarray] = {}
        for number, camera in enumerate(rig.cameras):
            visible |= project(camera, self._at_heights(cells))[1].any(axis=-1)
            pixels, seen = project(camera, self._at_heights(centres))
            index = np.flatnonzero(seen.any(axis=1))
            cameras_seeing[index] += 1
            places = 2.0 * pixels[index] / (camera.width, camera.height) - 1.0
            # A point that is hidden is looked up nowhere, but its coordinates should stay finite.
            buffers[f"places{number}"] = np.where(seen[index][..., None], places, 0.0).astype(np.float32)
            buffers[f"hidden{number}"] = ~seen[index]
            buffers[f"index{number}"] = index
        for number in range(len(rig.cameras)):
            share = 1.0 / cameras_seeing[buffers[f"index{number}"]]
            buffers[f"share{number}"] = share.astype(np.float32)[:, None]
        buffers["visible"] = visible
        self.cameras = len(rig.cameras)
        for name, array in buffers.items():
            # Not persistent: the weights of a model do not depend on the rig it looks through.
            self.register_buffer(name, torch.from_numpy(array).to(self.queries.device), persistent=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        if len(inputs) < self.cameras:
            raise ValueError(f"{self.cameras} cameras need as many feature maps, received {len(inputs)}")
        features = inputs[: self.cameras]
        views = [
            tuple(self.get_buffer(f"{name}{number}") for name in ("index", "places", "hidden", "share"))
            for number in range(self.cameras)
        ]
        queries = self.queries.expand(len(features[0]), -1, -1)
        for layer in self.layers:
            queries = layer(queries, features, views)
        picture = self.spread(queries.transpose(1, 2).unflatten(2, self.shape))
        return (F.pixel_shuffle(picture, self.query_stride) * self.get_buffer("visible"),)

    def _at_heights(self, ground: np.ndarray) -> np.ndarray:
        """(..., 2) points on the ground -> (..., Z, 3)."""
        heights = np.broadcast_to(self.heights_m, (*ground.shape[:-1], len(self.heights_m)))
        return np.concatenate([np.repeat(ground[..., None, :], len(self.heights_m), axis=-2), heights[..., None]], -1)
