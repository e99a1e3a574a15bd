"""Image -> feature map: a timm backbone and a two-level pyramid.

Shapes:  B batch   H, W image   C channels   S stride of the output (8)
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev._timm import timm
from bev.pretrained import load_pretrained

FEATURE_STRIDE = 8
_COARSE_STRIDE = 16


class ImageBackbone(nn.Module):
    """(B, 3, H, W) pixels 0..255 (uint8 or float) -> (B, C, H/S, W/S).

    Stride 16 knows what a thing is, stride 8 still knows where: 3 degrees a cell for the wide cameras, about a
    metre at 20 m. They are added after 1x1 convolutions as in feature pyramids (Lin et al., arXiv 1612.03144).
    """

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, name: str, channels: int, pretrained: bool = False) -> None:
        """name: of any timm model with features at strides 8 and 16. pretrained: start from the ImageNet weights that
        an installed package brings (see `bev.pretrained`); raises ValueError where there are none."""
        super().__init__()
        reductions = _feature_info(timm.create_model(name, pretrained=False, features_only=True)).reduction()
        try:
            levels = (reductions.index(FEATURE_STRIDE), reductions.index(_COARSE_STRIDE))
        except ValueError as error:
            raise ValueError(f"backbone {name!r} has strides {reductions}; strides 8 and 16 are needed") from error
        # Built again with only these levels, so that no weights exist for deeper ones that nobody reads.
        self.body = timm.create_model(name, pretrained=False, features_only=True, out_indices=levels)
        if pretrained:
            load_pretrained(self.body, name)
        # what timm's weights of this network were trained with, so that they mean something
        cfg: Any = timm.get_pretrained_cfg(name)
        self.register_buffer("pixel_mean", _of_channels(cfg.mean), persistent=False)
        self.register_buffer("pixel_scale", 1.0 / _of_channels(cfg.std), persistent=False)
        fine, coarse = _feature_info(self.body).channels()
        self.fine = nn.Conv2d(fine, channels, 1)
        self.coarse = nn.Conv2d(coarse, channels, 1)
        self.mix = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, image: Tensor) -> tuple[Tensor]:
        fine, coarse = self.body((image.float() - self.pixel_mean) * self.pixel_scale)
        merged = self.fine(fine) + F.interpolate(self.coarse(coarse), size=fine.shape[-2:], mode="nearest")
        return (self.mix(merged),)


def _of_channels(values: Any) -> Tensor:
    return 255.0 * torch.tensor(values).reshape(1, 3, 1, 1)


def _feature_info(body: Any) -> Any:
    """What timm tells of the levels of a feature extractor (an attribute that nn.Module's types do not know)."""
    return body.feature_info
