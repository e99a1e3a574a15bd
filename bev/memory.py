"""What the bird's-eye view remembers: key frames of half a second, each with the pose it was seen from.

A car that drives sees a picture every tenth of a second, but what moves shows over half a second. So a frame becomes a
key frame when the last one is KEYFRAME_S old; two are kept, and the older one, then half a second to a second
old, is what the encoder compares the present with. Poses are odometry: only their differences matter.

Shapes:  B batch   S slots (2)   C memory channels   r, k rows and columns at half resolution
Poses:   (.., 5) x, y [m], yaw [rad], time [s], and 1 where the slot holds something (a present pose lacks the last)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bev.types import BevGrid

SLOTS = 2
KEYFRAME_S = 0.45  # a little under half a second: frames come at multiples of a tick, in floating point
OLDEST_S = 1.6  # what is older was left behind by a gap in the frames and is not looked at
POSE_SIZE = 5


def empty_memory(batch: int, channels: int, grid: BevGrid) -> tuple[Tensor, Tensor]:
    """bev_memory (B, S, C, r, k) and memory_poses (B, S, 5) of a car that has seen nothing yet."""
    shape = (batch, SLOTS, channels, grid.rows // 2, grid.columns // 2)
    return torch.zeros(shape), torch.zeros(batch, SLOTS, POSE_SIZE)


def recall(memory: Tensor, poses: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    """What to compare the frame at `pose` (B, 4) with: features (B, C, r, k) and their pose (B, 5), whose last entry
    is 0 where there is nothing of the right age. The older slot, if it is filled."""
    has_older = poses[:, 1, 4] > 0.5
    chosen = torch.where(has_older[:, None], poses[:, 1], poses[:, 0])
    features = torch.where(has_older[:, None, None, None], memory[:, 1], memory[:, 0])
    age_s = pose[:, 3] - chosen[:, 3]
    good = (chosen[:, 4] > 0.5) & (age_s >= 0.5 * KEYFRAME_S) & (age_s <= OLDEST_S)
    return features, torch.cat([chosen[:, :4], good[:, None].to(chosen.dtype)], dim=1)


def remember(memory: Tensor, poses: Tensor, features: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    """The memory after this frame: it becomes the newest slot if that one is old enough, else nothing changes."""
    due = (poses[:, 0, 4] < 0.5) | (pose[:, 3] - poses[:, 0, 3] >= KEYFRAME_S)
    now = torch.cat([pose, torch.ones_like(pose[:, :1])], dim=1)
    moved = torch.stack([features.to(memory.dtype), memory[:, 0]], dim=1)
    moved_poses = torch.stack([now, poses[:, 0]], dim=1)
    return (
        torch.where(due[:, None, None, None, None], moved, memory),
        torch.where(due[:, None, None], moved_poses, poses),
    )


def align(features: Tensor, then: Tensor, now: Tensor, cells: Tensor, grid: BevGrid) -> Tensor:
    """features (B, C, r, k) seen from pose `then` (B, >=3) -> the same things where they lie from pose `now` (B, >=3),
    if they stood still; zero where the memory does not reach. cells (r, k, 2): cell centres in the ego frame."""
    cos, sin = torch.cos(now[:, 2]), torch.sin(now[:, 2])
    x, y = cells[..., 0], cells[..., 1]
    east = now[:, 0, None, None] - then[:, 0, None, None] + cos[:, None, None] * x - sin[:, None, None] * y
    north = now[:, 1, None, None] - then[:, 1, None, None] + sin[:, None, None] * x + cos[:, None, None] * y
    cos, sin = torch.cos(then[:, 2])[:, None, None], torch.sin(then[:, 2])[:, None, None]
    there_x, there_y = cos * east + sin * north, cos * north - sin * east
    row = (grid.x_max_m - there_x) / (grid.x_max_m - grid.x_min_m)  # 0 at the far edge, 1 at the near one
    column = (grid.y_max_m - there_y) / (grid.y_max_m - grid.y_min_m)
    places = 2.0 * torch.stack([column, row], dim=-1) - 1.0
    return F.grid_sample(features.float(), places.float(), align_corners=False)
