"""BEV features -> decision -> trajectory -> control."""

from typing import TYPE_CHECKING, Any

from planner.control import Controller, ControllerConfig
from planner.types import (
    PATH_POINTS,
    PATH_SPACING_M,
    SPEED_CLASSES_MPS,
    WAYPOINT_SPACING_S,
    WAYPOINTS,
    Control,
    Light,
    Trajectory,
)

if TYPE_CHECKING:
    from planner.model import (
        SINKS,
        DrivingModel,
        ModelConfig,
        load_model,
        model_config_from,
        network_inputs,
        save_model,
        trajectory_from,
    )

_OF_MODEL = (
    "SINKS",
    "DrivingModel",
    "ModelConfig",
    "load_model",
    "model_config_from",
    "network_inputs",
    "save_model",
    "trajectory_from",
)

__all__ = [
    "PATH_POINTS",
    "PATH_SPACING_M",
    "SINKS",
    "SPEED_CLASSES_MPS",
    "WAYPOINTS",
    "WAYPOINT_SPACING_S",
    "Control",
    "Controller",
    "ControllerConfig",
    "DrivingModel",
    "Light",
    "ModelConfig",
    "Trajectory",
    "load_model",
    "model_config_from",
    "network_inputs",
    "save_model",
    "trajectory_from",
]


def __getattr__(name: str) -> Any:
    """The network arrives on first use: whoever needs only types and the controller need not wait for torch."""
    if name in _OF_MODEL:
        import planner.model

        return getattr(planner.model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
