"""Random decisions, small enough to look at every schedule: what solver and references are compared on."""

from __future__ import annotations

import math

import numpy as np

from scheduling.budget import BudgetState, ComputeBudget
from scheduling.link.base import LinkForecast
from scheduling.problem import Busy, Problem, Waits
from scheduling.types import ModelVariant, Place, Schedule, StageCost, StageGraph, StageNode

_CODECS: tuple[tuple[str, ...], ...] = (("raw",), ("raw",), ("raw", "fp16"), ("int8", "raw"), ("int8", "fp16", "raw"))


def random_graph(rng: np.random.Generator, stages: int) -> StageGraph:
    """Any DAG: inputs drawn from everything known so far, sinks from the outputs of the last stages, so that some
    stages are auxiliary; sometimes a state or two."""
    sources = {f"s{i}": int(rng.integers(100, 200_000)) for i in range(int(rng.integers(1, 4)))}
    known, nodes = list(sources), []
    for i in range(stages):
        count = min(len(known), int(rng.integers(1, 4)))
        inputs = tuple(known[j] for j in rng.choice(len(known), count, replace=False))
        outputs = {f"t{i}.{j}": int(rng.integers(10, 300_000)) for j in range(int(rng.integers(1, 3)))}
        cost = StageCost(
            flops=float(rng.uniform(1e7, 3e9)),
            bytes_moved=float(rng.uniform(0.0, 2e8)),
            parameter_bytes=float(rng.uniform(0.0, 4e7)),
            output_bytes=outputs,
            kernels=int(rng.integers(1, 20)),
            working_bytes=float(rng.uniform(0.0, 1e7)),
        )
        nodes.append(StageNode(f"n{i}", inputs, tuple(outputs), cost))
        known += outputs
    last = [name for stage in nodes[-2:] for name in stage.outputs]
    sinks = tuple(name for name in last if rng.random() < 0.6) or (last[-1],)
    made = [name for name in known if name not in sources]
    read = {name for node in nodes for name in node.inputs}
    states = {s: str(rng.choice(made)) for s in sources if s in read and rng.random() < 0.25}
    codecs = {name: _CODECS[int(rng.integers(len(_CODECS)))] for name in known if rng.random() < 0.9}
    return StageGraph(tuple(nodes), sources, sinks, codecs, states)


def random_forecast(rng: np.random.Generator, futures: int) -> LinkForecast:
    """Log-normal rates about a median of 10 to 300 Mbit/s; one future in ten is an outage."""
    median_bps = 10.0 ** rng.uniform(7.0, 8.5)
    up = rng.choice([0.0, 1.0], futures, p=[0.1, 0.9]) * rng.lognormal(math.log(median_bps), 0.7, futures)
    loss = np.where(up > 0, rng.choice([0.0, 0.01, 0.2], futures), 1.0)
    return LinkForecast(
        up,
        up * rng.uniform(1, 4),
        rng.lognormal(math.log(0.015), 0.5, futures),
        loss,
        wan_rtt_s=rng.lognormal(math.log(0.02), 0.4, futures),
        wan_bps=rng.lognormal(math.log(3e8), 0.5, futures),
    )


def random_computer(rng: np.random.Generator, tier: Place, precisions: int = 2) -> BudgetState:
    """A computer of that tier's class with up to so many precisions, sometimes short of memory or power."""
    flops = {Place.CAR: 4e10, Place.EDGE: 1e12, Place.CLOUD: 5e12}[tier] * rng.lognormal(0.0, 0.6)
    speeds = {"fp32": flops, "fp16": 1.7 * flops, "int8": 2.4 * flops}
    kept = rng.choice(3, min(precisions, int(rng.integers(1, 4))), replace=False)
    supported = [list(speeds)[i] for i in kept]
    rates = {name: value if name in supported else 0.0 for name, value in speeds.items()}
    power_w = float(rng.uniform(5.0, 40.0))
    tight_memory, tight_power = rng.random() < 0.2, tier == Place.CAR and rng.random() < 0.3
    budget = ComputeBudget(
        name=tier.name.lower(),
        fp32_flops=rates["fp32"],
        fp16_flops=rates["fp16"],
        int8_ops=rates["int8"],
        bandwidth_bps=1e11 * float(rng.lognormal(0.0, 0.3)),
        memory_bytes=float(rng.uniform(1e7, 1e8)) if tight_memory else 4e9,
        power_w=power_w,
        compute_efficiency=float(rng.uniform(0.2, 0.9)),
        memory_efficiency=0.6,
        kernel_s=float(rng.uniform(1e-5, 3e-4)),
        precision=supported[0],
        power_mode_w=float(rng.uniform(0.1, 0.9)) * power_w if tight_power else 0.0,
    )
    return BudgetState(budget, float(rng.choice([0.0, 0.3])), float(rng.choice([1.0, 0.8])))


def random_problem(
    rng: np.random.Generator,
    stages: int,
    tiers: int = 3,
    futures: int = 4,
    *,
    models: int = 1,
    precisions: int = 2,
) -> Problem:
    """One decision with everything that a decision may have. stages: of each size of the model."""
    variants = [
        ModelVariant(f"size{k}", random_graph(rng, stages), float(rng.choice([0.0, rng.uniform(0.0, 0.05)])))
        for k in range(models)
    ]
    names = sorted({name for variant in variants for name in variant.graph.sources})
    seen = {name: {"raw": float(rng.integers(50, 100_000))} for name in names if rng.random() < 0.3}
    waits = Waits(rng.exponential(0.005, futures), rng.exponential(0.003, futures)) if rng.random() < 0.5 else None
    previous = None
    if rng.random() < 0.5:
        place = tuple(Place(int(rng.integers(tiers))) for _ in range(stages))
        previous = Schedule(place, {}, None, 0.0, "random", model=variants[0].name)
    return Problem(
        models=tuple(variants),
        computers=tuple(random_computer(rng, Place(i), precisions) for i in range(tiers)),
        forecast=random_forecast(rng, futures),
        deadline_s=float(rng.uniform(0.02, 0.3)),
        fallback=int(rng.integers(models)),
        previous=previous,
        payload_bytes=seen,
        busy=Busy(*rng.uniform(0.0, 0.03, 5).tolist()) if rng.random() < 0.5 else Busy(),
        waits=waits,
        state_home={name: Place(int(rng.integers(tiers))) for name in names if rng.random() < 0.5},
        frame_period_s=float(rng.choice([0.1, 0.4, 1.0])),
    )
