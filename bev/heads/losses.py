"""What the perception heads are taught with.

Shapes:  B batch   M cameras   D depth bins   h, w feature map   U completion's upsampling   G labelled boxes (padded)
         R, K rows and columns of the BEV grid
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bev.frustum import DepthBins
from bev.heads.detection import SIZE_M, SPEED_SCALE_MPS, Agent, Box, at_cells
from bev.types import BevGrid, BoxKind

_BLOB_CELLS = 2  # a centre's blob reaches this far; standard deviation half of it
_HARD, _NEAR = 2.0, 4.0  # exponents of the focal loss (Law & Deng, arXiv 1808.01244, eq. 1)
_BOX_WEIGHTS = {Box.VX: 0.3, Box.VY: 0.3, Box.Z: 0.5}


def depth_loss(logits: Tensor, depth_m: Tensor, bins: DepthBins) -> Tensor:
    """logits (B, M, D + 1, h, w), depth_m (B, M, U h, U w): cross entropy with the depths of all fine pixels in a
    feature cell, so that a cell across an edge is taught both sides of it."""
    factor = depth_m.shape[-1] // logits.shape[-1]
    fine = F.pixel_unshuffle(bins.classes(depth_m.flatten(0, 1))[:, None].float(), factor).long()  # (B*M, U*U, h, w)
    log_share = F.log_softmax(logits.flatten(0, 1), dim=1)
    return -log_share.gather(1, fine).mean()


def completion_loss(depth: Tensor, depth_m: Tensor, last_m: float) -> Tensor:
    """Mean absolute error of the logarithm over pixels nearer than last_m. Both (B, M, U h, U w)."""
    near = depth_m < last_m
    error = (depth.clamp(min=0.1).log() - depth_m.clamp(0.1, last_m).log()).abs()
    return (error * near).sum() / near.sum().clamp(min=1)


def detection_losses(
    heatmap: Tensor, boxes: Tensor, truth: Tensor, known: Tensor, grid: BevGrid
) -> tuple[Tensor, Tensor]:
    """heatmap (B, len(BoxKind), R, K) logits, boxes (B, len(Box), R, K), truth (B, G, len(Agent)), known (B, R, K)
    -> focal loss of the heatmap, mean absolute error of the boxes at their true centres."""
    counts, row, column = _cells_of(truth, grid)
    target = centre_blobs(truth, counts, row, column, grid)
    at_centre = target == 1.0
    log_yes, log_no = F.logsigmoid(heatmap), F.logsigmoid(-heatmap)
    share = heatmap.sigmoid()
    hit = at_centre * (1 - share) ** _HARD * log_yes
    miss = ~at_centre * known[:, None] * (1 - target) ** _NEAR * share**_HARD * log_no
    number = counts.sum().clamp(min=len(truth))  # empty streets must not shout
    focal = -(hit + miss).sum() / number
    guess = at_cells(boxes, row * grid.columns + column)  # (B, G, len(Box))
    wanted = _box_targets(truth, row, column, grid)
    weights = torch.tensor([_BOX_WEIGHTS.get(item, 1.0) for item in Box], device=boxes.device)
    error = ((guess - wanted).abs() * weights * counts[..., None]).sum() / number
    return focal, error / len(Box)


def centre_blobs(truth: Tensor, counts: Tensor, row: Tensor, column: Tensor, grid: BevGrid) -> Tensor:
    """(B, len(BoxKind), R, K): 1 at each true centre, falling off as a Gaussian; where two meet the higher counts."""
    batch = len(truth)
    reach = torch.arange(-_BLOB_CELLS, _BLOB_CELLS + 1, device=truth.device)
    down, right = (axis.flatten() for axis in torch.meshgrid(reach, reach, indexing="ij"))
    height = torch.exp(-(down**2 + right**2) / (2.0 * (_BLOB_CELLS / 2.0) ** 2))
    rows, columns = row[..., None] + down, column[..., None] + right  # (B, G, blob)
    inside = (rows >= 0) & (rows < grid.rows) & (columns >= 0) & (columns < grid.columns) & counts[..., None]
    kind = truth[..., Agent.KIND].long().clamp(0, len(BoxKind) - 1)[..., None]
    place = (kind * grid.rows + rows) * grid.columns + columns
    flat = truth.new_zeros(batch, len(BoxKind) * grid.rows * grid.columns)
    flat.scatter_reduce_(
        1, torch.where(inside, place, 0).flatten(1), (height * inside).flatten(1), "amax", include_self=True
    )
    return flat.unflatten(1, (len(BoxKind), grid.rows, grid.columns))


def _cells_of(truth: Tensor, grid: BevGrid) -> tuple[Tensor, Tensor, Tensor]:
    """Which boxes count (they lie on the grid), and the row and column of their centres; all (B, G)."""
    row = ((grid.x_max_m - truth[..., Agent.X]) / grid.cell_m).floor().long()
    column = ((grid.y_max_m - truth[..., Agent.Y]) / grid.cell_m).floor().long()
    counts = (truth[..., Agent.SCORE] > 0.5) & (row >= 0) & (row < grid.rows) & (column >= 0) & (column < grid.columns)
    return counts, row.clamp(0, grid.rows - 1), column.clamp(0, grid.columns - 1)


def _box_targets(truth: Tensor, row: Tensor, column: Tensor, grid: BevGrid) -> Tensor:
    kind = truth[..., Agent.KIND].long().clamp(0, len(BoxKind) - 1)
    usual = torch.tensor(SIZE_M, device=truth.device)[kind]
    sizes = (truth[..., Agent.LENGTH : Agent.HEIGHT + 1].clamp(min=0.1) / usual).log()
    yaw = truth[..., Agent.YAW]
    return torch.cat(
        [
            torch.stack(
                [
                    truth[..., Agent.X] - (grid.x_max_m - (row + 0.5) * grid.cell_m),
                    truth[..., Agent.Y] - (grid.y_max_m - (column + 0.5) * grid.cell_m),
                    truth[..., Agent.Z],
                ],
                dim=-1,
            ),
            sizes,
            torch.stack([torch.cos(yaw), torch.sin(yaw)], dim=-1),
            truth[..., Agent.VX : Agent.VY + 1] / SPEED_SCALE_MPS,
        ],
        dim=-1,
    )
