"""The shape of the published lift-splat-shoot network (Philion, Fidler, arXiv 2008.05711, section 4), for comparison.

An EfficientNet-B0 (Tan, Le, arXiv 1905.11946) whose two coarsest levels meet at stride 16 and give, for every pixel,
depth over 41 bins of 1 m from 4 m on and 64 channels of context; a cumulative-sum splat into 200x200 cells of 0.5 m;
and the first three stages of a ResNet-18 (He et al., arXiv 1512.03385) on these, brought back to full size. Where the
pairs lie is kept from one frame to the next, which the published code computes each time.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev import BevGrid, CameraRig
from bev._timm import timm
from bev.encoder import convolve
from bev.frustum import DepthBins
from bev.lift_splat import LiftSplat

GRID = BevGrid(x_min_m=-50.0, x_max_m=50.0, y_min_m=-50.0, y_max_m=50.0, cell_m=0.5)
BINS = DepthBins(first_m=4.0, last_m=45.0, count=41)
_STRIDE, _CHANNELS = 16, 64


class _Join(nn.Module):
    """A coarse map, enlarged, beside a fine one: (B, I, h, w), (B, J, s*h, s*w) -> (B, O, s*h, s*w)."""

    def __init__(self, inputs: int, outputs: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.mix = nn.Sequential(convolve(inputs, outputs), convolve(outputs, outputs))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        coarse = F.interpolate(coarse, scale_factor=float(self.scale), mode="bilinear", align_corners=True)
        return self.mix(torch.cat([fine, coarse], dim=1))


class _Block(nn.Module):
    """Two 3x3 convolutions around which their input goes, too."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = convolve(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.past: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.past = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.past(x) + self.second(self.first(x)))


class CameraEncoder(nn.Module):
    """(B, 3, H, W) uint8 -> context (B, 64, H/16, W/16), depth logits (B, 42, H/16, W/16)."""

    def __init__(self) -> None:
        super().__init__()
        trunk: Any = timm.create_model("efficientnet_b0", pretrained=False, features_only=True, out_indices=(3, 4))
        self.trunk, (fine, coarse) = trunk, trunk.feature_info.channels()
        self.join = _Join(fine + coarse, 512, 2)
        # One channel more than published: our lift has a class "farther".
        self.split = nn.Conv2d(512, _CHANNELS + BINS.count + 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        fine, coarse = self.trunk((image.float() - 127.5) / 64.0)
        context, depth = self.split(self.join(coarse, fine)).split((_CHANNELS, BINS.count + 1), dim=1)
        return context, depth


class BevEncoder(nn.Module):
    """(B, 64, 200, 200) -> (B, 1, 200, 200)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(_CHANNELS, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.stage1 = nn.Sequential(_Block(64, 64, 1), _Block(64, 64, 1))
        self.stage2 = nn.Sequential(_Block(64, 128, 2), _Block(128, 128, 1))
        self.stage3 = nn.Sequential(_Block(128, 256, 2), _Block(256, 256, 1))
        self.join = _Join(64 + 256, 256, 4)
        self.leave = nn.Sequential(convolve(256, 128), nn.Conv2d(128, 1, 1))

    def forward(self, lifted: Tensor) -> Tensor:
        half = self.stage1(self.enter(lifted))
        joined = self.join(self.stage3(self.stage2(half)), half)
        return self.leave(F.interpolate(joined, scale_factor=2.0, mode="bilinear", align_corners=True))


class _Splat(nn.Module):
    def __init__(self, rig: CameraRig) -> None:
        super().__init__()
        self.lift = LiftSplat(rig, GRID, BINS, _CHANNELS, _STRIDE, z_range_m=(-10.0, 10.0))

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.lift.reference(*inputs, running=torch.float32)[0]


class LiftSplatShoot(nn.Module):
    """Images (1, 3, H, W) uint8 of a rig's cameras, all of one size -> (1, 1, 200, 200) logits."""

    def __init__(self, rig: CameraRig) -> None:
        super().__init__()
        self.camera_encoder, self.splat, self.bev_encoder = CameraEncoder(), _Splat(rig), BevEncoder()

    def forward(self, *images: Tensor) -> Tensor:
        context, depth = self.camera_encoder(torch.cat(images))
        return self.bev_encoder(self.splat(*context.split(1), *depth.split(1)))
