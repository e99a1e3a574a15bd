"""What every face needs first: the driving stack, from the same configuration as `e2e-drive evaluate`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from bev import CameraRig
from e2e_drive import config_dir
from e2e_drive.apps.evaluate import CAMERA_PERIOD_S
from e2e_drive.apps.options import build, rig_of, whole_number
from e2e_drive.stack import DrivingStack, build_stack
from scheduling import LinkGeometry

__all__ = ["CAMERA_PERIOD_S", "FIXED_GEOMETRY", "composed", "make_stack"]

# Where there are no roadside units to measure to: one in plain sight, nothing in between.
FIXED_GEOMETRY = LinkGeometry(rsu=0, distance_m=80.0, line_of_sight=True, blocking_vehicles=0)


def composed(overrides: Sequence[str] = ()) -> DictConfig:
    """`e2e-drive evaluate` with these overrides, as a configuration."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("evaluate", list(overrides))


def make_stack(cfg: DictConfig, rig: CameraRig | None = None) -> DrivingStack:
    """A stack that has seen nothing yet. rig: the cameras as they really are; None: as configured."""
    torch.set_num_threads(whole_number(cfg, "threads", 1))
    options = {"cfg": cfg, "rig": rig or rig_of(cfg), "frame_period_s": CAMERA_PERIOD_S}
    return build("configuration", build_stack, options)
