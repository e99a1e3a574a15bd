"""Lifted BEV and what is remembered of half a second ago -> tokens that have seen the whole scene, and fine features.

Shapes:  B batch   C channels of the lift   R rows (64)   K columns (64)   D token width   F fine channels
         S memory slots   Q memory channels
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev.attention import DecoderBlock, EncoderBlock
from bev.memory import align, recall, remember
from bev.types import BevGrid

TOKEN_STRIDE = 4  # cells a token spans: 3 m on the usual grid
_FAR_M = 100.0  # where a pose that means nothing is put, so that nothing of its features is seen


def convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class BevEncoder(nn.Module):
    """bev_lifted (B, C, R, K), bev_memory (B, S, Q, R/2, K/2), memory_poses (B, S, 5), pose (B, 4)
    -> bev_tokens (B, R/4 * K/4, D), bev_features (B, F, R, K), next memory and its poses (see `bev.memory`).

    A U shape with a temporal transformer at its bottom: tokens of the present look at each other and at tokens of the
    aligned memory (BEVFormer's idea, Li et al., arXiv 2203.17270), so that what moves can be told from what stands; the
    fine map on the way up keeps lane lines sharp for segmentation and for the last correction of the path.
    """

    half_cells: Tensor

    def __init__(
        self,
        grid: BevGrid,
        channels: int,
        width: int,
        fine: int,
        layers: int,
        heads: int,
        dropout: float,
        memory_channels: int,
    ) -> None:
        super().__init__()
        if grid.rows % TOKEN_STRIDE or grid.columns % TOKEN_STRIDE:
            raise ValueError(f"{TOKEN_STRIDE} must divide rows and columns, received {grid.rows}x{grid.columns}")
        self.grid, self.memory_channels = grid, memory_channels
        self.token_rows, self.token_columns = grid.rows // TOKEN_STRIDE, grid.columns // TOKEN_STRIDE
        middle = (channels + width) // 2
        self.enter = convolve(channels, channels)
        self.down_half = convolve(channels, middle, stride=2)
        self.down_quarter = nn.Sequential(convolve(middle, width, stride=2), convolve(width, width))
        self.to_memory = nn.Conv2d(middle, memory_channels, 1)
        # the past beside the present, how long ago it was, and where it is known
        self.compare = convolve(2 * memory_channels + 2, width, stride=2)
        positions = torch.randn(1, self.token_rows * self.token_columns, width) * 0.02
        self.position = nn.Parameter(positions)
        self.past_norm = nn.LayerNorm(width)
        self.temporal = DecoderBlock(width, heads, dropout)
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, dropout) for _ in range(layers - 1))
        self.norm = nn.LayerNorm(width)
        self.up_half = nn.Conv2d(width, middle, 1)
        self.mix_half = convolve(middle, fine)
        self.skip_full = nn.Conv2d(channels, fine, 1)
        self.mix_full = convolve(fine, fine)
        centres = torch.from_numpy(grid.cell_centres()).float()
        half = centres.reshape(grid.rows // 2, 2, grid.columns // 2, 2, 2).mean(dim=(1, 3))
        self.register_buffer("half_cells", half, persistent=False)

    def forward(self, lifted: Tensor, memory: Tensor, poses: Tensor, pose: Tensor) -> tuple[Tensor, ...]:
        full, half = self._descend(lifted)
        present = self.to_memory(half)
        past = self.past_norm(self._past_tokens(present, memory, poses, pose))
        tokens = self.down_quarter(half).flatten(2).transpose(1, 2) + self.position
        tokens = self.temporal(tokens, past)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        quarter = tokens.transpose(1, 2).unflatten(2, (self.token_rows, self.token_columns))
        half = self.mix_half(half + _double(self.up_half(quarter)))
        features = self.mix_full(self.skip_full(full) + _double(half))
        return tokens, features, *remember(memory, poses, present.float(), pose)

    def memorise(self, lifted: Tensor) -> Tensor:
        """(B, C, R, K) of an earlier frame -> what is remembered of it (B, Q, R/2, K/2). Training stops its gradient at
        the last layer: learning through two frames costs twice the time and hardly helps."""
        with torch.no_grad():
            _, half = self._descend(lifted)
        return self.to_memory(half)

    def _descend(self, lifted: Tensor) -> tuple[Tensor, Tensor]:
        full = self.enter(lifted)
        return full, self.down_half(full)

    def _past_tokens(self, present: Tensor, memory: Tensor, poses: Tensor, pose: Tensor) -> Tensor:
        features, then = recall(memory, poses, pose)
        known = then[:, 4:]  # (B, 1)
        then = torch.cat([then[:, :2] + _FAR_M * (1.0 - known), then[:, 2:]], dim=1)
        ones = torch.ones_like(features[:, :1])
        aligned = align(torch.cat([features, ones], dim=1), then, pose, self.half_cells, self.grid)
        age_s = ((pose[:, 3:] - then[:, 3:4]) * known).clamp(0.0, 2.0)[:, :, None, None]
        seen = torch.cat([aligned, age_s.expand_as(aligned[:, :1]).to(aligned.dtype)], dim=1)
        tokens = self.compare(torch.cat([seen.to(present.dtype), present], dim=1))
        return tokens.flatten(2).transpose(1, 2) + self.position


def _double(tensor: Tensor) -> Tensor:
    return F.interpolate(tensor, scale_factor=2.0, mode="bilinear", align_corners=False)
