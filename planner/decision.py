"""How fast, and why: target-speed class and the traffic light of our lane.

Shapes:  B batch   D token width   C image channels   h, w tele feature map   T BEV tokens
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev.attention import DecoderBlock
from planner.conditioning import HintEmbedding
from planner.types import SPEED_CLASSES_MPS, Light


class Decision(nn.Module):
    """bev_tokens (B, T, D), tele features (B, C, h, w), command (B, 5)
    -> speed_logits (B, 8), light_logits (B, 3), intent (B, 2, D).

    Two queries, one for the speed and one for the light, look at the BEV tokens and straight at the tele picture
    (a traffic light is high and small: it hardly survives the way into the BEV), and at each other, so that the
    speed can depend on what the light query found. `intent` hands their state on to the trajectory.

    The car's own speed is not among the inputs: a network that sees it learns to keep it, instead of why an expert
    changes it (causal confusion, de Haan et al., arXiv 1905.11979), and drives into the back of a queue. Withholding it
    from 30 % of the training samples was tried and was not enough.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        image_channels: int,
        tele_cells: int,
    ) -> None:
        super().__init__()
        self.hint = HintEmbedding(width)
        self.tele = nn.Conv2d(image_channels, width, 1)
        self.tele_norm = nn.LayerNorm(width)
        self.tele_position = nn.Parameter(torch.randn(1, tele_cells, width) * 0.02)
        self.queries = nn.Parameter(torch.randn(1, 2, width) * 0.5)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.speed_head = nn.Linear(width, len(SPEED_CLASSES_MPS))
        self.light_head = nn.Linear(width, len(Light))

    def forward(self, bev_tokens: Tensor, tele: Tensor, command: Tensor) -> tuple[Tensor, ...]:
        tele_tokens = self.tele_norm(self.tele(tele).flatten(2).transpose(1, 2)) + self.tele_position
        memory = torch.cat([bev_tokens, tele_tokens], dim=1)
        intent = self.queries + self.hint(command)[:, None]
        for block in self.blocks:
            intent = block(intent, memory)
        intent = self.norm(intent)
        return self.speed_head(intent[:, 0]), self.light_head(intent[:, 1]), intent
