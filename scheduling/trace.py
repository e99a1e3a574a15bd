"""What each stage costs, read off the modules themselves: nothing about a cost is typed in by hand.

A stage runs once under PyTorch's FLOP counter on fake tensors (shapes only, no arithmetic and no weights read); only
where an operator refuses that, it runs once for real.

Byte traffic is counted as a fused inference engine would cause it: every convolution, matrix product, gather, resize
or attention reads its operands and writes its result once, while normalisation, activation and other pointwise work
rides along in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode, UnsupportedOperatorException
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from scheduling.types import StageCost, StageGraph, StageNode

# Operators that an inference engine launches as kernels of their own.
_HEAVY = (
    "convolution", "conv2d", "mm", "addmm", "bmm", "baddbmm", "attention", "grid_sampler", "embedding", "gather",
    "index", "scatter", "upsample", "pool", "softmax", "layer_norm", "sparse",
)  # fmt: skip
_SMALL_TENSOR_BYTES = 1024  # below this a codec's header and time outweigh what it saves


class StageLike(Protocol):
    """What tracing needs to know of a stage. Calling `module` with the inputs in order gives the outputs in order."""

    @property
    def name(self) -> str: ...
    @property
    def module(self) -> Callable[..., Any]: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...


class _Traffic(TorchDispatchMode):
    """Counts heavy operators and the bytes they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.kernels = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if any(part in name for part in _HEAVY):
            self.kernels += 1
            self.bytes += sum(_bytes(leaf) for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor))
        return result


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _as_tuple(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)


def _measure(module: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], float, _Traffic]:
    flops = FlopCounterMode(display=False)
    with torch.no_grad(), _Traffic() as traffic, flops:
        outputs = _as_tuple(module(*inputs))
    return outputs, float(flops.get_total_flops()), traffic


def _trace_one(stage: StageLike, tensors: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], float, _Traffic]:
    """Outputs are real tensors of the right shape and type; their values mean nothing."""
    inputs = [tensors[name] for name in stage.inputs]
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        with fake:
            outputs, flops, traffic = _measure(stage.module, [fake.from_tensor(tensor) for tensor in inputs])
        return tuple(torch.zeros(o.shape, dtype=o.dtype) for o in outputs), flops, traffic
    except (UnsupportedOperatorException, DynamicOutputShapeException, NotImplementedError, RuntimeError, TypeError):
        # A custom operator or a look at values: such a stage can only be traced by running it.
        return _measure(stage.module, inputs)


def _codecs_for(tensor: Tensor) -> tuple[str, ...]:
    if tensor.dtype == torch.uint8 and tensor.dim() == 4 and tensor.shape[1] == 3:
        return ("jpeg", "raw")
    if tensor.is_floating_point() and _bytes(tensor) > _SMALL_TENSOR_BYTES:
        return ("int8", "fp16", "raw")
    return ("raw",)


def trace_stages(stages: Sequence[StageLike], sources: Mapping[str, Tensor], sinks: Sequence[str]) -> StageGraph:
    """The stage graph of a model: stages in topological order, sources with example tensors, sinks by name."""
    tensors: dict[str, Tensor] = dict(sources)
    nodes: list[StageNode] = []
    for stage in stages:
        missing = [name for name in stage.inputs if name not in tensors]
        if missing:
            raise ValueError(f"stage {stage.name!r} needs {missing}, which no earlier stage or source gives")
        outputs, flops, traffic = _trace_one(stage, tensors)
        if len(outputs) != len(stage.outputs):
            raise ValueError(f"stage {stage.name!r} declares outputs {stage.outputs}, returned {len(outputs)} tensors")
        tensors.update(zip(stage.outputs, outputs, strict=True))
        parameters = stage.module.parameters() if isinstance(stage.module, torch.nn.Module) else ()
        boundary = sum(_bytes(tensors[name]) for name in (*stage.inputs, *stage.outputs))
        cost = StageCost(
            flops=flops,
            bytes_moved=float(max(traffic.bytes, boundary)),
            parameter_bytes=float(sum(_bytes(parameter) for parameter in parameters)),
            output_bytes={name: _bytes(tensors[name]) for name in stage.outputs},
            kernels=max(1, traffic.kernels),
        )
        nodes.append(StageNode(stage.name, tuple(stage.inputs), tuple(stage.outputs), cost))
    unknown = [name for name in sinks if name not in tensors]
    if unknown:
        raise ValueError(f"sinks {unknown} are produced by no stage; known tensors: {sorted(tensors)}")
    return StageGraph(
        stages=tuple(nodes),
        sources={name: _bytes(tensor) for name, tensor in sources.items()},
        sinks=tuple(sinks),
        codecs={name: _codecs_for(tensor) for name, tensor in tensors.items()},
    )
