"""Networks as the scheduler sees them: stages with costs and payloads, traced on shapes alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from torch import Tensor

from bev import Command, EgoMotion, Pose2D, RouteHint, SensorFrame
from planner import SINKS, STATES, DrivingModel, network_inputs
from planner.study import StudyConfig, study_stages
from scheduling.trace import trace_stages
from scheduling.types import StageGraph


@lru_cache(maxsize=16)
def study_graph(config: StudyConfig) -> StageGraph:
    """Takes a second or so for a large model; asked again for the same configuration, the same graph."""
    study = study_stages(config)
    return trace_stages(study.stages, study.sources, study.sinks, study.states)


def driving_graph(model: DrivingModel) -> StageGraph:
    """The stage graph of the network that drives, on pictures of its rig's sizes; weights do not matter."""
    return trace_stages(model.stages, example_inputs(model), SINKS, STATES)


def example_inputs(model: DrivingModel) -> dict[str, Tensor]:
    """What the network reads when the car stands in the dark: see `planner.model`."""
    rig = model.config.rig
    blank = {camera.name: np.zeros((camera.height, camera.width, 3), np.uint8) for camera in rig.cameras}
    ego = EgoMotion(0.0, 0.0, Pose2D(0.0, 0.0, 0.0))
    dark = SensorFrame(0, 0.0, blank, rig, ego, RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M))
    return network_inputs(dark) | model.first_state()
