"""Camera images -> bird's-eye-view features -> perception heads."""

from bev.types import (
    BevClass,
    BevGrid,
    Camera,
    CameraRig,
    Command,
    EgoMotion,
    FloatArray,
    ImageArray,
    Pose2D,
    RouteHint,
    SensorFrame,
)

__all__ = [
    "BevClass",
    "BevGrid",
    "Camera",
    "CameraRig",
    "Command",
    "EgoMotion",
    "FloatArray",
    "ImageArray",
    "Pose2D",
    "RouteHint",
    "SensorFrame",
]
