"""How long the stages of a study model really take on the device at hand, beside what a profile predicts.

Weights are random, batch 1. On a GPU every stage is captured once as a CUDA graph and replayed (launches of single
kernels then cost what an inference engine's do, not what Python's do) and timed with CUDA events; on a CPU it is timed
by the clock. The median of many runs counts. PyTorch does not fuse layers as an inference engine does, so a prediction
from a profile calibrated on engines is a lower bound here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from e2e_drive.study import study_graph
from planner.study import StudyConfig, study_stages
from scheduling import ComputeBudget

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def measure(
    config: StudyConfig, device: str, precision: str = "fp16", runs: int = 50, budget: ComputeBudget | None = None
) -> list[dict[str, Any]]:
    """One row a stage: what, gflop, mb, measured_ms, and predicted_ms where a profile of the device is given."""
    if precision not in _DTYPES:
        raise ValueError(f"measured can be {', '.join(_DTYPES)}; received precision {precision!r}")
    graph = {node.name: node.cost for node in study_graph(config).stages}
    study = study_stages(config, device="cpu")
    dtype, rows = _DTYPES[precision], []
    tensors = {name: _to(tensor, device, dtype) for name, tensor in study.sources.items()}
    known: dict[tuple[int, ...], float] = {}  # camera after camera through one module: measured once
    with torch.inference_mode():
        for stage in tqdm(study.stages, desc=f"{device} {precision}", leave=False):
            module = stage.module.to(device=device, dtype=dtype)
            inputs = [tensors[name] for name in stage.inputs]
            outputs = _whole(module, dtype)(*inputs)
            tensors.update(zip(stage.outputs, outputs, strict=True))
            key = id(module), *(tensor.numel() for tensor in inputs)
            if key not in known:
                known[key] = _median_ms(_whole(module, dtype), inputs, device, runs)
            cost = graph[stage.name]
            row = {
                "what": stage.name,
                "gflop": cost.flops / 1e9,
                "mb": cost.bytes_moved / 1e6,
                "measured_ms": known[key],
            }
            if budget is not None:
                row["predicted_ms"] = 1e3 * budget.alone_seconds(cost, precision)
            rows.append(row)
    return rows


def run(
    config: StudyConfig, device: str | None = None, precision: str | None = None, budget: ComputeBudget | None = None
) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": [...]}; on the GPU in FP16 where there is one, else on the CPU in FP32."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision = precision or ("fp16" if device.startswith("cuda") else "fp32")
    rows = measure(config, device, precision, budget=budget)
    metrics = {"stages": len(rows), "measured_ms": float(sum(row["measured_ms"] for row in rows))}
    if budget is not None:
        ratios = [row["predicted_ms"] / row["measured_ms"] for row in rows]
        metrics["predicted_ms"] = float(sum(row["predicted_ms"] for row in rows))
        metrics["median_predicted_over_measured"] = float(np.median(ratios))
    return {"metrics": metrics, "rows": rows}


def _to(tensor: Tensor, device: str, dtype: torch.dtype) -> Tensor:
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else tensor.dtype)


def _whole(module: nn.Module, dtype: torch.dtype) -> Callable[..., tuple[Tensor, ...]]:
    """The module with its first cast (uint8 pictures become fp32 inside) brought to its precision."""

    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(inputs[0].device.type, dtype, enabled=dtype != torch.float32):
            outputs = module(*inputs)
        found = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        return tuple(_to(tensor, str(tensor.device), dtype) for tensor in found)

    return call


def _median_ms(call: Callable[..., Any], inputs: list[Tensor], device: str, runs: int) -> float:
    if not device.startswith("cuda"):
        for _ in range(2):
            call(*inputs)
        times = []
        for _ in range(runs):
            start_ns = time.perf_counter_ns()
            call(*inputs)
            times.append((time.perf_counter_ns() - start_ns) / 1e6)
        return float(np.median(times))
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        call(*inputs)
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(runs)]
    for start, end in events:
        start.record()
        captured.replay()
        end.record()
    torch.cuda.synchronize()
    return float(np.median([start.elapsed_time(end) for start, end in events]))
