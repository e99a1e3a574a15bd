"""Published driving networks in the shapes their authors deployed, so that their costs can be traced.

Nothing here is meant to run. The sizes are those of the public configurations (BEVDet-R50-4D-longterm-depth; UniAD-tiny
of NVIDIA/DL4AGX; VAD_tiny; PETR and PETRv2 vovnet p4 800x320; Far3D); the modules are written anew from the papers.
Approximations: deformable attention weighs the four corners of a sample alike; box, class and mask outputs that a
deployment does not return are left out; UniAD's motion head follows 100 agents (what the published engine pads to is
not named); Far3D's depth branch is two convolutions; BEVDet's per-frame pre-processing block is left out, as in the
published engine; PETRv2 keeps the last frame's features instead of computing them again (its published time, 3.4 ms
above PETR's, leaves no room for a second backbone run).

Shapes:  B cameras or 1   D width (256)   Q queries   h, w feature map   P sampling points
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bev._timm import timm
from bev.attention import Attention
from bev.encoder import convolve

WIDTH, HEADS = 256, 8


class Backbone(nn.Module):
    """Images (B, 3, H, W) float -> chosen levels, by index among strides 2, 4, 8, 16, 32."""

    def __init__(self, name: str, levels: tuple[int, ...]) -> None:
        super().__init__()
        body: Any = timm.create_model(name, pretrained=False, features_only=True, out_indices=levels)
        self.body = body
        self.channels: tuple[int, ...] = tuple(body.feature_info.channels())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.body(image))


class Pyramid(nn.Module):
    """FPN (Lin et al., arXiv 1612.03144): `outputs` levels get a 3x3 convolution, missing coarser ones are strided."""

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(min(outputs, len(channels))))
        self.extra = nn.ModuleList(
            nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1) for _ in range(max(0, outputs - len(channels)))
        )

    def forward(self, *levels: Tensor) -> tuple[Tensor, ...]:
        maps = [layer(level) for layer, level in zip(self.lateral, levels, strict=True)]
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], size=maps[i - 1].shape[-2:], mode="nearest")
        done = [layer(m) for layer, m in zip(self.smooth, maps, strict=False)]
        for layer in self.extra:
            done.append(layer(done[-1]))
        return tuple(done)


class Deformable(nn.Module):
    """Deformable attention (Zhu et al., arXiv 2010.04159): queries (1, Q, D), maps (B, D, h, w) -> (1, Q, D).

    One fused gather, as the plugin of an inference engine does it: no list of samples is written out."""

    def __init__(self, points: int, maps: int = 1, cameras: int = 1) -> None:
        super().__init__()
        self.samples, self.cameras = points * maps, cameras
        self.values = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(maps))
        self.offsets = nn.Linear(WIDTH, HEADS * self.samples * 2)
        self.weights = nn.Linear(WIDTH, HEADS * self.samples)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, queries: Tensor, *maps: Tensor) -> Tensor:
        values = [layer(m.flatten(2).transpose(1, 2)) for layer, m in zip(self.values, maps, strict=True)]
        table = torch.cat([v.unflatten(-1, (HEADS, -1)).reshape(-1, WIDTH // HEADS) for v in values])
        seen = queries.expand(self.cameras, -1, -1)  # every camera is asked: no query is dropped in a static engine
        places = self.offsets(seen).unflatten(-1, (-1, 2)).sum(-1)  # (cameras, Q, heads * samples)
        weights = self.weights(seen).unflatten(-1, (HEADS, -1)).softmax(-1)
        starts = torch.arange(weights[..., 0].numel(), dtype=torch.int32) * (4 * self.samples)
        index = (places.abs().int().flatten() % len(table))[:, None].expand(-1, 4).flatten()  # four corners a sample
        shares = weights.flatten()[:, None].expand(-1, 4).flatten()
        gathered = F.embedding_bag(index, table, starts, mode="sum", per_sample_weights=shares)
        return self.out(gathered.reshape(self.cameras, -1, WIDTH).sum(0, keepdim=True))


class Layer(nn.Module):
    """A transformer layer: attention among the queries (not all have it), attention to a memory, feed-forward."""

    def __init__(self, ffn: int, cross: nn.Module | None = None, own: nn.Module | None = None) -> None:
        super().__init__()
        self.own, self.cross = own, cross
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.ffn = nn.Sequential(nn.Linear(WIDTH, ffn), nn.ReLU(), nn.Linear(ffn, WIDTH))

    def forward(self, queries: Tensor, *memory: Tensor, past: Tensor | None = None) -> Tensor:
        if isinstance(self.own, Attention):
            keys = queries if past is None else torch.cat([queries, past], dim=1)
            queries = self.norms[0](queries + self.own(queries, keys))
        elif self.own is not None:  # deformable, over maps of the queries' own kind
            side = round(queries.shape[1] ** 0.5)
            own = queries.transpose(1, 2).unflatten(2, (side, -1))
            queries = self.norms[0](queries + self.own(queries, own if past is None else torch.cat([own, past])))
        if self.cross is not None:
            queries = self.norms[1](queries + self.cross(queries, *memory))
        return self.norms[2](queries + self.ffn(queries))


def mlp(*widths: int) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Images(nn.Module):
    """Backbone and pyramid, all cameras in one batch."""

    def __init__(self, name: str, levels: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.backbone = Backbone(name, levels)
        self.pyramid = Pyramid(self.backbone.channels, outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.pyramid(*self.backbone(images))


class _Block(nn.Module):
    """ResNet's basic block; BEVDet's has a 3x3 convolution on the skip where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.main = nn.Sequential(
            convolve(inputs, outputs, stride), nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)
        )
        changes = stride > 1 or inputs != outputs
        self.skip = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.main(x) + self.skip(x))


class DepthNet(nn.Module):
    """(B, 256, h, w) -> depth probabilities (B, 118, h, w), context (B, 80, h, w); BEVDepth, arXiv 2206.10092."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = convolve(WIDTH, WIDTH)
        self.blocks = nn.Sequential(*(_Block(WIDTH, WIDTH) for _ in range(3)))
        self.rates = nn.ModuleList(
            nn.Conv2d(WIDTH, WIDTH, k, padding=r * (k // 2), dilation=r) for k, r in ((1, 1), (3, 6), (3, 12), (3, 18))
        )
        self.merge = nn.Conv2d(4 * WIDTH, WIDTH, 1)  # the fifth branch, a global mean, adds a constant
        self.calibration = mlp(27, WIDTH, WIDTH)
        self.gates = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.depth, self.context = nn.Conv2d(WIDTH, 118, 1), nn.Conv2d(WIDTH, 80, 1)

    def forward(self, features: Tensor, calibration: Tensor) -> tuple[Tensor, Tensor]:
        x = self.reduce(features)
        camera = self.calibration(calibration)
        gates = [
            b(F.relu(a(camera))).sigmoid()[..., None, None] for a, b in zip(self.gates[:2], self.gates[2:], strict=True)
        ]
        deep = self.blocks(x * gates[0])
        deep = self.merge(torch.cat([rate(deep) for rate in self.rates], dim=1))
        return self.depth(deep).softmax(1), self.context(x * gates[1])


class BevDetImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images, self.depth_net = Images("resnet50", (3, 4), 1), DepthNet()

    def forward(self, images: Tensor, calibration: Tensor) -> tuple[Tensor, Tensor]:
        return self.depth_net(*self.images(images), calibration)


class BevDetPool(nn.Module):
    """Depth (6, 118, 16, 44), context (6, 80, 16, 44), precomputed lists of points -> (1, 80, 128, 128)."""

    def forward(self, depth: Tensor, context: Tensor, points: Tensor, starts: Tensor) -> Tensor:
        table = context.permute(0, 2, 3, 1).reshape(-1, 80)
        weights = depth.flatten().index_select(0, points)
        return F.embedding_bag(points % len(table), table, starts, mode="sum", per_sample_weights=weights).t()


class BevDetAlign(nn.Module):
    def forward(self, memory: Tensor, grid: Tensor) -> Tensor:
        return F.grid_sample(memory, grid, align_corners=True)


class BevDetBev(nn.Module):
    """(1, 9 * 80, 128, 128) -> CenterHead's maps. Encoder and neck of BEVDet (arXiv 2112.11790), one task."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (720, 160, 320, 640)
        self.levels = nn.ModuleList(nn.Sequential(_Block(a, b, 2), _Block(b, b)) for a, b in pairwise(sizes))
        self.fuse = nn.Sequential(convolve(800, 512), convolve(512, 512))
        self.fine = nn.Sequential(convolve(512, 256), nn.Conv2d(256, 256, 1))
        self.shared = convolve(256, 64)
        self.heads = nn.ModuleList(
            nn.Sequential(convolve(64, 64), nn.Conv2d(64, n, 3, padding=1)) for n in (2, 1, 3, 2, 2, 10)
        )

    def forward(self, bev: Tensor) -> tuple[Tensor, ...]:
        first = self.levels[0](bev)
        coarse = self.levels[2](self.levels[1](first))
        x = self.fuse(torch.cat([first, F.interpolate(coarse, scale_factor=4.0, mode="bilinear")], dim=1))
        x = self.shared(self.fine(F.interpolate(x, scale_factor=2.0, mode="bilinear")))
        return tuple(head(x) for head in self.heads)


class BevFormer(nn.Module):
    """Features (6, D, h, w), past BEV (1, D, R, R) -> BEV (1, D, R, R): three layers (arXiv 2203.17270)."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.queries = nn.Parameter(torch.zeros(1, side * side, WIDTH))
        # Own attention looks at the past and the present BEV (4 points each); cameras are asked at 8 points.
        self.layers = nn.ModuleList(Layer(512, Deformable(8, cameras=6), Deformable(8)) for _ in range(3))

    def forward(self, features: Tensor, past: Tensor) -> Tensor:
        queries = self.queries
        for layer in self.layers:
            queries = layer(queries, features, past=past)
        return queries.transpose(1, 2).unflatten(2, (self.side, self.side))


class Detr(nn.Module):
    """Queries that look at each other and at a BEV; boxes and classes are refined after every layer."""

    def __init__(self, queries: int, layers: int, ffn: int = 512, encoder: int = 0) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(Layer(ffn, own=Deformable(4)) for _ in range(encoder))
        self.queries = nn.Parameter(torch.zeros(1, queries, WIDTH))
        self.layers = nn.ModuleList(Layer(ffn, Deformable(4), Attention(WIDTH, HEADS)) for _ in range(layers))
        self.boxes = nn.ModuleList(mlp(WIDTH, WIDTH, WIDTH, 10) for _ in range(layers))
        self.classes = nn.ModuleList(mlp(WIDTH, WIDTH, WIDTH, 10) for _ in range(layers))

    def forward(self, bev: Tensor) -> tuple[Tensor, ...]:
        if len(self.encoder):
            tokens = bev.flatten(2).transpose(1, 2)
            for layer in self.encoder:
                tokens = layer(tokens)
            bev = tokens.transpose(1, 2).unflatten(2, bev.shape[-2:])
        queries, outputs = self.queries + bev.mean(dim=(2, 3))[:, None], []
        for layer, box, kind in zip(self.layers, self.boxes, self.classes, strict=True):
            queries = layer(queries, bev)
            outputs += [box(queries), kind(queries)]
        return (queries, *outputs[-2:])


class UniadMotion(nn.Module):
    """Agents (1, A, D) x 6 modes against each other, the map's 300 queries and the BEV: three layers (2212.10156)."""

    def __init__(self) -> None:
        super().__init__()
        self.among = nn.ModuleList(Layer(512, Attention(WIDTH, HEADS)) for _ in range(3))
        self.agents = nn.ModuleList(Layer(512, Attention(WIDTH, HEADS)) for _ in range(3))
        self.map = nn.ModuleList(Layer(512, Attention(WIDTH, HEADS)) for _ in range(3))
        self.bev = nn.ModuleList(Layer(512, Deformable(4 * 12)) for _ in range(3))  # 4 points at each of 12 steps
        self.fuse = nn.ModuleList(mlp(WIDTH * n, 2 * WIDTH, WIDTH) for _ in range(3) for n in (2, 3, 4))
        self.futures = nn.ModuleList(mlp(WIDTH, WIDTH, WIDTH, 60) for _ in range(3))

    def forward(self, agents: Tensor, lanes: Tensor, bev: Tensor) -> tuple[Tensor, Tensor]:
        queries = agents.repeat(1, 6, 1)
        for i in range(3):
            parts = [queries, self.among[i](queries, queries), self.agents[i](queries, agents)]
            parts += [self.map[i](queries, lanes), self.bev[i](queries, bev)]
            a = self.fuse[3 * i](torch.cat(parts[:2], -1))
            b = self.fuse[3 * i + 1](torch.cat([a, *parts[2:4]], -1))
            queries = self.fuse[3 * i + 2](torch.cat([a, b, parts[4], queries], -1))
        return queries, self.futures[2](queries)


class UniadOccupancyAndPlan(nn.Module):
    """Five occupancy blocks at a quarter of the BEV's cells (feed-forward 2048), then the planner's three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(*(convolve(WIDTH, WIDTH) for _ in range(4)), convolve(WIDTH, WIDTH, 2))
        self.blocks = nn.ModuleList(Layer(2048, Attention(WIDTH, HEADS), Attention(WIDTH, HEADS)) for _ in range(5))
        self.steps = nn.ModuleList(nn.Sequential(_Block(WIDTH, WIDTH), _Block(WIDTH, WIDTH)) for _ in range(5))
        self.adapter = nn.Sequential(*(convolve(WIDTH, WIDTH) for _ in range(3)))
        self.plan = nn.ModuleList(Layer(512, Attention(WIDTH, HEADS), Attention(WIDTH, HEADS)) for _ in range(3))
        self.path = mlp(WIDTH, WIDTH, WIDTH, 12)

    def forward(self, bev: Tensor, agents: Tensor) -> tuple[Tensor, Tensor]:
        state = self.enter(bev)
        for block, step in zip(self.blocks, self.steps, strict=True):
            tokens = block(state.flatten(2).transpose(1, 2), agents)
            state = step(tokens.transpose(1, 2).unflatten(2, state.shape[-2:]))
        scene = self.adapter(bev).flatten(2).transpose(1, 2)
        ego = agents[:, :1]
        for layer in self.plan:
            ego = layer(ego, scene)
        return state, self.path(ego)


class VadPlan(nn.Module):
    """Agents (300 x 6 modes) and the ego query against each other and the map's 100 vectors: one layer each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(512, Attention(WIDTH, HEADS)) for _ in range(4))
        self.out = nn.ModuleList((mlp(2 * WIDTH, 2 * WIDTH, 12), mlp(2 * WIDTH, 2 * WIDTH, 36)))

    def forward(self, agents: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        vectors = points.unflatten(1, (100, 20)).amax(2)
        modes = agents.repeat(1, 6, 1)
        moving = self.layers[0](modes, modes)
        mapped = self.layers[1](moving, vectors)
        ego = self.layers[2](agents[:, :1], agents)
        ego_map = self.layers[3](ego, vectors)
        return self.out[0](torch.cat([moving, mapped], -1)), self.out[1](torch.cat([ego, ego_map], -1))


class Petr(nn.Module):
    """Features (6, D, 20, 50), remembered keys (1, N, D) -> boxes: 900 queries see every pixel (arXiv 2203.05625)."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.sine = mlp(192, 4 * WIDTH, WIDTH), mlp(384, 4 * WIDTH, WIDTH)
        self.enter = nn.Linear(WIDTH, WIDTH)
        self.queries = nn.Parameter(torch.zeros(1, 900, WIDTH))
        self.layers = nn.ModuleList(Layer(2048, Attention(WIDTH, HEADS), Attention(WIDTH, HEADS)) for _ in range(6))
        self.boxes, self.classes = mlp(WIDTH, WIDTH, WIDTH, 10), mlp(WIDTH, WIDTH, WIDTH, 10)

    def forward(self, features: Tensor, rays: Tensor, waves: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.enter(features.flatten(2).transpose(1, 2).reshape(1, -1, WIDTH))
        memory = torch.cat([pixels + self.place(rays) + self.sine(waves), past], dim=1)
        queries = self.queries
        for layer in self.layers:
            queries = layer(queries, memory)
        return self.boxes(queries), self.classes(queries)


class Far3dImages(nn.Module):
    """Images (7, 3, 640, 960) -> four levels, each with the 2D detector's convolutions, and depth at stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.images = Images("ese_vovnet99b", (2, 3, 4), 4)
        self.boxes = nn.ModuleList(nn.Sequential(convolve(WIDTH, WIDTH), convolve(WIDTH, WIDTH)) for _ in range(8))
        self.outputs = nn.ModuleList(nn.Conv2d(WIDTH, 31, 1) for _ in range(8))
        self.depth = nn.Sequential(convolve(WIDTH, WIDTH), convolve(WIDTH, WIDTH), nn.Conv2d(WIDTH, 50, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.images(images)
        seen = [self.outputs[i](self.boxes[i](maps[i // 2])) for i in range(8)]
        return (*maps, *seen, self.depth(maps[0]))


class Far3dDecoder(nn.Module):
    """644 + 256 propagated + 256 proposed queries look at themselves and 1024 remembered ones, then at four levels of
    seven cameras, 13 points each: six layers (arXiv 2308.09616)."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(1, 1156, WIDTH))
        self.layers = nn.ModuleList(
            Layer(2048, Deformable(13, maps=4, cameras=7), Attention(WIDTH, HEADS)) for _ in range(6)
        )
        self.boxes, self.classes = mlp(WIDTH, WIDTH, WIDTH, 8), mlp(WIDTH, WIDTH, WIDTH, 26)

    def forward(self, past: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor]:
        queries = self.queries + past.mean(1, keepdim=True)
        for layer in self.layers:
            queries = layer(queries, *maps, past=past)
        return self.boxes(queries), self.classes(queries)
