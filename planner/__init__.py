"""BEV features -> decision -> trajectory -> control."""

import importlib
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
    Manoeuvre,
    Trajectory,
)

if TYPE_CHECKING:
    from planner.config import ModelConfig, model_config_from
    from planner.inference import prepare_for_inference, without_python
    from planner.model import SINKS, STATES, DrivingModel, network_inputs, trajectory_from
    from planner.weights import load_model, save_model

_ON_FIRST_USE = {
    "ModelConfig": "planner.config",
    "model_config_from": "planner.config",
    "SINKS": "planner.model",
    "STATES": "planner.model",
    "DrivingModel": "planner.model",
    "network_inputs": "planner.model",
    "trajectory_from": "planner.model",
    "prepare_for_inference": "planner.inference",
    "without_python": "planner.inference",
    "load_model": "planner.weights",
    "save_model": "planner.weights",
}

__all__ = [
    "PATH_POINTS",
    "PATH_SPACING_M",
    "SINKS",
    "SPEED_CLASSES_MPS",
    "STATES",
    "WAYPOINTS",
    "WAYPOINT_SPACING_S",
    "Control",
    "Controller",
    "ControllerConfig",
    "DrivingModel",
    "Light",
    "Manoeuvre",
    "ModelConfig",
    "Trajectory",
    "load_model",
    "model_config_from",
    "network_inputs",
    "prepare_for_inference",
    "save_model",
    "trajectory_from",
    "without_python",
]


def __getattr__(name: str) -> Any:
    """The network arrives on first use: whoever needs only types and the controller need not wait for torch."""
    if name in _ON_FIRST_USE:
        return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
