"""The whole network as a list of stages.

Tensors by name (B = batch, 1 when driving; M cameras; A agents; R, K = 64, 64 the BEV grid; T tokens; D width):
    in    image[<camera>] (B, 3, H, W) uint8   motion (B, 2) m/s, s   command (B, 5), see `planner.conditioning`
          pose (B, 4) odometry x, y, yaw, time   bev_memory (B, 2, Q, R/2, K/2), memory_poses (B, 2, 5), `bev.memory`
    out   path (B, 10, 2) m   speed_logits (B, 8)   waypoints (B, 8, 2) m
    shown bev_segmentation (B, 6, R, K) logits   light_logits (B, 3)   manoeuvre_logits (B, 6)
          agent_boxes (B, A, 11)   agent_futures (B, A, 3, 4, 2) m   agent_modes (B, A, 3)   depth (B, M, H/2, W/2) m
    between   features[<camera>] (B, E, H/8, W/8)   bev_lifted (B, C, R, K)   depth_logits (B, M, bins + 1, H/8, W/8)
              bev_tokens (B, T, D)   bev_features (B, F, R, K)   bev_memory_next, memory_poses_next
              detection_heatmap (B, 3, R, K)   detection_boxes (B, 10, R, K)   light_token (B, 1, D)
              agents (B, A, D)   intent (B, 2, D)   raw_path (B, 10, 2)   raw_waypoints (B, 8, 2)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bev import CameraRig, FloatArray, SensorFrame, Stage, run_stages
from bev.backbone import FEATURE_STRIDE, ImageBackbone
from bev.encoder import BevEncoder
from bev.heads import DepthCompletion, LightHead, PerceptionHeads
from bev.memory import empty_memory
from bev.view_transform import ViewTransform
from planner.conditioning import HintEmbedding, command_vector, motion_vector
from planner.config import ModelConfig
from planner.decision import Decision
from planner.losses import LossConfig, driving_loss
from planner.optimiser import TrajectoryOptimiser
from planner.trajectory_decoder import TrajectoryDecoder
from planner.types import Trajectory
from planner.world_model import WorldModel

SINKS = ("path", "speed_logits", "waypoints", "light_logits")
STATES = {"bev_memory": "bev_memory_next", "memory_poses": "memory_poses_next"}
_LIFTING = ("image_backbone", "view_transform")  # beginnings of stage names
_PLANNING = ("world_model", "decision", "trajectory_decoder", "trajectory_optimiser")


class DrivingModel(nn.Module):
    """Images, calibration, own motion and a coarse route hint -> where to go, and how fast."""

    def __init__(self, config: ModelConfig, pretrained: bool = False) -> None:
        """pretrained: fill the backbone as the config says; not wanted where weights are loaded anyway."""
        super().__init__()
        self.config = config
        c, grid = config, config.grid
        self.image_backbone = ImageBackbone(c.backbone, c.image_channels, pretrained and c.pretrained)
        self.view_transform = ViewTransform(
            c.rig, grid, c.view_transform, c.depth_bins, c.image_channels, c.bev_channels, FEATURE_STRIDE, c.heads
        )
        self.bev_encoder = BevEncoder(
            grid,
            c.bev_channels,
            c.width,
            c.fine_channels,
            c.encoder_layers,
            c.heads,
            c.dropout,
            c.memory_channels,
        )
        light_cells = sum(
            camera.width * camera.height // FEATURE_STRIDE**2
            for camera in c.rig.cameras
            if camera.name in c.light_cameras
        )
        light = LightHead(c.image_channels, c.width, c.heads, light_cells, c.dropout)
        self.perception_heads = PerceptionHeads(c.fine_channels, HintEmbedding(c.width), light)
        self.depth_completion = DepthCompletion(c.image_channels, c.depth_bins)
        self.world_model = WorldModel(grid, c.width, c.heads, c.dropout, c.fine_channels, c.agents)
        self.decision = Decision(c.width, c.heads, c.decision_layers, c.dropout, c.standing_dropout)
        self.trajectory_decoder = TrajectoryDecoder(
            grid, c.width, c.heads, c.trajectory_layers, c.dropout, c.motion_dropout, c.fine_channels
        )
        self.trajectory_optimiser = TrajectoryOptimiser()

    @property
    def stages(self) -> tuple[Stage, ...]:
        names = self.config.rig.names
        features = tuple(f"features[{name}]" for name in names)
        bev, motion = ("bev_tokens", "bev_features"), ("command", "motion")
        detection = ("detection_heatmap", "detection_boxes")
        lights = tuple(f"features[{name}]" for name in self.config.light_cameras)
        return (
            *(
                Stage(f"image_backbone[{name}]", self.image_backbone, (f"image[{name}]",), (feature,))
                for name, feature in zip(names, features, strict=True)
            ),
            Stage("view_transform", self.view_transform, features, ("bev_lifted", "depth_logits")),
            Stage(
                "bev_encoder",
                self.bev_encoder,
                ("bev_lifted", "bev_memory", "memory_poses", "pose"),
                (*bev, "bev_memory_next", "memory_poses_next"),
            ),
            Stage(
                "perception_heads",
                self.perception_heads,
                ("bev_features", "command", *lights),
                ("bev_segmentation", *detection, "light_logits", "light_token"),
            ),
            Stage("depth_completion", self.depth_completion, ("depth_logits", *features), ("depth",)),
            Stage(
                "world_model",
                self.world_model,
                (*bev, *detection),
                ("agents", "agent_boxes", "agent_futures", "agent_modes"),
            ),
            Stage(
                "decision",
                self.decision,
                ("bev_tokens", "agents", "light_token", *motion),
                ("speed_logits", "manoeuvre_logits", "intent"),
            ),
            Stage(
                "trajectory_decoder",
                self.trajectory_decoder,
                (*bev, "agents", "intent", *motion),
                ("raw_path", "raw_waypoints"),
            ),
            Stage(
                "trajectory_optimiser",
                self.trajectory_optimiser,
                ("raw_path", "speed_logits", "raw_waypoints", "motion"),
                ("path", "waypoints"),
            ),
        )

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All tensors by name: those given, and every stage's outputs."""
        return run_stages(self.stages, dict(tensors))

    def loss(self, batch: Mapping[str, Tensor], config: LossConfig, planning: bool = True) -> dict[str, Tensor]:
        """Loss terms by name, their weighted sum under "total". batch: inputs, and the labels of `driving_loss`; with
        past_image[<camera>] (P, 3, H, W) and past_of (P,), an earlier frame of some of the samples, that is what their
        memory is made from (seen from memory_poses). planning: False trains the perception only.

        The optimiser is left out: what it has to mend is what shall be learned.
        """
        tensors = self.with_memory(batch)
        skipped = _PLANNING if not planning else ("trajectory_optimiser",)
        outputs = run_stages([stage for stage in self.stages if stage.name not in skipped], tensors)
        return driving_loss(outputs, batch, config, self.config, planning)

    def with_memory(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A batch of samples and earlier frames (see `loss`) -> the same with its bev_memory, which has no gradient
        into the earlier frames but for the last layer's."""
        state = self.first_state(len(batch["pose"]))
        tensors = dict(batch)
        tensors["bev_memory"] = state["bev_memory"].to(batch["pose"].device)
        if "past_of" not in batch:
            return tensors
        past = {f"image[{name}]": batch[f"past_image[{name}]"] for name in self.config.rig.names}
        lifting = [stage for stage in self.stages if stage.name.startswith(_LIFTING)]
        with torch.no_grad():
            lifted = run_stages(lifting, past)["bev_lifted"]
        remembered = self.bev_encoder.memorise(lifted).float()
        slots = remembered[:, None].expand(-1, state["bev_memory"].shape[1], -1, -1, -1)
        tensors["bev_memory"] = tensors["bev_memory"].index_copy(0, batch["past_of"], slots)
        return tensors

    def set_rig(self, rig: CameraRig) -> None:
        """Look through other lenses from now on: same camera names and sizes, any calibration."""
        sizes = [(camera.name, camera.width, camera.height) for camera in rig.cameras]
        known = [(camera.name, camera.width, camera.height) for camera in self.config.rig.cameras]
        if sizes != known:
            raise ValueError(f"this network was built for cameras {known}, received {sizes}")
        if rig != self.config.rig:
            self.view_transform.set_rig(rig)
            self.config = replace(self.config, rig=rig)

    def first_state(self, batch: int = 1) -> dict[str, Tensor]:
        """The recurrent tensors of a car that has seen nothing yet."""
        memory, poses = empty_memory(batch, self.config.memory_channels, self.config.grid)
        return {"bev_memory": memory, "memory_poses": poses}


def network_inputs(frame: SensorFrame) -> dict[str, Tensor]:
    """A frame with images -> the source tensors, batch 1, without the recurrent ones."""
    if frame.images is None:
        raise ValueError(f"frame {frame.frame_id} has no images")
    tensors = {
        f"image[{name}]": torch.from_numpy(np.array(frame.images[name])).permute(2, 0, 1)[None]
        for name in frame.rig.names
    }
    tensors["motion"] = torch.from_numpy(motion_vector(frame.ego))[None]
    tensors["command"] = torch.from_numpy(command_vector(frame.hint))[None]
    odometry = frame.ego.odometry
    tensors["pose"] = torch.tensor([[odometry.x, odometry.y, odometry.yaw, frame.time_s]], dtype=torch.float32)
    return tensors


def trajectory_from(outputs: Mapping[str, Any], frame: SensorFrame) -> Trajectory:
    """The sink tensors (torch or numpy, batch 1) of the network run on `frame` -> a trajectory."""
    path, speed, waypoints, light = (np.asarray(outputs[name], dtype=np.float64)[0] for name in SINKS)
    return Trajectory(
        frame.frame_id, frame.time_s, frame.ego.odometry, path, _softmax(speed), waypoints, _softmax(light)
    )


def _softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())
