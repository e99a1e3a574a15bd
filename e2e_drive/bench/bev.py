"""How fast cameras become bird's-eye view and trajectory on this machine: the lift alone, and every size of network.

The lift runs against the published cumulative-sum form on the same input, in turns, so that both see the same machine.
Each network runs in a process of its own, frame after frame with its memory, batch 1, random weights (which change no
cost), channels last; the median frame counts, but on a machine that has other work, too, the fastest tells more. Memory
is the most that process ever held, and what of it came after the libraries were loaded. Beside them the published
lift-splat-shoot network on the same pictures.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from bev import BevGrid, CameraRig, Command, EgoMotion, Pose2D, RouteHint, SensorFrame
from bev.frustum import DepthBins
from bev.lift_splat import LiftSplat
from e2e_drive.bench.lift_splat_shoot import GRID, LiftSplatShoot
from e2e_drive.study import driving_graph
from planner import STATES, DrivingModel, ModelConfig, network_inputs, prepare_for_inference
from scheduling.trace import trace_cost

_LIFT_CHANNELS, _LIFT_STRIDE = 64, 8
_PUBLISHED = "lss"


@dataclass(frozen=True)
class BevBenchConfig:
    """models: sizes by name (configs/model). frames: measured, after warm_up."""

    models: tuple[str, ...] = ("little", "base", "big")
    threads: int = 2
    frames: int = 50
    warm_up: int = 5
    lift_runs: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))
        for name in ("threads", "frames", "lift_runs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, received {getattr(self, name)}")


@dataclass(frozen=True)
class _Measured:
    """What one network took on one device: medians over frames. stage_ms, gflop: by stage."""

    device: str
    frame_ms: float
    fastest_ms: float
    stage_ms: Mapping[str, float]
    gflop: Mapping[str, float]
    parameters: int
    peak_mb: float  # of the process; of a GPU: of its memory
    network_mb: float  # of it, since the libraries were loaded


def run(models: Mapping[str, ModelConfig], rig: CameraRig, config: BevBenchConfig) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": one a network, device and stage}. models: sizes by name, all on `rig`."""
    metrics, rows = _lift(rig, config), []
    networks: dict[str, ModelConfig | None] = {**models, _PUBLISHED: None}
    for name, model in tqdm(networks.items(), desc="networks", leave=False):
        # Alone in its process, so that the memory is its own.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            for found in pool.submit(_measure, model, rig, config).result():
                rows += _rows(name, found)
                metrics |= _metrics(name if found.device == "cpu" else f"{name}_{found.device}", found)
    for name in models:
        ratio = metrics[f"{_PUBLISHED}_ms_per_frame"] / metrics[f"{name}_ms_per_frame"]
        metrics[f"{name}_speedup_over_{_PUBLISHED}"] = ratio
    return {"metrics": metrics, "rows": rows}


def _lift(rig: CameraRig, config: BevBenchConfig) -> dict[str, float]:
    """Our lift and the published one, in turns on the same input; both are compared with the exact sums."""
    torch.set_num_threads(config.threads)
    generator = torch.Generator().manual_seed(config.seed)
    bins = DepthBins()
    module = LiftSplat(rig, BevGrid(), bins, _LIFT_CHANNELS, _LIFT_STRIDE)
    inputs = [
        torch.randn(1, channels, *shape, generator=generator).to(memory_format=torch.channels_last)
        for channels in (_LIFT_CHANNELS, bins.count + 1)
        for shape in module.shapes
    ]
    ways: dict[str, Callable[..., tuple[Tensor]]] = {
        "lift": module,
        "lift_plain": partial(module.reference, running=torch.float32),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    metrics: dict[str, float] = {"lift_pairs": len(module.entries)}
    with torch.inference_mode():
        exact = module.reference(*inputs)[0]
        for name, way in ways.items():
            metrics[f"{name}_max_difference"] = (way(*inputs)[0] - exact).abs().max().item()
        for _ in range(config.lift_runs):
            for name, way in ways.items():
                began = time.perf_counter()
                way(*inputs)
                times[name].append(1e3 * (time.perf_counter() - began))
    metrics |= {f"{name}_ms": statistics.median(found) for name, found in times.items()}
    metrics["lift_speedup"] = metrics["lift_plain_ms"] / metrics["lift_ms"]
    return metrics


def _measure(model: ModelConfig | None, rig: CameraRig, config: BevBenchConfig) -> list[_Measured]:
    """In a process of its own: one network, None for the published one, on the CPU and on a GPU where there is one."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    before_mb = _high_water_mb()
    network = (_Ours(model) if model is not None else _Published(rig)).eval()
    inputs = network.inputs(_pictures(rig, config.seed))
    gflop = network.gflop(inputs)
    network = prepare_for_inference(network, inputs)
    times = _time(network, inputs, config)
    peak_mb = _high_water_mb()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    measured = [_Measured("cpu", *times, gflop, parameters, peak_mb, peak_mb - before_mb)]
    if torch.cuda.is_available():
        network = network.to("cuda")
        held_mb = torch.cuda.memory_allocated() / 1e6
        times = _time(network, {name: tensor.cuda() for name, tensor in inputs.items()}, config)
        peak_mb = torch.cuda.max_memory_allocated() / 1e6
        measured.append(_Measured("cuda", *times, gflop, parameters, peak_mb, peak_mb - held_mb))
    return measured


class _Ours(nn.Module):
    """The network that drives, one frame after the other."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.model = DrivingModel(config)

    def inputs(self, frame: SensorFrame) -> dict[str, Tensor]:
        return network_inputs(frame) | self.model.first_state()

    def parts(self) -> dict[str, nn.Module]:
        return {stage.name.partition("[")[0]: stage.module for stage in self.model.stages}

    def gflop(self, inputs: Mapping[str, Tensor]) -> dict[str, float]:
        total = dict.fromkeys(self.parts(), 0.0)
        for node in driving_graph(self.model).stages:
            total[node.name.partition("[")[0]] += node.cost.flops / 1e9
        return total

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """-> what the next frame remembers."""
        outputs = self.model(tensors)
        return {name: outputs[later] for name, later in STATES.items()}


class _Published(nn.Module):
    def __init__(self, rig: CameraRig) -> None:
        super().__init__()
        self.model = LiftSplatShoot(rig)

    def inputs(self, frame: SensorFrame) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in network_inputs(frame).items() if name.startswith("image[")}

    def parts(self) -> dict[str, nn.Module]:
        return dict(self.model.named_children())

    def gflop(self, inputs: Mapping[str, Tensor]) -> dict[str, float]:
        """By stage; of the splat only its additions would count, which PyTorch's counter does not."""
        images = torch.cat(list(inputs.values()))
        bev = torch.zeros(1, 64, GRID.rows, GRID.columns)
        costs = {"camera_encoder": trace_cost("camera_encoder", self.model.camera_encoder, [images])}
        costs["bev_encoder"] = trace_cost("bev_encoder", self.model.bev_encoder, [bev])
        return {"splat": 0.0, **{name: cost.flops / 1e9 for name, cost in costs.items()}}

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.model(*tensors.values())
        return {}


def _time(network: Any, inputs: Mapping[str, Tensor], config: BevBenchConfig) -> tuple[float, float, dict[str, float]]:
    """Milliseconds: median of a frame, the fastest, and the median of each part."""
    tensors = dict(inputs)
    finish = torch.cuda.synchronize if next(iter(tensors.values())).is_cuda else _nothing
    parts = network.parts()
    began: dict[str, float] = {}
    spent: dict[str, list[float]] = {name: [] for name in parts}

    def enter(name: str, *_: Any) -> None:
        finish()
        began[name] = time.perf_counter()

    def leave(name: str, *_: Any) -> None:
        finish()
        spent[name].append(1e3 * (time.perf_counter() - began[name]))

    def frames(count: int) -> list[float]:
        times = []
        for _ in range(count):
            start = time.perf_counter()
            tensors.update(network(tensors))
            finish()
            times.append(1e3 * (time.perf_counter() - start))
        return times

    with torch.inference_mode():
        frames(config.warm_up)
        whole = frames(config.frames)
        hooks = [part.register_forward_pre_hook(partial(enter, name)) for name, part in parts.items()]
        hooks += [part.register_forward_hook(partial(leave, name)) for name, part in parts.items()]
        frames(config.frames)
    for hook in hooks:
        hook.remove()
    return statistics.median(whole), min(whole), {name: statistics.median(times) for name, times in spent.items()}


def _nothing() -> None:
    pass


def _pictures(rig: CameraRig, seed: int) -> SensorFrame:
    rng = np.random.default_rng(seed)
    images = {c.name: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in rig.cameras}
    ego = EgoMotion(5.0, 0.0, Pose2D(0.0, 0.0, 0.0))
    return SensorFrame(0, 0.0, images, rig, ego, RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M))


def _high_water_mb() -> float:
    """The most this process ever held in memory. Not from getrusage: there a child starts with its parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("this system does not tell how much memory a process held (no VmHWM in /proc/self/status)")


def _metrics(name: str, found: _Measured) -> dict[str, float]:
    return {
        f"{name}_ms_per_frame": found.frame_ms,
        f"{name}_fastest_ms": found.fastest_ms,
        f"{name}_frames_per_s": 1e3 / found.frame_ms,
        f"{name}_peak_mb": found.peak_mb,
        f"{name}_network_mb": found.network_mb,
        f"{name}_parameters_m": found.parameters / 1e6,
        f"{name}_gflop": sum(found.gflop.values()),
    }


def _rows(name: str, found: _Measured) -> list[dict[str, Any]]:
    return [
        {"network": name, "device": found.device, "stage": stage, "ms": ms, "gflop": found.gflop[stage]}
        for stage, ms in found.stage_ms.items()
    ]
