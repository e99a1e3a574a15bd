"""What the bird's-eye view and the pictures are asked for."""

from bev.heads.depth import DepthCompletion
from bev.heads.detection import Agent, Box, DetectionHead, decode
from bev.heads.light import LightHead
from bev.heads.perception import PerceptionHeads
from bev.heads.segmentation import SegmentationHead

__all__ = [
    "Agent",
    "Box",
    "DepthCompletion",
    "DetectionHead",
    "LightHead",
    "PerceptionHeads",
    "SegmentationHead",
    "decode",
]
