"""Camera features -> bird's-eye view: how far each pixel looks, and then its features put down there.

Shapes:  B batch   M cameras   E image channels   C BEV channels   D depth bins   h, w feature map
         R, K rows and columns of the BEV grid
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bev.cross_attention import DeformableLift
from bev.frustum import DepthBins
from bev.lift_splat import LiftSplat
from bev.types import BevGrid, Camera, CameraRig, FloatArray

KINDS = ("lift_splat", "cross_attention")
_LENS_SIZE = 6  # numbers that describe how a camera is built in


class ViewTransform(nn.Module):
    """One (B, E, h, w) feature map a camera, in the rig's order
    -> bev_lifted (B, C, R, K), depth_logits (B, M, D + 1, h, w).

    A small network names the depth of each pixel (BEVDepth: Li et al., arXiv 2206.10092); it is told the lens, and at
    which depth each pixel's ray would meet flat ground, so that no camera has to be learned by heart. Then `lift_splat`
    puts features where they are, or `cross_attention` lets BEV cells look for them.
    """

    lens: Tensor
    ground: Tensor

    def __init__(
        self,
        rig: CameraRig,
        grid: BevGrid,
        kind: str,
        bins: DepthBins,
        image_channels: int,
        channels: int,
        stride: int,
        heads: int,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"view_transform must be one of {KINDS}, received {kind!r}")
        if len({(camera.width, camera.height) for camera in rig.cameras}) > 1:
            raise ValueError(
                "all cameras of a rig must have one picture size, received "
                f"{[(camera.name, camera.width, camera.height) for camera in rig.cameras]}"
            )
        self.bins, self.stride, self.channels = bins, stride, channels
        self.lift = (
            LiftSplat(rig, grid, bins, channels, stride)
            if kind == "lift_splat"
            else DeformableLift(rig, grid, channels, stride, heads=heads)
        )
        self.lens_gate = nn.Sequential(nn.Linear(_LENS_SIZE, 32), nn.ReLU(), nn.Linear(32, image_channels))
        self.depth = nn.Sequential(
            nn.Conv2d(image_channels + 2, image_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(image_channels),
            nn.ReLU(),
            nn.Conv2d(image_channels, bins.count + 1, 1),
        )
        self.context = nn.Conv2d(image_channels, channels, 1)
        self._describe(rig)

    def set_rig(self, rig: CameraRig) -> None:
        """Look through these cameras from now on (the calibration enters the network here, and only here)."""
        self.lift.set_rig(rig)
        self._describe(rig)

    def forward(self, *features: Tensor) -> tuple[Tensor, Tensor]:
        cameras, batch = len(features), len(features[0])
        seen = torch.stack(features, dim=1).flatten(0, 1)  # (B*M, E, h, w)
        gate = 2.0 * self.lens_gate(self.lens).sigmoid()
        gate = gate.repeat(batch, 1)[:, :, None, None]
        ground = self.ground.repeat(batch, 1, 1, 1).to(seen.dtype)
        depth = self.depth(torch.cat([seen * gate, ground], dim=1))
        context = self.context(seen)
        depth, context = depth.unflatten(0, (batch, cameras)), context.unflatten(0, (batch, cameras))
        (lifted,) = self.lift(*context.unbind(1), *depth.unbind(1))
        return lifted, depth

    def _describe(self, rig: CameraRig) -> None:
        device = self.context.weight.device
        lens = np.stack([_lens_of(camera) for camera in rig.cameras])
        ground = np.stack([ground_depths(camera, self.stride) for camera in rig.cameras])
        # Not persistent: the weights of a model do not depend on the rig it looks through.
        self.register_buffer("lens", torch.from_numpy(lens.astype(np.float32)).to(device), persistent=False)
        self.register_buffer("ground", torch.from_numpy(ground.astype(np.float32)).to(device), persistent=False)


def _lens_of(camera: Camera) -> FloatArray:
    """(_LENS_SIZE,) resolution, height and attitude, all of order one."""
    focal = camera.intrinsics[0, 0]
    yaw, pitch, roll = camera.yaw, camera.pitch, camera.roll
    return np.array([np.log(focal / 128.0), camera.z - 1.5, 4.0 * pitch, 4.0 * roll, np.cos(yaw), np.sin(yaw)])


def ground_depths(camera: Camera, stride: int) -> FloatArray:
    """(2, h, w) for each feature pixel's ray: 4 / depth at which it meets flat ground (0 above the horizon, at most
    2), and how much it rises a metre of depth. Depth is measured along the optical axis."""
    rise = camera.rays(camera.height // stride, camera.width // stride)[..., 2]
    return np.stack([np.clip(-4.0 * rise / camera.z, 0.0, 2.0), np.clip(rise, -1.0, 1.0)])
