"""Published latencies of driving networks on embedded computers, and the traced costs of what ran.

Sources, read at the repositories' newest commits:
    LCH1238/bevdet-tensorrt-cpp, README, "Inference Speed": BEVDet-R50-4D-longterm-depth, TensorRT 8.5, TF32 left on
    NVIDIA/DL4AGX, AV-Solutions/: uniad-trt/documents/explicit_quantization.md, vad-trt, petr-trt, far3d-trt READMEs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from e2e_drive.bench import networks as net
from scheduling.trace import trace_cost
from scheduling.types import StageCost

Parts = tuple[tuple[str, str], ...]  # (traced stage, precision), one after the other

_BEVDET = "BEVDet-R50-4D-longterm"
_AGX, _DRIVE, _A4000 = "AGX Orin", "DRIVE Orin", "RTX A4000"


@dataclass(frozen=True)
class Figure:
    """One published latency. fitted: takes part in the fit; otherwise it is the sum of figures that do, or a stage
    that no accelerator's roofline describes (copies from the host, work on the CPU), and is only predicted."""

    network: str
    what: str
    machine: str
    precision: str  # as published
    milliseconds: float
    parts: Parts
    fitted: bool = True

    @property
    def label(self) -> str:
        return f"{self.network} {self.what}"


def _bevdet(machine: str, precision: str, pre: float, image: float, pool: float, align: float, bev: float, post: float,
            total: float) -> list[Figure]:  # fmt: skip
    """Pooling and alignment are the project's own fp32 kernels whatever the engines' precision: they are one figure a
    machine (with the FP16 engines), not three."""
    stages: list[tuple[str, float, Parts, bool]] = [
        ("image", image, (("bevdet_image", precision),), True),
        ("BEV", bev, (("bevdet_bev", precision),), True),
    ]
    if precision == "fp16":
        stages += [
            ("BEV pool", pool, (("bevdet_pool", "fp32"),), True),
            ("align", align, (("bevdet_align", "fp32"),), True),
            ("pre", pre, (("bevdet_pre", "fp32"),), False),
            ("post", post, (("bevdet_post", "fp32"),), False),
        ]
    whole: Parts = (
        ("bevdet_pre", "fp32"), ("bevdet_image", precision), ("bevdet_pool", "fp32"), ("bevdet_align", "fp32"),
        ("bevdet_bev", precision), ("bevdet_post", "fp32"),
    )  # fmt: skip
    stages.append(("total", total, whole, False))
    return [Figure(_BEVDET, what, machine, precision, ms, parts, fitted) for what, ms, parts, fitted in stages]


def _uniad(precision: str, head: str, milliseconds: float) -> Figure:
    heads = tuple((f"uniad_{part}", head) for part in ("bev", "track", "map", "motion", "plan"))
    return Figure("UniAD-tiny", "whole", _DRIVE, precision, milliseconds, (("uniad_image", precision), *heads))


def _far3d(encoder: str, decoder: str, milliseconds: float) -> Figure:
    return Figure(
        "Far3D", f"{encoder} encoder, {decoder} decoder", _DRIVE, encoder, milliseconds,
        (("far3d_image", encoder), ("far3d_decoder", decoder)),
    )  # fmt: skip


FIGURES: tuple[Figure, ...] = (
    *_bevdet(_AGX, "fp32", 2.800, 38.09, 0.620, 2.018, 11.893, 1.065, 55.104),
    *_bevdet(_AGX, "fp16", 2.816, 17.025, 0.571, 2.111, 5.747, 0.919, 29.189),
    *_bevdet(_AGX, "int8", 2.924, 10.340, 0.596, 1.861, 4.004, 0.982, 20.959),
    *_bevdet(_A4000, "fp32", 0.478, 16.559, 0.151, 0.899, 6.848, 0.558, 25.534),
    *_bevdet(_A4000, "fp16", 0.512, 8.627, 0.168, 0.925, 2.966, 0.619, 13.817),
    *_bevdet(_A4000, "int8", 0.467, 3.929, 0.143, 0.885, 1.771, 0.631, 7.847),
    _uniad("fp32", "fp32", 64.0469),
    _uniad("fp16", "fp16", 49.7559),
    _uniad("int8", "fp16", 39.3125),  # explicit quantisation of convolutions, the rest FP16
    Figure("VAD-tiny", "whole", _DRIVE, "fp16", 90.2, (("vad_image", "fp16"), ("vad_bev", "fp32"),
           ("vad_boxes", "fp32"), ("vad_map", "fp32"), ("vad_plan", "fp32"))),
    Figure("PETR-vov-p4-800x320", "whole", _DRIVE, "fp16", 52.37, (("petr_image", "fp16"), ("petr_head", "fp16"))),
    Figure("PETRv2-vov-p4-800x320", "whole", _DRIVE, "fp16", 55.77, (("petr_image", "fp16"), ("petr2_head", "fp16"))),
    _far3d("fp32", "fp32", 538.5),
    _far3d("fp16", "fp32", 367.4),
    _far3d("fp16", "fp16", 203.9),
    _far3d("int8", "fp16", 132.3),
)  # fmt: skip


class _Pre(nn.Module):
    """Decoded pictures (6, 3, 900, 1600) uint8 -> network inputs (6, 3, 256, 704), nearest pixels."""

    def forward(self, pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return pictures.index_select(2, rows).index_select(3, columns).float()


class _Post(nn.Module):
    """Heat map -> 500 boxes, and their overlaps for suppression."""

    def forward(self, heat: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        best = heat.sigmoid().flatten().topk(1000).indices % boxes.shape[1]
        found = boxes.index_select(1, best)[:, :500]
        return found, found.t() @ found


def _shape(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(size, dtype=dtype, device="meta")


def _index(count: int) -> Tensor:
    return _shape(count, dtype=torch.int32)


_FRUSTUM = 6 * 118 * 16 * 44  # points; those outside the grid are dropped, which a roofline cannot know
_D = net.WIDTH


def _modules() -> dict[str, tuple[Callable[[], nn.Module], Sequence[Tensor]]]:
    """Traced stage -> how to make it, example inputs."""
    r50 = lambda: net.Images("resnet50", (4,), 1)  # noqa: E731
    vov = lambda: net.Images("ese_vovnet99b", (3, 4), 1)  # noqa: E731
    bev50, bev100 = _shape(1, _D, 50, 50), _shape(1, _D, 100, 100)
    agents, lanes = _shape(1, 100, _D), _shape(1, 300, _D)
    petr = (_shape(6, _D, 20, 50), _shape(1, 6000, 192), _shape(1, 6000, 384))
    levels = tuple(_shape(7, _D, h, w) for h, w in ((80, 120), (40, 60), (20, 30), (10, 15)))
    return {
        "bevdet_pre": (_Pre, (_shape(6, 3, 900, 1600, dtype=torch.uint8), _index(256), _index(704))),
        "bevdet_image": (net.BevDetImages, (_shape(6, 3, 256, 704), _shape(6, 27))),
        "bevdet_pool": (
            net.BevDetPool,
            (_shape(6, 118, 16, 44), _shape(6, 80, 16, 44), _index(_FRUSTUM), _index(128 * 128)),
        ),
        "bevdet_align": (net.BevDetAlign, (_shape(8, 80, 128, 128), _shape(8, 128, 128, 2))),
        "bevdet_bev": (net.BevDetBev, (_shape(1, 720, 128, 128),)),
        "bevdet_post": (_Post, (_shape(10, 128, 128), _shape(9, 128 * 128))),
        "uniad_image": (r50, (_shape(6, 3, 256, 416),)),
        "uniad_bev": (lambda: net.BevFormer(50), (_shape(6, _D, 8, 13), bev50)),
        "uniad_track": (lambda: net.Detr(901, 6), (bev50,)),
        "uniad_map": (lambda: net.Detr(300, 6, encoder=6), (bev50,)),
        "uniad_motion": (net.UniadMotion, (agents, lanes, bev50)),
        "uniad_plan": (net.UniadOccupancyAndPlan, (bev50, agents)),
        "vad_image": (r50, (_shape(6, 3, 384, 640),)),
        "vad_bev": (lambda: net.BevFormer(100), (_shape(6, _D, 12, 20), bev100)),
        "vad_boxes": (lambda: net.Detr(300, 3), (bev100,)),
        "vad_map": (lambda: net.Detr(2000, 3), (bev100,)),
        "vad_plan": (net.VadPlan, (_shape(1, 300, _D), _shape(1, 2000, _D))),
        "petr_image": (vov, (_shape(6, 3, 320, 800),)),
        "petr_head": (net.Petr, (*petr, _shape(1, 0, _D))),
        "petr2_head": (net.Petr, (*petr, _shape(1, 6000, _D))),  # the last frame's keys are kept, not computed again
        "far3d_image": (net.Far3dImages, (_shape(7, 3, 640, 960),)),
        "far3d_decoder": (net.Far3dDecoder, (_shape(1, 1024, _D), *levels)),
    }


@lru_cache(maxsize=1)
def published_costs() -> dict[str, StageCost]:
    """Traced stage -> its cost. Takes some seconds; no weights are made."""
    costs: dict[str, StageCost] = {}
    for name, (make, inputs) in _modules().items():
        with torch.device("meta"):
            module: Any = make().eval()
        costs[name] = trace_cost(name, module, inputs)
    return costs
