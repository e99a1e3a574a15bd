"""How long a scheduling decision takes on the real stage graph, and whether the solver is exact.

Decision times are wall-clock times of one thread on this machine; the gap is measured against plain enumeration of
every placement and codec on random graphs.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from bev import Camera, CameraRig
from planner import SINKS, DrivingModel, ModelConfig
from scheduling import (
    Busy,
    ComputeBudget,
    ExactPolicy,
    LinkGeometry,
    PolicyConfig,
    RadioConfig,
    RadioLink,
    Schedule,
    StageGraph,
    trace_stages,
)
from scheduling.exhaustive import Exhaustive, random_forecast, random_graph


def model_graph(config: ModelConfig) -> StageGraph:
    """The stage graph of a driving model of that configuration; weights do not matter."""
    model = DrivingModel(config).eval()
    sources = {f"image[{c.name}]": torch.zeros(1, 3, c.height, c.width, dtype=torch.uint8) for c in config.rig.cameras}
    sources |= {"speed": torch.zeros(1, 1), "command": torch.zeros(1, 5)}
    return trace_stages(model.stages, sources, SINKS)


def decision_times(
    graph: StageGraph, car: ComputeBudget, edge: ComputeBudget, decisions: int, seed: int
) -> dict[str, float]:
    """Percentiles [us] of `decide` along a drive past roadside units, with line of sight coming and going."""
    policy, link = ExactPolicy(), RadioLink(RadioConfig(seed=seed))
    rng = np.random.default_rng(seed)
    previous: Schedule | None = None
    times_us: list[float] = []
    for i in range(decisions + 1):
        now_s = 0.1 * i
        distance_m = 10.0 + 140.0 * abs(np.sin(0.02 * i))
        link.step(LinkGeometry(i // 150, distance_m, bool(rng.random() < 0.6), int(rng.integers(2))), now_s, 0.1)
        forecast = link.forecast(policy.config.futures)
        state = (graph, car.state(now_s), edge.state(now_s), forecast, float(rng.uniform(0.1, 0.4)), previous)
        start_ns = time.perf_counter_ns()
        previous = policy.decide(*state)
        if i:  # the first call compiles
            times_us.append((time.perf_counter_ns() - start_ns) / 1e3)
    p50, p99 = np.percentile(times_us, (50, 99))
    return {"decide_us_p50": float(p50), "decide_us_p99": float(p99)}


def max_gap(car: ComputeBudget, edge: ComputeBudget, instances: int, seed: int) -> float:
    """Largest objective of the solver's choice minus the true optimum, over random graphs of 1 to 4 stages."""
    rng = np.random.default_rng(seed)
    policy, worst = ExactPolicy(PolicyConfig()), 0.0
    for i in range(instances):
        graph = random_graph(rng, int(rng.integers(1, 5)))
        forecast = random_forecast(rng, int(rng.integers(1, 7)))
        deadline_s, busy = float(rng.uniform(0.02, 0.4)), Busy(*rng.uniform(0.0, 0.03, 4).tolist())
        states = car.state(float(i)), edge.state(float(i))
        chosen = policy.decide(graph, *states, forecast, deadline_s, busy=busy)
        reference = Exhaustive(graph, *states, forecast, deadline_s, policy.config, busy=busy)
        worst = max(worst, reference.objective(chosen.place, chosen.codecs)[0] - reference.best())
    return worst


def run(
    config: ModelConfig | None = None,
    car: ComputeBudget | None = None,
    edge: ComputeBudget | None = None,
    *,
    decisions: int = 1000,
    instances: int = 300,
    seed: int = 0,
) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": [...]}. Give the composed model, car and edge; without them, the little
    model's shape, and computers of the classes of a Jetson Nano and a T4."""
    graph = model_graph(config or ModelConfig(rig=_three_cameras()))
    car = car or _computer("car", 471.9e9, 25.6e9, 0.83, 0.228e-3)
    edge = edge or _computer("edge", 65e12, 320e9, 0.25, 15e-6)
    metrics: dict[str, float] = decision_times(graph, car, edge, decisions, seed)
    metrics["max_gap"] = max_gap(car, edge, instances, seed)
    metrics["stages"] = len(graph.stages)
    rows = [
        {
            "stage": stage.name,
            "gflop": stage.cost.flops / 1e9,
            "car_ms": 1e3 * car.alone_seconds(stage.cost),
            "edge_ms": 1e3 * edge.alone_seconds(stage.cost),
            "output_kb": sum(stage.cost.output_bytes.values()) / 1e3,
        }
        for stage in graph.stages
    ]
    return {"metrics": metrics, "rows": rows}


def _computer(name: str, flops: float, bandwidth: float, efficiency: float, kernel_s: float) -> ComputeBudget:
    return ComputeBudget(
        name=name, fp32_flops=flops / 2, fp16_flops=flops, int8_ops=0.0, bandwidth_bps=bandwidth, memory_bytes=4e9,
        power_w=10.0, compute_efficiency=efficiency, memory_efficiency=0.6, kernel_s=kernel_s,
    )  # fmt: skip


def _three_cameras() -> CameraRig:
    wide, narrow = float(np.radians(96.0)), float(np.radians(35.0))
    yaw = float(np.radians(42.0))
    return CameraRig(
        (
            Camera("front_left", 256, 128, wide, 0.7, 0.2, 1.6, yaw=yaw),
            Camera("front_right", 256, 128, wide, 0.7, -0.2, 1.6, yaw=-yaw),
            Camera("tele", 256, 128, narrow, 0.8, 0.0, 1.6),
        )
    )
