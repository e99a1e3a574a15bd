"""The traffic light that governs our lane, straight from the pictures: it is high and small and would hardly survive
the way into the bird's-eye view.

Shapes:  B batch   E image channels   D width   M cameras that look ahead   h, w feature map
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev.attention import DecoderBlock

STATES = 3  # none within reach, green, red or yellow


class LightHead(nn.Module):
    """One (B, E, h, w) feature map a camera, hint (B, D) -> logits (B, STATES), light_token (B, 1, D).

    The route hint matters: where a lane has lights for its turns, which one governs us depends on where we go.
    """

    def __init__(self, image_channels: int, width: int, heads: int, cells: int, dropout: float) -> None:
        """cells: features of all cameras together."""
        super().__init__()
        self.enter = nn.Linear(image_channels, width)
        self.norm = nn.LayerNorm(width)
        self.position = nn.Parameter(torch.randn(1, cells, width) * 0.02)
        self.query = nn.Parameter(torch.randn(1, 1, width) * 0.5)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads, dropout) for _ in range(2))
        self.out_norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, STATES)

    def forward(self, features: tuple[Tensor, ...], hint: Tensor) -> tuple[Tensor, Tensor]:
        pixels = torch.cat([feature.flatten(2) for feature in features], dim=2).transpose(1, 2)
        memory = self.norm(self.enter(pixels)) + self.position
        token = self.query + hint[:, None]
        for block in self.blocks:
            token = block(token, memory)
        token = self.out_norm(token)
        return self.out(token[:, 0]), token
