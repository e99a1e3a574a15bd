"""BEV segmentation: it teaches the lift where things are, and shows people what the car believes.

Shapes:  B batch   F fine channels   R rows   K columns
"""

from __future__ import annotations

from torch import Tensor, nn

from bev.encoder import convolve
from bev.types import BevClass


class SegmentationHead(nn.Module):
    """(B, F, R, K) -> logits (B, len(BevClass), R, K), one yes/no question a class."""

    def __init__(self, fine: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(convolve(fine, fine), nn.Conv2d(fine, len(BevClass), 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)
