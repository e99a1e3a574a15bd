"""Dense depth from the coarse distribution: completed by what the features know of edges.

Shapes:  B batch   M cameras   E image channels   D depth bins   h, w feature map   U upsampling (4)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev.frustum import DepthBins

UPSAMPLING = 4  # from stride 8 to stride 2
_NEIGHBOURS = 9


class DepthCompletion(nn.Module):
    """Features of all cameras (each (B, E, h, w)) and depth_logits (B, M, D + 1, h, w)
    -> depth (B, M, U h, U w) metres along the optical axis.

    Each fine pixel is a convex combination of the 3x3 coarse depths around it, whose weights come from the features
    (RAFT's upsampling: Teed & Deng, arXiv 2003.12039), of logarithms, since errors grow with depth.
    """

    def __init__(self, image_channels: int, bins: DepthBins) -> None:
        super().__init__()
        self.bins = bins
        self.weights = nn.Sequential(
            nn.Conv2d(image_channels, image_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(image_channels, _NEIGHBOURS * UPSAMPLING**2, 1),
        )

    def forward(self, depth_logits: Tensor, *features: Tensor) -> tuple[Tensor]:
        batch, cameras, _, rows, columns = depth_logits.shape
        coarse = self.bins.expected_m(depth_logits.flatten(0, 1).float()).log()[:, None]  # (B*M, 1, h, w)
        around = F.unfold(F.pad(coarse, (1, 1, 1, 1), mode="replicate"), 3).unflatten(2, (rows, columns))
        weights = self.weights(torch.stack(features, dim=1).flatten(0, 1)).float()
        weights = weights.unflatten(1, (_NEIGHBOURS, UPSAMPLING**2)).softmax(dim=1)
        fine = (weights * around[:, :, None]).sum(dim=1)  # (B*M, U*U, h, w)
        return (F.pixel_shuffle(fine, UPSAMPLING).exp().unflatten(0, (batch, cameras))[:, :, 0],)
