"""Networks as the scheduler sees them: stages with costs and payloads, traced on shapes alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from bev import CameraRig, Command, EgoMotion, Pose2D, RouteHint, SensorFrame
from e2e_drive import config_dir
from planner import SINKS, STATES, DrivingModel, model_config_from, network_inputs
from planner.study import StudyConfig, study_stages
from scheduling.trace import trace_stages
from scheduling.types import StageGraph


@dataclass(frozen=True)
class CostConfig:
    """What stages are taken to cost. model: None for the network that drives, or a name in configs/model: as if it
    were that one, on pictures `picture_scale` times as wide and as high as the rig's. Computers, link and clock then
    meet the costs and payloads of the larger network; what is seen and decided stays that of the one that drives."""

    model: str | None = None
    picture_scale: int = 1

    def __post_init__(self) -> None:
        known = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
        if self.model is not None and self.model not in known:
            raise ValueError(f"costs.model must be one of {', '.join(known)}, received {self.model!r}")
        if self.picture_scale < 1:
            raise ValueError(f"costs.picture_scale must be at least 1, received {self.picture_scale}")
        if self.picture_scale > 1 and self.model is None:
            raise ValueError("costs.picture_scale is for the network that costs.model names, received none")


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


def graph_at_cost(model: DrivingModel, costs: CostConfig) -> StageGraph:
    """The graph of the network that drives, its stages at the cost that was asked for."""
    if costs.model is None:
        return driving_graph(model)
    options: Any = OmegaConf.to_container(OmegaConf.load(config_dir() / "model" / f"{costs.model}.yaml"))
    scale, rig = costs.picture_scale, model.config.rig
    larger = CameraRig(tuple(replace(c, width=c.width * scale, height=c.height * scale) for c in rig.cameras))
    with torch.device("meta"):
        stand_in = DrivingModel(model_config_from({**options, "grid": vars(model.config.grid)}, larger))
    faces = [[(stage.name, stage.inputs, stage.outputs) for stage in each.stages] for each in (model, stand_in)]
    if faces[0] != faces[1]:
        raise ValueError(f"costs.model={costs.model} has other stages than the network that drives")
    return driving_graph(stand_in)
