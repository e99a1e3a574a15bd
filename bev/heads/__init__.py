"""What the bird's-eye view is asked for."""

from bev.heads.segmentation import SegmentationHead

__all__ = ["SegmentationHead"]
