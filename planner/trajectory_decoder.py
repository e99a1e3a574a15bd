"""Where the car goes: a path in space and waypoints in time.

Shapes:  B batch   D token width   T BEV tokens   F fine channels   R, K rows and columns of the BEV grid
         A agents
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev import BevGrid
from bev.attention import DecoderBlock
from planner.conditioning import HintEmbedding, speed_embedding
from planner.types import PATH_POINTS, PATH_SPACING_M, WAYPOINTS

_WAYPOINT_STEP_M = 4.0  # half a second at 8 m/s
_LOOK_AROUND_M = ((0.0, 0.0), (1.5, 0.0), (-1.5, 0.0), (0.0, 1.5), (0.0, -1.5))


class TrajectoryDecoder(nn.Module):
    """bev_tokens (B, T, D), bev_features (B, F, R, K), agents (B, A, D), intent (B, 2, D), command (B, 5),
    motion (B, 2) -> raw_path (B, 10, 2), raw_waypoints (B, 8, 2).

    One query a point. Points are sums of steps, so that a far point inherits what the near ones know. The path is
    then corrected once from the fine BEV features around where it runs: tokens are 3 m wide, lanes want decimetres.
    """

    first_step: Tensor
    step_scale: Tensor
    look_around: Tensor
    grid_centre: Tensor
    grid_half: Tensor

    def __init__(
        self, grid: BevGrid, width: int, heads: int, layers: int, dropout: float, motion_dropout: float, fine: int
    ) -> None:
        super().__init__()
        self.hint = HintEmbedding(width)
        self.speed = speed_embedding(width, motion_dropout)
        self.queries = nn.Parameter(torch.randn(1, PATH_POINTS + WAYPOINTS, width) * 0.5)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.step_head = nn.Linear(width, 2)
        last = nn.Linear(width, 2)
        nn.init.zeros_(last.weight)  # training starts without a correction
        nn.init.zeros_(last.bias)
        self.correction = nn.Sequential(nn.Linear(width + fine * len(_LOOK_AROUND_M), width), nn.ReLU(), last)
        # Straight ahead at one spacing a step is where training starts from; a waypoint's step may be several metres.
        self.register_buffer("first_step", torch.tensor([PATH_SPACING_M, 0.0]), persistent=False)
        scale = [[1.0]] * PATH_POINTS + [[_WAYPOINT_STEP_M]] * WAYPOINTS
        self.register_buffer("step_scale", torch.tensor(scale), persistent=False)
        self.register_buffer("look_around", torch.tensor(_LOOK_AROUND_M), persistent=False)
        self.register_buffer(
            "grid_centre",
            torch.tensor([(grid.x_max_m + grid.x_min_m) / 2, (grid.y_max_m + grid.y_min_m) / 2]),
            persistent=False,
        )
        self.register_buffer(
            "grid_half",
            torch.tensor([(grid.x_max_m - grid.x_min_m) / 2, (grid.y_max_m - grid.y_min_m) / 2]),
            persistent=False,
        )

    def forward(
        self,
        bev_tokens: Tensor,
        bev_features: Tensor,
        agents: Tensor,
        intent: Tensor,
        command: Tensor,
        motion: Tensor,
    ) -> tuple[Tensor, Tensor]:
        memory = torch.cat([bev_tokens, agents, intent], dim=1)
        queries = self.queries + (self.hint(command) + self.speed(motion))[:, None]
        for block in self.blocks:
            queries = block(queries, memory)
        queries = self.norm(queries)
        steps = self.step_head(queries).float() * self.step_scale + self.first_step
        path, waypoints = (part.cumsum(dim=1) for part in steps.split((PATH_POINTS, WAYPOINTS), dim=1))
        return path + self._correct(path.detach(), queries[:, :PATH_POINTS], bev_features), waypoints

    def _correct(self, path: Tensor, queries: Tensor, bev_features: Tensor) -> Tensor:
        places = (path[:, :, None] + self.look_around - self.grid_centre) / self.grid_half  # (B, 10, 5, 2) in [-1, 1]
        # grid_sample wants (column, row), and both grow against the ego axes (row 0 is far, column 0 is left).
        seen = F.grid_sample(bev_features.float(), -places.flip(-1), align_corners=False)  # (B, F, 10, 5)
        around = seen.permute(0, 2, 3, 1).flatten(2)
        return self.correction(torch.cat([queries.float(), around], dim=-1)).float()
