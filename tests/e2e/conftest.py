"""Weights for drives in which it does not matter where the car goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from e2e_drive import config_dir
from e2e_drive.apps.options import plain, rig_of
from planner import DrivingModel, model_config_from, save_model


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones, the same every time."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_model(DrivingModel(model_config_from(plain(cfg.model), rig_of(cfg))), folder)
    return folder
