"""What the planner is told besides pictures: own speed, and the next instruction of the route.

Shapes:  B batch   D token width
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bev import Command, FloatArray, RouteHint

COMMAND_SIZE = len(Command) + 1  # one-hot command, then distance as a share of RouteHint.MAX_DISTANCE_M
_SPEED_SCALE_MPS = 10.0
_DISTANCE_BUMPS = 8


def command_vector(hint: RouteHint) -> FloatArray:
    """(COMMAND_SIZE,) float32: the tensor "command"."""
    vector = np.zeros(COMMAND_SIZE, dtype=np.float32)
    vector[hint.command] = 1.0
    vector[-1] = min(max(hint.distance_m / RouteHint.MAX_DISTANCE_M, 0.0), 1.0)
    return vector


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


class Conditioning(nn.Module):
    """speed (B, 1) m/s, command (B, 5) -> one vector (B, D) that is added to every query.

    In training the speed is withheld from a share of the samples (a learned vector takes its place), so that the path
    does not come to depend on it.
    """

    def __init__(self, width: int, speed_dropout: float) -> None:
        super().__init__()
        self.speed_dropout = speed_dropout
        self.speed = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        self.unknown_speed = nn.Parameter(torch.zeros(width))
        self.hint = HintEmbedding(width)

    def forward(self, speed: Tensor, command: Tensor) -> Tensor:
        speed_vector = self.speed(speed / _SPEED_SCALE_MPS)
        if self.training and self.speed_dropout > 0:
            withheld = torch.rand(len(speed), 1, device=speed.device) < self.speed_dropout
            speed_vector = torch.where(withheld, self.unknown_speed, speed_vector)
        return speed_vector + self.hint(command)
