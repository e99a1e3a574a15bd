"""How fast, and why: target-speed class and manoeuvre.

Shapes:  B batch   D token width   T BEV tokens   A agents
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev.attention import DecoderBlock
from planner.conditioning import HintEmbedding, standing_embedding
from planner.types import SPEED_CLASSES_MPS, Manoeuvre


class Decision(nn.Module):
    """bev_tokens (B, T, D), agents (B, A, D), light_token (B, 1, D), command (B, 5), motion (B, 2)
    -> speed_logits (B, 8), manoeuvre_logits (B, len(Manoeuvre)), intent (B, 2, D).

    Two queries, one for the speed and one for the manoeuvre behind it, look at the scene, the agents and the light, and
    at each other. `intent` hands their state on to the trajectory.

    The car's own speed is not among the inputs: a network that sees it learns to keep it, instead of why an expert
    changes it (causal confusion, de Haan et al., arXiv 1905.11979), and drives into the back of a queue. Withholding it
    from 30 % of the training samples was tried and was not enough. For how long it has stood may be told
    (`standing_dropout` below 1): who has waited at a stop sign may go. But the expert's cars that stand for long all
    stay, so that a network that knew it stood before a light it called green (0.99) for 6 s until red.
    """

    def __init__(self, width: int, heads: int, layers: int, dropout: float, standing_dropout: float) -> None:
        super().__init__()
        self.hint = HintEmbedding(width)
        self.standing = standing_embedding(width, standing_dropout)
        self.queries = nn.Parameter(torch.randn(1, 2, width) * 0.5)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.speed_head = nn.Linear(width, len(SPEED_CLASSES_MPS))
        self.manoeuvre_head = nn.Linear(width, len(Manoeuvre))

    def forward(
        self, bev_tokens: Tensor, agents: Tensor, light_token: Tensor, command: Tensor, motion: Tensor
    ) -> tuple[Tensor, ...]:
        memory = torch.cat([bev_tokens, agents, light_token], dim=1)
        intent = self.queries + (self.hint(command) + self.standing(motion))[:, None]
        for block in self.blocks:
            intent = block(intent, memory)
        intent = self.norm(intent)
        return self.speed_head(intent[:, 0]), self.manoeuvre_head(intent[:, 1]), intent
