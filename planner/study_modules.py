"""The stages of a study model: ordinary modules, so that what they cost can be read off them.

Shapes:  B batch (1)   C feature channels   h, w feature map (stride 16)   R, K BEV rows, columns   E BEV channels
         F frames in the BEV memory   W width of world model   A agents   D width of decoder   M candidates   T steps
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev._timm import timm
from bev.attention import DecoderBlock, EncoderBlock
from bev.encoder import TOKEN_STRIDE, convolve

STRIDE = 16  # of the camera features that are lifted
STEPS = 12  # of a trajectory, 0.5 s each
COMMAND_SIZE = 5  # as the house's own network is told: one-hot command and distance
_CLASSES = 10  # of objects, as in nuScenes
_LAYERS = 6  # of the segmented map
_MODES = 6  # futures an agent
_HEAD_WIDTH = 64  # channels an attention head


def heads_of(width: int) -> int:
    return max(1, width // _HEAD_WIDTH)


class Levels(nn.Module):
    """(B, 3, H, W) uint8 -> the backbone's feature maps at strides 16 and, where it has one, 32."""

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        super().__init__()
        # Plain vision transformers must know the picture's size; convolutional networks refuse to be told.
        options: dict[str, Any] = {"img_size": size} if name.startswith("vit") else {}
        try:
            info: Any = timm.create_model(name, pretrained=False, features_only=True, **options).feature_info
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ValueError(
                f"backbone {name!r} gives no feature maps for {size[0]}x{size[1]} pixels: {error}"
            ) from error
        strides = info.reduction()
        if STRIDE not in strides:
            raise ValueError(f"backbone {name!r} has strides {strides}; one of {STRIDE} is needed")
        last = {stride: level for level, stride in enumerate(strides)}  # of several with one stride the deepest
        chosen = tuple(last[stride] for stride in (STRIDE, 2 * STRIDE) if stride in last)
        if options:  # a transformer's levels count from its last block: only the last is wanted
            chosen = (-1,)
        # Built again with only these levels, so that no weights exist for deeper ones that nobody reads.
        self.body = timm.create_model(name, pretrained=False, features_only=True, out_indices=chosen, **options)
        body: Any = self.body
        self.channels: tuple[int, ...] = tuple(body.feature_info.channels())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.body((image.float() - 127.5) / 64.0))


class Neck(nn.Module):
    """Levels of one camera -> features (B, C, h, w): a feature pyramid (Lin et al., arXiv 1612.03144)."""

    def __init__(self, levels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(inputs, channels, 1) for inputs in levels)
        self.mix = convolve(channels, channels)

    def forward(self, *levels: Tensor) -> tuple[Tensor]:
        fine, *coarser = (layer(level) for layer, level in zip(self.lateral, levels, strict=True))
        for level in coarser:
            fine = fine + F.interpolate(level, size=fine.shape[-2:], mode="nearest")
        return (self.mix(fine),)


class LevelsAndNeck(nn.Module):
    """(B, 3, H, W) uint8 -> features (B, C, h, w)."""

    def __init__(self, levels: Levels, neck: Neck) -> None:
        super().__init__()
        self.levels, self.neck = levels, neck

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return self.neck(*self.levels(image))


class LiftSplat(nn.Module):
    """Features (B, C, h, w), one a camera -> bev_lifted (B, E, R, K).

    Lift-splat (Philion, Fidler, arXiv 2008.05711) with a depth network as deep as BEVDepth's trunk is wide
    (Li et al., arXiv 2206.10092: 3x3 blocks, then 1x1 to depth bins and context), pooled as BEVPoolv2 does it
    (arXiv 2211.17111): a cell sums (depth probability x context) over a precomputed list, and the frustum is never
    written out. Which pixel falls into which cell follows from a calibration and changes no cost, so the list here
    deals the points out evenly.
    """

    points: Tensor
    starts: Tensor

    def __init__(
        self, cameras: int, feature: tuple[int, int], channels: int, bev: tuple[int, int], bev_channels: int, bins: int
    ) -> None:
        super().__init__()
        self.bev, self.bev_channels, self.bins = bev, bev_channels, bins
        self.depth_trunk = nn.Sequential(*(convolve(channels, channels) for _ in range(4)))
        self.split = nn.Conv2d(channels, bins + bev_channels, 1)
        count, cells = cameras * bins * feature[0] * feature[1], bev[0] * bev[1]
        self.register_buffer("points", torch.arange(count) * 7919 % count, persistent=False)  # 7919: a prime step
        self.register_buffer("starts", torch.arange(cells) * count // cells, persistent=False)

    def forward(self, *features: Tensor) -> tuple[Tensor]:
        depth, context = self.split(self.depth_trunk(torch.cat(features))).split((self.bins, self.bev_channels), dim=1)
        weights = depth.softmax(dim=1).permute(0, 2, 3, 1).flatten()  # bin fastest
        table = context.permute(0, 2, 3, 1).reshape(-1, self.bev_channels)
        shares = weights[self.points].to(table.dtype)
        cells = F.embedding_bag(self.points // self.bins, table, self.starts, mode="sum", per_sample_weights=shares)
        return (cells.t().reshape(1, self.bev_channels, *self.bev),)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = convolve(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.second(self.first(x)))


class TemporalBevEncoder(nn.Module):
    """bev_lifted (B, E, R, K), bev_memory (B, F*E, R, K), ego_motion (B, F, 2, 3) affine maps
    -> bev_tokens (B, R/4 * K/4, W), bev_features (B, E, R, K), next memory (B, F*E, R, K).

    Every remembered frame is moved to where the car now stands (grid_sample), stacked with the new one and encoded:
    down to a quarter by residual blocks, `layers` transformer or residual blocks there, up again with skips.
    """

    def __init__(self, bev: tuple[int, int], channels: int, frames: int, width: int, layers: int, kind: str) -> None:
        super().__init__()
        self.frames = frames
        self.tokens = (bev[0] // TOKEN_STRIDE, bev[1] // TOKEN_STRIDE)
        self.enter = convolve((frames + 1) * channels, channels)
        self.down_half = nn.Sequential(_Residual(channels, 2 * channels, 2), _Residual(2 * channels, 2 * channels, 1))
        self.down_quarter = nn.Sequential(_Residual(2 * channels, width, 2), _Residual(width, width, 1))
        self.attends = kind == "transformer"
        self.position = nn.Parameter(torch.zeros(1, self.tokens[0] * self.tokens[1], width))
        self.blocks = nn.ModuleList(
            EncoderBlock(width, heads_of(width), 0.0) if self.attends else _Residual(width, width, 1)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.up_half = nn.Conv2d(width, 2 * channels, 1)
        self.mix_half = convolve(2 * channels, channels)
        self.mix_full = convolve(channels, channels)

    def forward(self, lifted: Tensor, memory: Tensor, ego_motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        channels, size = lifted.shape[1], lifted.shape[-2:]
        past = memory.unflatten(1, (self.frames, channels)).flatten(0, 1)
        grid = F.affine_grid(ego_motion.flatten(0, 1), [self.frames, channels, *size], align_corners=False)
        aligned = F.grid_sample(past, grid, align_corners=False).reshape(1, -1, *size)
        full = self.enter(torch.cat([lifted, aligned], dim=1))
        half = self.down_half(full)
        quarter = self.down_quarter(half)
        if not self.attends:
            for block in self.blocks:
                quarter = block(quarter)
        tokens = quarter.flatten(2).transpose(1, 2) + self.position
        if self.attends:
            for block in self.blocks:
                tokens = block(tokens)
        tokens = self.norm(tokens)
        quarter = tokens.transpose(1, 2).unflatten(2, self.tokens)
        half = self.mix_half(half + F.interpolate(self.up_half(quarter), scale_factor=2.0, mode="bilinear"))
        fine = self.mix_full(full + F.interpolate(half, scale_factor=2.0, mode="bilinear"))
        return tokens, fine, torch.cat([lifted, aligned], dim=1)[:, : self.frames * channels]


class PerceptionHeads(nn.Module):
    """bev_features (B, E, R, K) -> segmentation (B, 6, R, K), heat map (B, 10, R, K), agents (B, A, W).

    Objects as points (CenterPoint, Yin et al., arXiv 2006.11275): the A hottest cells become agents."""

    def __init__(self, channels: int, width: int, agents: int) -> None:
        super().__init__()
        self.agents = agents
        self.trunk = convolve(channels, channels)
        self.segment = nn.Sequential(convolve(channels, channels), nn.Conv2d(channels, _LAYERS, 1))
        self.heat = nn.Sequential(convolve(channels, channels), nn.Conv2d(channels, _CLASSES, 1))
        self.embed = nn.Linear(channels, width)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        trunk = self.trunk(features)
        heat = self.heat(trunk)
        peaks = (F.max_pool2d(heat, 3, stride=1, padding=1) == heat) * heat.sigmoid()
        cells = peaks.amax(dim=1).flatten(1).topk(self.agents).indices  # (B, A)
        found = trunk.flatten(2).gather(2, cells[:, None].expand(-1, trunk.shape[1], -1)).transpose(1, 2)
        return self.segment(trunk), heat, self.embed(found)


class WorldModel(nn.Module):
    """agents (B, A, W), bev_tokens (B, T', W) -> agent_tokens (B, A, W), futures (B, A, 6, T, 2)."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DecoderBlock(width, heads_of(width), 0.0) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.futures = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, _MODES * STEPS * 2))

    def forward(self, agents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            agents = block(agents, tokens)
        agents = self.norm(agents)
        return agents, self.futures(agents).unflatten(-1, (_MODES, STEPS, 2)).cumsum(dim=-2)


class Decision(nn.Module):
    """bev_tokens (B, T', W), agent_tokens (B, A, W), command (B, 5) -> intent (B, 8, D), its logits (B, 8)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(1, 8, width))
        self.command = nn.Linear(COMMAND_SIZE, width)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads_of(width), 0.0) for _ in range(2))
        self.out, self.logits = nn.Linear(width, out), nn.Linear(width, 1)

    def forward(self, tokens: Tensor, agents: Tensor, command: Tensor) -> tuple[Tensor, Tensor]:
        intent = self.queries + self.command(command)[:, None]
        memory = torch.cat([tokens, agents], dim=1)
        for block in self.blocks:
            intent = block(intent, memory)
        return self.out(intent), self.logits(intent).squeeze(-1)


class TrajectoryDecoder(nn.Module):
    """bev_tokens (B, T', W), agent_tokens (B, A, W), intent (B, 8, D), speed (B, 1)
    -> candidates (B, M, T, 2), scores (B, M)."""

    def __init__(self, width: int, inner: int, layers: int, candidates: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(1, candidates, inner))
        self.speed = nn.Linear(1, inner)
        self.memory = nn.Linear(width, inner)
        self.blocks = nn.ModuleList(DecoderBlock(inner, heads_of(inner), 0.0) for _ in range(layers))
        self.norm = nn.LayerNorm(inner)
        self.points, self.scores = nn.Linear(inner, STEPS * 2), nn.Linear(inner, 1)

    def forward(self, tokens: Tensor, agents: Tensor, intent: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        memory = torch.cat([self.memory(torch.cat([tokens, agents], dim=1)), intent], dim=1)
        queries = self.queries + self.speed(speed)[:, None]
        for block in self.blocks:
            queries = block(queries, memory)
        queries = self.norm(queries)
        return self.points(queries).unflatten(-1, (STEPS, 2)).cumsum(dim=-2), self.scores(queries).squeeze(-1)


class TrajectoryOptimiser(nn.Module):
    """candidates (B, M, T, 2), scores (B, M), futures (B, A, 6, T, 2) -> trajectory (B, T, 2).

    A fixed number of gradient steps on smoothness (squared third differences) and on closeness to other agents'
    futures (a Gaussian of the distance); then the candidate with the best score less its cost is taken.
    """

    smoothness: Tensor

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        jerk = torch.eye(STEPS).diff(n=3, dim=0)
        self.register_buffer("smoothness", jerk.t() @ jerk, persistent=False)

    def forward(self, candidates: Tensor, scores: Tensor, futures: Tensor) -> tuple[Tensor]:
        others = futures.flatten(1, 2).transpose(1, 2)  # (B, T, A*6, 2)
        path, cost = candidates, torch.zeros_like(scores)
        for _ in range(self.iterations):
            ours = path.transpose(1, 2)  # (B, T, M, 2)
            # |a - b|^2 = a.a - 2 a.b + b.b: one matrix product a step instead of (M, A*6, T, 2) differences.
            squared = ours.square().sum(-1, keepdim=True) + others.square().sum(-1)[:, :, None]
            near = torch.exp(-(squared - 2.0 * ours @ others.transpose(2, 3)) / 8.0)  # (B, T, M, A*6)
            push = near.sum(-1, keepdim=True) * ours - near @ others  # (B, T, M, 2), away from what is near
            bend = self.smoothness @ path
            path = path - 0.02 * bend + 0.05 * push.transpose(1, 2)
            cost = (path * bend).sum((-1, -2)) + near.sum((1, 3))
        best = (scores - cost).argmax(dim=1)
        return (path.gather(1, best[:, None, None, None].expand(-1, 1, *path.shape[2:])).squeeze(1),)


class Explainer(nn.Module):
    """bev_tokens (B, T', W), intent (B, 8, D) -> logits of 32 words (B, 32, 4096): why the car does what it does."""

    def __init__(self, width: int, intent: int, inner: int, layers: int) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.zeros(1, 32, inner))
        self.scene, self.intent = nn.Linear(width, inner), nn.Linear(intent, inner)
        self.blocks = nn.ModuleList(DecoderBlock(inner, heads_of(inner), 0.0) for _ in range(layers))
        self.vocabulary = nn.Linear(inner, 4096)

    def forward(self, tokens: Tensor, intent: Tensor) -> tuple[Tensor]:
        memory = torch.cat([self.scene(tokens), self.intent(intent)], dim=1)
        words = self.words
        for block in self.blocks:
            words = block(words, memory)
        return (self.vocabulary(words),)
