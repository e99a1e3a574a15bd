"""Teaching the futures of others: the best of several guesses is corrected, and has to be named as the likeliest.

Shapes:  B batch   A agents   M modes   T steps   G labelled boxes (padded)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bev.heads import Agent

_SAME_M = 2.5  # a detection this near to a labelled box is that box


def futures_loss(found: Tensor, futures: Tensor, modes: Tensor, truth: Tensor, truth_futures: Tensor) -> Tensor:
    """found (B, A, len(Agent)), futures (B, A, M, T, 2), modes (B, A, M) logits, truth (B, G, len(Agent)),
    truth_futures (B, G, T, 3) x, y, known -> winner-takes-all mean absolute error and the cross entropy of the winner.

    Detections that belong to no labelled box teach nothing."""
    gap = torch.cdist(found[..., Agent.X : Agent.Y + 1].detach(), truth[..., Agent.X : Agent.Y + 1])  # (B, A, G)
    gap = torch.where(truth[:, None, :, Agent.SCORE] > 0.5, gap, torch.inf)
    nearest_m, index = gap.min(dim=2)
    wanted = truth_futures.gather(1, index[..., None, None].expand(-1, -1, *truth_futures.shape[2:]))  # (B, A, T, 3)
    known = wanted[..., 2] * (nearest_m < _SAME_M)[..., None]  # (B, A, T)
    error = (futures - wanted[:, :, None, :, :2]).abs().sum(-1)  # (B, A, M, T)
    error = (error * known[:, :, None]).sum(-1)
    best, winner = error.min(dim=2)
    full = known.sum(-1) == known.shape[-1]  # only a whole future can tell which guess was right
    naming = F.cross_entropy(modes.flatten(0, 1), winner.flatten(), reduction="none").unflatten(0, winner.shape)
    return best.sum() / known.sum().clamp(min=1) + 0.2 * (naming * full).sum() / full.sum().clamp(min=1)
