"""Small computers, graphs like the real network, certain futures, stage functions, links that come and go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scheduling.budget import ComputeBudget, TenantLoad
from scheduling.link.base import LinkForecast, LinkTrace
from scheduling.thermal import ThermalConfig
from scheduling.types import LinkState, Place, StageCost, StageGraph, StageNode

CAR, EDGE, CLOUD = Place.CAR, Place.EDGE, Place.CLOUD
GOOD = LinkState(up_bps=4e7, down_bps=8e7, rtt_s=0.03, loss=0.0, rsu=0)
DEAD = LinkState(0.0, 0.0, 0.0, 1.0, -1, available=False)


def computer(
    name: str,
    flops: float,
    kernel_s: float = 1e-4,
    tenants: TenantLoad | None = None,
    int8_ops: float = 0.0,
    thermal: ThermalConfig | None = None,
) -> ComputeBudget:
    return ComputeBudget(
        name=name, fp32_flops=flops, fp16_flops=flops, int8_ops=int8_ops, bandwidth_bps=1e12, memory_bytes=4e9,
        power_w=10.0, compute_efficiency=1.0, memory_efficiency=1.0, kernel_s=kernel_s, tenants=tenants or TenantLoad(),
        thermal=thermal,
    )  # fmt: skip


def node(name: str, inputs: tuple[str, ...], outputs: dict[str, int], flops: float) -> StageNode:
    return StageNode(name, inputs, tuple(outputs), StageCost(flops, 0.0, 0.0, dict(outputs)))


def camera_graph(cameras: int = 2) -> StageGraph:
    """The shape of the real network at small size: cameras, lift, encoder, side head, decision, decoder."""
    feature, bev = 1 * 8 * 8 * 16 * 4, 1 * 8 * 16 * 16 * 4
    names = [f"c{i}" for i in range(cameras)]
    features = tuple(f"feature[{name}]" for name in names)
    stages = (
        *(node(f"image_backbone[{n}]", (f"image[{n}]",), {f"feature[{n}]": feature}, 1e9) for n in names),
        node("view_transform", features, {"lifted": bev}, 2e8),
        node("bev_encoder", ("lifted", "speed"), {"bev": bev}, 1e9),
        node("perception_heads", ("bev",), {"segmentation": 4 * 16 * 16 * 4}, 2e8),
        node("decision", ("bev", "command"), {"speed_logits": 32}, 1e8),
        node("trajectory_decoder", ("bev", features[0], "speed_logits"), {"path": 80}, 2e8),
    )
    images = {f"image[{name}]": 3 * 64 * 128 for name in names}
    codecs = dict.fromkeys(images, ("jpeg", "raw"))
    codecs |= dict.fromkeys((*features, "lifted", "bev", "segmentation"), ("int8", "fp16", "raw"))
    return StageGraph(stages, images | {"speed": 4, "command": 20}, ("path", "speed_logits"), codecs)


def memory_graph() -> StageGraph:
    """Camera, encoder with a memory of its own, decoder, and a head beside."""
    tensor = 4 * 1024
    stages = (
        node("backbone", ("image",), {"feature": tensor}, 2e9),
        node("encoder", ("feature", "memory"), {"bev": tensor}, 1e9),
        node("head", ("bev",), {"segmentation": 256}, 1e8),
        node("decoder", ("bev",), {"path": 80}, 5e8),
    )
    return StageGraph(
        stages, {"image": 20_000, "memory": tensor}, ("path",), {"image": ("jpeg", "raw")}, {"memory": "bev"}
    )


def patchy_link(rng: np.random.Generator, time_s: float) -> LinkTrace:
    """Truth from that time on: pieces of some 50 ms, one in four without a link; in half of them to the end."""
    starts = time_s + np.concatenate([[0.0], np.cumsum(rng.exponential(0.05, int(rng.integers(0, 8))) + 1e-3)])
    states = [
        DEAD
        if rng.random() < 0.25
        else LinkState(
            up_bps=float(rng.lognormal(np.log(2e7), 1.0)),
            down_bps=float(rng.lognormal(np.log(6e7), 1.0)),
            rtt_s=float(rng.uniform(0.01, 0.05)),
            loss=float(rng.choice([0.0, 0.05])),
            rsu=0,
            wan_rtt_s=float(rng.uniform(0.01, 0.06)),
            wan_bps=float(rng.choice([1e8, 1e9])),
        )
        for _ in starts
    ]
    return LinkTrace(tuple(starts.tolist()), tuple(states))


def certain_forecast(up: float = 4e7, down: float = 8e7, rtt: float = 0.03, futures: int = 1) -> LinkForecast:
    return LinkForecast(*(np.full(futures, x) for x in (up, down, rtt, 0.0)))


def stage_functions(graph: StageGraph) -> dict[str, Callable[..., tuple[np.ndarray, ...]]]:
    """Cheap functions with the right output sizes, whose values depend on all inputs."""

    def function(stage: StageNode) -> Callable[..., tuple[np.ndarray, ...]]:
        def run(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
            level = sum(float(np.asarray(x, np.float64).mean()) for x in inputs)
            sizes = [size // 4 for size in stage.cost.output_bytes.values()]
            return tuple((np.sin(np.arange(n) * 0.1) + level).astype(np.float32).reshape(1, 1, 1, n) for n in sizes)

        return run

    return {stage.name: function(stage) for stage in graph.stages}


def sources(graph: StageGraph, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 255, (1, 3, 64, 128), dtype=np.uint8)
        if name.startswith("image")
        else rng.normal(size=(1, size // 4)).astype(np.float32)
        for name, size in graph.sources.items()
    }
