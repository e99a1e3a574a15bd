"""Study models: a driving network of any size, described by a few numbers, whose costs can be traced without weights.

    image_backbone[cam] (-> neck[cam]) -> view_transform -> bev_encoder (owns the BEV memory) -> perception_heads
    -> world_model -> decision -> trajectory_decoder -> trajectory_optimiser;   explainer hangs off the critical path

Nothing here is trained and nothing need ever run: on the meta device a module has shapes and no numbers, which is all
that a cost follows from. Tomorrow's network can be scheduled on tomorrow's computer today.

Tensors by name (shapes: see `planner.study_modules`):
    in    image[cam] (1, 3, H, W) uint8   bev_memory (1, F*E, R, K)   ego_motion (1, F, 2, 3)   speed (1, 1)
          command (1, 5)
    out   trajectory (1, 12, 2)
    on    explanation (1, 32, 4096), segmentation, heat_map: nobody waits for them
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bev.encoder import TOKEN_STRIDE
from bev.stage import Stage
from planner.study_modules import (
    COMMAND_SIZE,
    STRIDE,
    Decision,
    Explainer,
    Levels,
    LevelsAndNeck,
    LiftSplat,
    Neck,
    PerceptionHeads,
    TemporalBevEncoder,
    TrajectoryDecoder,
    TrajectoryOptimiser,
    WorldModel,
)

ENCODERS = ("transformer", "convolution")
SINKS = ("trajectory",)
STATES = {"bev_memory": "bev_memory_next"}


@dataclass(frozen=True)
class StudyConfig:
    """Everything that decides the shape of a study model."""

    cameras: int = 6
    height: int = 256  # pixels
    width: int = 704
    backbone: str = "resnet50"  # a timm name with a feature map of stride 16
    split_neck: bool = False  # the feature pyramid as a stage of its own, one a camera
    feature_channels: int = 256
    depth_bins: int = 118  # 1 m to 60 m in steps of 0.5 m
    bev_rows: int = 128
    bev_columns: int = 128
    bev_channels: int = 80
    memory_frames: int = 4
    encoder: str = "transformer"
    encoder_layers: int = 2
    world_width: int = 256  # of BEV tokens and agents
    world_layers: int = 3
    agents: int = 100
    decoder_width: int = 256
    decoder_layers: int = 3
    candidates: int = 64
    optimiser_iterations: int = 10
    explainer_width: int = 256
    explainer_layers: int = 4

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise ValueError(f"encoder must be one of {', '.join(ENCODERS)}, received {self.encoder!r}")
        for name, value in vars(self).items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise ValueError(f"study model: {name} must be at least 1, received {value}")
        for name, value, step in (
            ("height", self.height, STRIDE),
            ("width", self.width, STRIDE),
            ("bev_rows", self.bev_rows, TOKEN_STRIDE),
            ("bev_columns", self.bev_columns, TOKEN_STRIDE),
        ):
            if value % step:
                raise ValueError(f"study model: {name} must be a multiple of {step}, received {value}")
        if self.agents > self.bev_rows * self.bev_columns:
            raise ValueError(
                f"study model: {self.agents} agents do not fit on {self.bev_rows}x{self.bev_columns} cells"
            )

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(f"camera{i}" for i in range(self.cameras))


@dataclass(frozen=True)
class Study:
    """What `scheduling.trace_stages` takes."""

    stages: tuple[Stage, ...]
    sources: dict[str, Tensor]
    sinks: tuple[str, ...]
    states: dict[str, str]


def study_stages(config: StudyConfig, device: str = "meta") -> Study:
    """The model on a device; on "meta" without weights. In evaluation mode, with untrained weights elsewhere."""
    with torch.device(device):
        stages = (*_camera_stages(config), *_scene_stages(config))
        memory = (1, config.memory_frames * config.bev_channels, config.bev_rows, config.bev_columns)
        sources = {
            **{
                f"image[{name}]": torch.zeros(1, 3, config.height, config.width, dtype=torch.uint8)
                for name in config.camera_names
            },
            "bev_memory": torch.zeros(memory),
            "ego_motion": torch.eye(2, 3).expand(1, config.memory_frames, 2, 3).contiguous(),
            "speed": torch.zeros(1, 1),
            "command": torch.zeros(1, COMMAND_SIZE),
        }
    for stage in stages:
        stage.module.eval()
    return Study(stages, sources, SINKS, dict(STATES))


def _camera_stages(config: StudyConfig) -> tuple[Stage, ...]:
    """All cameras look through one set of weights."""
    levels = Levels(config.backbone, (config.height, config.width))
    neck = Neck(levels.channels, config.feature_channels)
    stages: list[Stage] = []
    if not config.split_neck:
        whole = LevelsAndNeck(levels, neck)
        for name in config.camera_names:
            stages.append(Stage(f"image_backbone[{name}]", whole, (f"image[{name}]",), (f"features[{name}]",)))
        return tuple(stages)
    for name in config.camera_names:
        between = tuple(f"level{i}[{name}]" for i in range(len(levels.channels)))
        stages.append(Stage(f"image_backbone[{name}]", levels, (f"image[{name}]",), between))
        stages.append(Stage(f"neck[{name}]", neck, between, (f"features[{name}]",)))
    return tuple(stages)


def _scene_stages(config: StudyConfig) -> tuple[Stage, ...]:
    bev, channels, width = (config.bev_rows, config.bev_columns), config.bev_channels, config.world_width
    feature = (config.height // STRIDE, config.width // STRIDE)
    lift = LiftSplat(config.cameras, feature, config.feature_channels, bev, channels, config.depth_bins)
    encoder = TemporalBevEncoder(bev, channels, config.memory_frames, width, config.encoder_layers, config.encoder)
    decoder = TrajectoryDecoder(width, config.decoder_width, config.decoder_layers, config.candidates)
    explainer = Explainer(width, config.decoder_width, config.explainer_width, config.explainer_layers)
    features = tuple(f"features[{name}]" for name in config.camera_names)
    return (
        Stage("view_transform", lift, features, ("bev_lifted",)),
        Stage(
            "bev_encoder",
            encoder,
            ("bev_lifted", "bev_memory", "ego_motion"),
            ("bev_tokens", "bev_features", "bev_memory_next"),
        ),
        Stage(
            "perception_heads",
            PerceptionHeads(channels, width, config.agents),
            ("bev_features",),
            ("segmentation", "heat_map", "agents"),
        ),
        Stage(
            "world_model", WorldModel(width, config.world_layers), ("agents", "bev_tokens"), ("agent_tokens", "futures")
        ),
        Stage(
            "decision",
            Decision(width, config.decoder_width),
            ("bev_tokens", "agent_tokens", "command"),
            ("intent", "intent_logits"),
        ),
        Stage(
            "trajectory_decoder",
            decoder,
            ("bev_tokens", "agent_tokens", "intent", "speed"),
            ("candidates", "scores"),
        ),
        Stage(
            "trajectory_optimiser",
            TrajectoryOptimiser(config.optimiser_iterations),
            ("candidates", "scores", "futures"),
            SINKS,
        ),
        Stage("explainer", explainer, ("bev_tokens", "intent"), ("explanation",)),
    )
