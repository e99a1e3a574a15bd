"""Who is there, and where will they go?

Shapes:  B batch   A agents   D token width   T BEV tokens   F fine channels   M modes   S steps   R, K BEV grid
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev import BevGrid, BoxKind
from bev.attention import DecoderBlock
from bev.heads import Agent, decode
from bev.heads.detection import at_cells
from planner.types import FUTURE_MODES, FUTURE_SPACING_S, FUTURE_STEPS

_DESCRIPTION = 1 + len(BoxKind) + 9  # score, kind, place, sizes, heading, velocity


class WorldModel(nn.Module):
    """bev_tokens (B, T, D), bev_features (B, F, R, K), detection_heatmap (B, 3, R, K), detection_boxes (B, 10, R, K)
    -> agents (B, A, D), agent_boxes (B, A, len(Agent)), agent_futures (B, A, M, S, 2) ego frame of now [m],
       agent_modes (B, A, M) logits.

    The strongest detections become agent tokens, look at one another and at the scene, and answer with a few futures
    each, as corrections to going on as they do (MotionNet-style anchors would be the other way).
    """

    times_s: Tensor

    def __init__(self, grid: BevGrid, width: int, heads: int, dropout: float, fine: int, agents: int) -> None:
        super().__init__()
        self.grid, self.agents = grid, agents
        self.describe = nn.Sequential(nn.Linear(_DESCRIPTION + fine, width), nn.ReLU(), nn.Linear(width, width))
        self.block = DecoderBlock(width, heads, dropout)
        self.norm = nn.LayerNorm(width)
        self.futures = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, FUTURE_MODES * (FUTURE_STEPS * 2 + 1))
        )
        times = FUTURE_SPACING_S * torch.arange(1, FUTURE_STEPS + 1, dtype=torch.float32)
        self.register_buffer("times_s", times, persistent=False)

    def forward(
        self, bev_tokens: Tensor, bev_features: Tensor, heatmap: Tensor, boxes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # Detached: what is found is the perception's business; the planner must not bend it to its liking.
        found, cell = decode(heatmap.detach(), boxes.detach(), self.grid, self.agents)
        seen = at_cells(bev_features, cell)
        tokens = self.describe(torch.cat([_description(found).to(seen.dtype), seen], dim=-1))
        tokens = self.norm(self.block(tokens, bev_tokens))
        raw = self.futures(tokens).float().unflatten(-1, (FUTURE_MODES, FUTURE_STEPS * 2 + 1))
        place, velocity = found[..., Agent.X : Agent.Y + 1], found[..., Agent.VX : Agent.VY + 1]
        onwards = place[:, :, None] + velocity[:, :, None] * self.times_s[:, None]  # (B, A, S, 2)
        bends = raw[..., :-1].unflatten(-1, (FUTURE_STEPS, 2)) * self.times_s[:, None]
        return tokens, found, onwards[:, :, None] + bends, raw[..., -1]


def _description(found: Tensor) -> Tensor:
    """(B, A, len(Agent)) -> (B, A, _DESCRIPTION), everything of order one."""
    kind = nn.functional.one_hot(found[..., Agent.KIND].long(), len(BoxKind)).to(found.dtype)
    yaw = found[..., Agent.YAW]
    return torch.cat(
        [
            found[..., :1],
            kind,
            found[..., Agent.X : Agent.Z + 1] / 20.0,
            found[..., Agent.LENGTH : Agent.WIDTH + 1] / 5.0,
            torch.stack([torch.cos(yaw), torch.sin(yaw)], dim=-1),
            found[..., Agent.VX : Agent.VY + 1] / 10.0,
        ],
        dim=-1,
    )
