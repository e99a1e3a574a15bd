"""A whole driving stack on made-up pictures: the real network with random weights, the real scheduler and link."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from bev import Command, EgoMotion, Pose2D, RouteHint, SensorFrame
from e2e_drive import config_dir
from e2e_drive.apps.options import plain, rig_of
from e2e_drive.stack import DrivingStack, build_stack
from planner import DrivingModel, model_config_from, save_model
from scheduling import LinkGeometry

NEAR = LinkGeometry(rsu=0, distance_m=40.0, line_of_sight=True, blocking_vehicles=0)


def random_weights(folder: Path) -> Path:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train")
    torch.manual_seed(0)
    save_model(DrivingModel(model_config_from(plain(cfg.model), rig_of(cfg))), folder)
    return folder


def make_stack(weights: Path, *overrides: str) -> DrivingStack:
    torch.set_num_threads(1)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("evaluate", [f"weights={weights}", *overrides])
    return build_stack(cfg, rig_of(cfg), frame_period_s=0.1)


def make_frame(stack: DrivingStack, tick: int, speed_mps: float = 5.0) -> SensorFrame:
    """Tick 0, 2, 4 ... with pictures of noise; the car rolls straight on."""
    rig = stack.model.config.rig
    images = None
    if tick % 2 == 0:
        rng = np.random.default_rng(tick)
        images = {c.name: rng.integers(0, 255, (c.height, c.width, 3), dtype=np.uint8) for c in rig.cameras}
    time_s = round(tick * 0.05, 6)
    ego = EgoMotion(speed_mps, 0.0, Pose2D(speed_mps * time_s, 0.0, 0.0))
    return SensorFrame(tick, time_s, images, rig, ego, RouteHint(Command.FOLLOW, 60.0))
