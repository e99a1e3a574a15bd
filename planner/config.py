"""Everything that decides the shape of the network, and the rig it looks through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from bev import BevGrid, CameraRig
from bev.frustum import DepthBins


@dataclass(frozen=True)
class ModelConfig:
    """Fields of configs/model/*.yaml. Raises ValueError for what cannot be built."""

    rig: CameraRig
    grid: BevGrid = field(default_factory=BevGrid)
    backbone: str = "regnetx_004"  # a timm name
    pretrained: bool = False  # training starts from ImageNet weights that an installed package brings
    view_transform: str = "lift_splat"  # | cross_attention
    depth_bins: DepthBins = field(default_factory=DepthBins)
    light_cameras: tuple[str, ...] = ("tele", "front_left", "front_right")  # whose pictures may show our light
    image_channels: int = 64
    bev_channels: int = 64
    width: int = 128
    fine_channels: int = 32
    memory_channels: int = 32
    heads: int = 4
    encoder_layers: int = 2
    decision_layers: int = 2
    trajectory_layers: int = 3
    agents: int = 16  # road users that are followed at once
    dropout: float = 0.05
    motion_dropout: float = 0.3  # share of training samples from which own speed is withheld
    standing_dropout: float = 1.0  # the same for how long the car has stood; 1: never told, when driving neither

    def __post_init__(self) -> None:
        strangers = [name for name in self.light_cameras if name not in self.rig.names]
        if strangers or not self.light_cameras:
            raise ValueError(f"light_cameras must be some of {self.rig.names}, received {self.light_cameras}")
        for name in ("dropout", "motion_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), received {getattr(self, name)}")
        if not 0.0 <= self.standing_dropout <= 1.0:
            raise ValueError(f"standing_dropout must lie in [0, 1], received {self.standing_dropout}")
        for name in ("encoder_layers", "decision_layers", "trajectory_layers", "agents"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, received {getattr(self, name)}")


def model_config_from(values: Mapping[str, Any], rig: CameraRig) -> ModelConfig:
    """A configuration group or config.json -> ModelConfig; unknown keys are refused by name."""
    known = {item.name for item in fields(ModelConfig)} - {"rig"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown keys {unknown}; known are {sorted(known)}")
    given = dict(values)
    for name, make in (("grid", BevGrid), ("depth_bins", DepthBins)):
        if name in given:
            given[name] = make(**given[name])
    if "light_cameras" in given:
        given["light_cameras"] = tuple(given["light_cameras"])
    return ModelConfig(rig=rig, **given)
