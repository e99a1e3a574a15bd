"""Camera images -> bird's-eye-view features -> perception heads."""

from typing import TYPE_CHECKING, Any

from bev.rig import rig_from_config, rig_to_config
from bev.types import (
    BevClass,
    BevGrid,
    BoxKind,
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

if TYPE_CHECKING:
    from bev.stage import Stage, run_stages

__all__ = [
    "BevClass",
    "BevGrid",
    "BoxKind",
    "Camera",
    "CameraRig",
    "Command",
    "EgoMotion",
    "FloatArray",
    "ImageArray",
    "Pose2D",
    "RouteHint",
    "SensorFrame",
    "Stage",
    "rig_from_config",
    "rig_to_config",
    "run_stages",
]


def __getattr__(name: str) -> Any:
    """`Stage` and `run_stages` arrive on first use: whoever needs only the types need not wait for torch."""
    if name in ("Stage", "run_stages"):
        import bev.stage

        return getattr(bev.stage, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
