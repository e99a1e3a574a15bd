"""The whole network as a list of stages, and its folder of weights.

Tensors by name (B = batch, 1 when driving):
    in    image[<camera>] (B, 3, H, W) uint8   speed (B, 1) m/s   command (B, 5), see `command_vector`
    out   path (B, 10, 2) m   speed_logits (B, 8)   waypoints (B, 8, 2) m
          bev_segmentation (B, 4, 64, 64) logits   light_logits (B, 3)
    between   features[<camera>] (B, C, H/8, W/8)   bev_lifted (B, C, 64, 64)
              bev_tokens (B, 256, D)   bev_features (B, F, 64, 64)   intent (B, 2, D)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bev import BevGrid, CameraRig, SensorFrame, Stage, rig_from_config, rig_to_config, run_stages
from bev.backbone import FEATURE_STRIDE, ImageBackbone
from bev.encoder import BevEncoder
from bev.heads import SegmentationHead
from bev.view_transform import ViewTransform
from planner.conditioning import command_vector
from planner.decision import Decision
from planner.losses import LossConfig, driving_loss
from planner.trajectory_decoder import TrajectoryDecoder
from planner.types import Trajectory

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
SINKS = ("path", "speed_logits", "waypoints")


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides the shape of the network, and the rig it looks through."""

    rig: CameraRig
    grid: BevGrid = field(default_factory=BevGrid)
    backbone: str = "regnetx_004"  # a timm name
    tele_camera: str = "tele"  # the camera whose picture the decision looks at directly
    heights_m: tuple[float, ...] = (0.0, 1.0, 2.5, 5.0)  # road, cars, signs and vans, traffic lights
    image_channels: int = 64
    width: int = 128
    fine_channels: int = 32
    heads: int = 4
    encoder_layers: int = 2
    decision_layers: int = 2
    trajectory_layers: int = 3
    dropout: float = 0.05
    speed_dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.tele_camera not in self.rig.names:
            raise ValueError(f"tele_camera must be one of {self.rig.names}, received {self.tele_camera!r}")
        for name in ("dropout", "speed_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), received {getattr(self, name)}")


class DrivingModel(nn.Module):
    """Images, calibration, own speed and a coarse route hint -> where to go, and how fast."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.image_backbone = ImageBackbone(config.backbone, config.image_channels)
        self.view_transform = ViewTransform(
            config.rig, config.grid, config.heights_m, config.image_channels, FEATURE_STRIDE
        )
        self.bev_encoder = BevEncoder(
            config.grid,
            config.image_channels,
            config.width,
            config.fine_channels,
            config.encoder_layers,
            config.heads,
            config.dropout,
        )
        self.perception_heads = SegmentationHead(config.fine_channels)
        tele = config.rig.cameras[config.rig.names.index(config.tele_camera)]
        self.decision = Decision(
            config.width,
            config.heads,
            config.decision_layers,
            config.dropout,
            config.image_channels,
            tele.width * tele.height // FEATURE_STRIDE**2,
        )
        self.trajectory_decoder = TrajectoryDecoder(
            config.grid,
            config.width,
            config.heads,
            config.trajectory_layers,
            config.dropout,
            config.speed_dropout,
            config.fine_channels,
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        names = self.config.rig.names
        features = tuple(f"features[{name}]" for name in names)
        return (
            *(
                Stage(f"image_backbone[{name}]", self.image_backbone, (f"image[{name}]",), (feature,))
                for name, feature in zip(names, features, strict=True)
            ),
            Stage("view_transform", self.view_transform, features, ("bev_lifted",)),
            Stage("bev_encoder", self.bev_encoder, ("bev_lifted",), ("bev_tokens", "bev_features")),
            Stage("perception_heads", self.perception_heads, ("bev_features",), ("bev_segmentation",)),
            Stage(
                "decision",
                self.decision,
                ("bev_tokens", f"features[{self.config.tele_camera}]", "command"),
                ("speed_logits", "light_logits", "intent"),
            ),
            Stage(
                "trajectory_decoder",
                self.trajectory_decoder,
                ("bev_tokens", "bev_features", "intent", "speed", "command"),
                ("path", "waypoints"),
            ),
        )

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All tensors by name: those given, and every stage's outputs."""
        return run_stages(self.stages, dict(tensors))

    def loss(self, batch: Mapping[str, Tensor], config: LossConfig) -> dict[str, Tensor]:
        """Loss terms by name, their weighted sum under "total". batch: inputs, and the labels of `driving_loss`."""
        return driving_loss(self(batch), batch, config)

    def set_rig(self, rig: CameraRig) -> None:
        """Look through other lenses from now on: same camera names and sizes, any calibration."""
        sizes = [(camera.name, camera.width, camera.height) for camera in rig.cameras]
        known = [(camera.name, camera.width, camera.height) for camera in self.config.rig.cameras]
        if sizes != known:
            raise ValueError(f"this network was built for cameras {known}, received {sizes}")
        if rig != self.config.rig:
            self.view_transform.set_rig(rig)
            self.config = ModelConfig(
                **{item.name: getattr(self.config, item.name) for item in fields(ModelConfig) if item.name != "rig"},
                rig=rig,
            )


def network_inputs(frame: SensorFrame) -> dict[str, Tensor]:
    """A frame with images -> the source tensors, batch 1."""
    if frame.images is None:
        raise ValueError(f"frame {frame.frame_id} has no images")
    tensors = {
        f"image[{name}]": torch.from_numpy(np.array(frame.images[name])).permute(2, 0, 1)[None]
        for name in frame.rig.names
    }
    tensors["speed"] = torch.tensor([[frame.ego.speed_mps]], dtype=torch.float32)
    tensors["command"] = torch.from_numpy(command_vector(frame.hint))[None]
    return tensors


def trajectory_from(outputs: Mapping[str, Any], frame: SensorFrame) -> Trajectory:
    """The sink tensors (torch or numpy, batch 1) of the network run on `frame` -> a trajectory."""
    path, logits, waypoints = (np.asarray(outputs[name], dtype=np.float64)[0] for name in SINKS)
    weights = np.exp(logits - logits.max())
    return Trajectory(frame.frame_id, frame.time_s, frame.ego.odometry, path, weights / weights.sum(), waypoints)


def model_config_from(values: Mapping[str, Any], rig: CameraRig) -> ModelConfig:
    """A configuration group or config.json -> ModelConfig; unknown keys are refused by name."""
    known = {item.name for item in fields(ModelConfig)} - {"rig"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown keys {unknown}; known are {sorted(known)}")
    given = dict(values)
    if "grid" in given:
        given["grid"] = BevGrid(**given["grid"])
    if "heights_m" in given:
        given["heights_m"] = tuple(given["heights_m"])
    return ModelConfig(rig=rig, **given)


def save_model(model: DrivingModel, folder: Path) -> None:
    """Writes model.safetensors and config.json; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    config = asdict(model.config)
    config["rig"] = {"cameras": rig_to_config(model.config.rig)}
    weights, description = folder / f".{WEIGHTS_FILE}", folder / f".{CONFIG_FILE}"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, weights)
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
    model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    return model.eval()
