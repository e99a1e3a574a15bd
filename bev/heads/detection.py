"""3D detection by centres (CenterPoint: Yin et al., arXiv 2006.11275): where something is, how large, how fast.

Shapes:  B batch   F fine channels   R rows   K columns   A agents asked for
"""

from __future__ import annotations

import math
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev.encoder import convolve
from bev.types import BevGrid, BoxKind

SIZE_M = ((4.5, 2.0, 1.6), (0.6, 0.6, 1.7), (2.0, 0.8, 1.6))  # length, width, height that log sizes are relative to
SPEED_SCALE_MPS = 5.0
_PRIOR = 0.003  # share of cells that hold a centre, about: where a focal loss wants to start from


class Box(IntEnum):
    """Channels of a regressed box: centre relative to its cell's [m], height of the centre [m], logarithms of the sizes
    over SIZE_M of the kind, heading, velocity over ground [SPEED_SCALE_MPS], all in the ego frame."""

    DX = 0
    DY = 1
    Z = 2
    LENGTH = 3
    WIDTH = 4
    HEIGHT = 5
    COS = 6
    SIN = 7
    VX = 8
    VY = 9


class Agent(IntEnum):
    """Columns of a decoded agent: score 0..1, kind, centre [m], sizes [m], yaw [rad], velocity [m/s], ego frame."""

    SCORE = 0
    KIND = 1
    X = 2
    Y = 3
    Z = 4
    LENGTH = 5
    WIDTH = 6
    HEIGHT = 7
    YAW = 8
    VX = 9
    VY = 10


class DetectionHead(nn.Module):
    """(B, F, R, K) -> heatmap logits (B, len(BoxKind), R, K), boxes (B, len(Box), R, K)."""

    def __init__(self, fine: int) -> None:
        super().__init__()
        self.trunk = convolve(fine, fine)
        self.heatmap = nn.Conv2d(fine, len(BoxKind), 1)
        self.boxes = nn.Sequential(convolve(fine, fine), nn.Conv2d(fine, len(Box), 1))
        nn.init.constant_(self.heatmap.bias, math.log(_PRIOR / (1.0 - _PRIOR)))  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        trunk = self.trunk(features)
        return self.heatmap(trunk), self.boxes(trunk)


def decode(heatmap: Tensor, boxes: Tensor, grid: BevGrid, agents: int) -> tuple[Tensor, Tensor]:
    """heatmap (B, len(BoxKind), R, K) logits, boxes (B, len(Box), R, K)
    -> the `agents` highest local maxima as (B, A, len(Agent)), and the cell each was found in (B, A) int64."""
    # Logits, not their sigmoid: rounding there makes ties, which every runtime would break in another way.
    logits = heatmap.float()
    peak = F.max_pool2d(logits, 3, stride=1, padding=1)
    cells = grid.rows * grid.columns
    best, place = torch.where(logits == peak, logits, float("-inf")).flatten(1).topk(agents, dim=1)
    kind = torch.div(place, cells, rounding_mode="floor")
    cell = place - kind * cells
    row = torch.div(cell, grid.columns, rounding_mode="floor")
    column = cell - row * grid.columns
    box = at_cells(boxes.float(), cell)  # (B, A, len(Box))
    x = grid.x_max_m - (row + 0.5) * grid.cell_m + box[..., Box.DX]
    y = grid.y_max_m - (column + 0.5) * grid.cell_m + box[..., Box.DY]
    size = torch.tensor(SIZE_M, device=box.device)[kind] * box[..., Box.LENGTH : Box.HEIGHT + 1].clamp(-3, 3).exp()
    yaw = torch.atan2(box[..., Box.SIN], box[..., Box.COS])
    velocity = box[..., Box.VX : Box.VY + 1] * SPEED_SCALE_MPS
    columns = (best.sigmoid(), kind.float(), x, y, box[..., Box.Z], *size.unbind(-1), yaw, *velocity.unbind(-1))
    return torch.stack(columns, dim=-1), cell


def at_cells(features: Tensor, cell: Tensor) -> Tensor:
    """features (B, F, R, K) at cells (B, A), numbered row by row -> (B, A, F)."""
    flat = features.flatten(2)
    return flat.gather(2, cell[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)
