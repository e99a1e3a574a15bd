"""All questions about the scene that are asked of one frame: what is where, and which light is on.

Shapes:  B batch   F fine channels   R, K rows and columns of the BEV grid   D width   C command (5)
"""

from __future__ import annotations

from torch import Tensor, nn

from bev.heads.detection import DetectionHead
from bev.heads.light import LightHead
from bev.heads.segmentation import SegmentationHead


class PerceptionHeads(nn.Module):
    """bev_features (B, F, R, K), command (B, C), features of the cameras that look ahead
    -> bev_segmentation (B, len(BevClass), R, K), detection_heatmap (B, len(BoxKind), R, K),
       detection_boxes (B, len(Box), R, K), light_logits (B, 3), light_token (B, 1, D)."""

    def __init__(self, fine: int, hint: nn.Module, light: LightHead) -> None:
        """hint: command (B, C) -> (B, D)."""
        super().__init__()
        self.segmentation = SegmentationHead(fine)
        self.detection = DetectionHead(fine)
        self.hint = hint
        self.light = light

    def forward(self, bev_features: Tensor, command: Tensor, *features: Tensor) -> tuple[Tensor, ...]:
        return (
            self.segmentation(bev_features),
            *self.detection(bev_features),
            *self.light(features, self.hint(command)),
        )
