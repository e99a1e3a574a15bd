"""BEV segmentation: it teaches the lift where things are, and shows people what the car believes.

Shapes:  B batch   F fine channels   R rows   K columns
"""

from __future__ import annotations

from torch import Tensor, nn

from bev.encoder import convolve


class SegmentationHead(nn.Module):
    """(B, F, R, K) -> logits (B, classes, R, K), one yes/no question a class: the first of `BevClass`."""

    def __init__(self, fine: int, classes: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(convolve(fine, fine), nn.Conv2d(fine, classes, 1))

    def forward(self, features: Tensor) -> tuple[Tensor]:
        return (self.layers(features),)
