"""Lifted BEV -> tokens that have seen the whole scene, and fine features that have seen the tokens.

Shapes:  B batch   C channels of the lift   R rows (64)   K columns (64)   D token width   F fine channels
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev.attention import EncoderBlock
from bev.types import BevGrid

TOKEN_STRIDE = 4  # cells a token spans: 3 m on the usual grid


def convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class BevEncoder(nn.Module):
    """(B, C, R, K) -> bev_tokens (B, R/4 * K/4, D) and bev_features (B, F, R, K).

    A U shape with a transformer at its bottom: tokens carry context (is that junction free?), the fine map on the way
    up keeps lane lines sharp for segmentation and for the last correction of the path.
    """

    def __init__(self, grid: BevGrid, channels: int, width: int, fine: int, layers: int, heads: int, dropout: float):
        super().__init__()
        if grid.rows % TOKEN_STRIDE or grid.columns % TOKEN_STRIDE:
            raise ValueError(f"{TOKEN_STRIDE} must divide rows and columns, received {grid.rows}x{grid.columns}")
        self.token_rows, self.token_columns = grid.rows // TOKEN_STRIDE, grid.columns // TOKEN_STRIDE
        middle = (channels + width) // 2
        self.enter = convolve(channels, channels)
        self.down_half = convolve(channels, middle, stride=2)
        self.down_quarter = nn.Sequential(convolve(middle, width, stride=2), convolve(width, width))
        self.position = nn.Parameter(torch.randn(1, self.token_rows * self.token_columns, width) * 0.02)
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.up_half = nn.Conv2d(width, middle, 1)
        self.mix_half = convolve(middle, fine)
        self.skip_full = nn.Conv2d(channels, fine, 1)
        self.mix_full = convolve(fine, fine)

    def forward(self, lifted: Tensor) -> tuple[Tensor, Tensor]:
        full = self.enter(lifted)
        half = self.down_half(full)
        tokens = self.down_quarter(half).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        quarter = tokens.transpose(1, 2).unflatten(2, (self.token_rows, self.token_columns))
        half = self.mix_half(half + _double(self.up_half(quarter)))
        return tokens, self.mix_full(self.skip_full(full) + _double(half))


def _double(tensor: Tensor) -> Tensor:
    return F.interpolate(tensor, scale_factor=2.0, mode="bilinear", align_corners=False)
