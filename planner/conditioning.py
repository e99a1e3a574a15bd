"""What the planner is told besides pictures: own motion, and the next instruction of the route.

Shapes:  B batch   D token width
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bev import Command, EgoMotion, FloatArray, RouteHint

COMMAND_SIZE = len(Command) + 1  # one-hot command, then distance as a share of RouteHint.MAX_DISTANCE_M
_SPEED_SCALE_MPS = 10.0
_STANDING_SCALE_S = 2.0
_DISTANCE_BUMPS = 8


def command_vector(hint: RouteHint) -> FloatArray:
    """(COMMAND_SIZE,) float32: the tensor "command"."""
    vector = np.zeros(COMMAND_SIZE, dtype=np.float32)
    vector[hint.command] = 1.0
    vector[-1] = min(max(hint.distance_m / RouteHint.MAX_DISTANCE_M, 0.0), 1.0)
    return vector


def motion_vector(ego: EgoMotion) -> FloatArray:
    """(2,) float32, the tensor "motion": speed [m/s], and for how long the car has been standing [s]."""
    return np.array([ego.speed_mps, ego.standing_s], dtype=np.float32)


class HintEmbedding(nn.Module):
    """command (B, 5) -> (B, D). The distance to the junction enters as a row of bumps times the command: "left, in
    about 10 m" is one number."""

    bumps: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("bumps", torch.linspace(0.0, 1.0, _DISTANCE_BUMPS) ** 2, persistent=False)
        self.command = nn.Sequential(
            nn.Linear(len(Command) * (_DISTANCE_BUMPS + 1), width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, command: Tensor) -> Tensor:
        one_hot, distance = command[:, :-1], command[:, -1:]
        # Bumps stand closer together near the junction (their places are squared) and are as wide as they are far.
        near = torch.exp(-(((distance - self.bumps) / (0.05 + 0.3 * self.bumps)) ** 2))
        place = torch.cat([torch.ones_like(distance), near], dim=1)
        return self.command((one_hot[:, :, None] * place[:, None, :]).flatten(1))


class MotionEmbedding(nn.Module):
    """One column of motion (B, 2) -> (B, D). In training it is withheld from a share of the samples (a learned vector
    takes its place), so that nothing comes to depend on it; from all of them, and when driving, if the share is 1."""

    def __init__(self, width: int, column: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.column, self.scale, self.dropout = column, scale, dropout
        if dropout < 1.0:
            self.layers = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        self.unknown = nn.Parameter(torch.zeros(width))

    def forward(self, motion: Tensor) -> Tensor:
        value = motion[:, self.column : self.column + 1]
        if self.dropout >= 1.0:
            return self.unknown.expand(len(value), -1)
        vector = self.layers((value / self.scale).clamp(-1.0, 3.0))
        if self.training and self.dropout > 0:
            withheld = torch.rand(len(value), 1, device=value.device) < self.dropout
            vector = torch.where(withheld, self.unknown.to(vector.dtype), vector)
        return vector


def speed_embedding(width: int, dropout: float) -> MotionEmbedding:
    return MotionEmbedding(width, 0, _SPEED_SCALE_MPS, dropout)


def standing_embedding(width: int, dropout: float) -> MotionEmbedding:
    """Zero for every car that moves: it tells who has waited at a stop sign, and nothing that could be copied."""
    return MotionEmbedding(width, 1, _STANDING_SCALE_S, dropout)
