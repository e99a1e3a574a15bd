"""A folder of weights: model.safetensors beside the config.json that says which network they belong to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bev import rig_from_config, rig_to_config
from planner.config import model_config_from
from planner.model import DrivingModel

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


def save_model(model: DrivingModel, folder: Path, half: bool = False) -> None:
    """Writes model.safetensors and config.json; each appears whole or not at all. half: matrices and kernels
    in 16 bits (relative error below 5e-4), which halves the file; statistics and biases, which may be large, in 32."""
    folder.mkdir(parents=True, exist_ok=True)
    config = asdict(model.config)
    config["rig"] = {"cameras": rig_to_config(model.config.rig)}
    weights, description = folder / f".{WEIGHTS_FILE}", folder / f".{CONFIG_FILE}"
    tensors = {
        name: (tensor.half() if half and tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(tensors, weights)
    description.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    os.replace(weights, folder / WEIGHTS_FILE)
    os.replace(description, folder / CONFIG_FILE)


def load_model(folder: Path) -> DrivingModel:
    """A folder written by `save_model` -> the network, ready to drive (evaluation mode)."""
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}: is it a folder of weights?")
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    rig = rig_from_config(config.pop("rig")["cameras"])
    model = DrivingModel(model_config_from(config, rig))
    try:
        model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"{folder / WEIGHTS_FILE} does not fit its {CONFIG_FILE}: {str(error).splitlines()[0]}"
        ) from error
    return model.eval()
