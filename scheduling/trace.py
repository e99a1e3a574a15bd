"""What each stage costs, read off the modules themselves: nothing about a cost is typed in by hand.

A stage goes once under PyTorch's FLOP counter on fake tensors (shapes only): nothing is computed, no weight is read,
and a model built under `torch.device("meta")`, which has none, is traced like any other. A stage whose shapes depend
on values cannot be traced and is refused.

Byte traffic is counted as a fused inference engine would cause it: every convolution, matrix product, gather, resize
or attention reads its operands and writes its result once, while normalisation, activation and other pointwise work
rides along in registers. What depends on weights alone is folded into them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from scheduling.types import StageCost, StageGraph, StageNode

# Operators that an inference engine launches as kernels of their own.
_HEAVY = (
    "convolution", "conv2d", "mm", "addmm", "bmm", "baddbmm", "attention", "grid_sampler", "embedding", "gather",
    "index", "scatter", "splat", "upsample", "pool", "softmax", "layer_norm", "group_norm", "sparse", "topk", "sort",
)  # fmt: skip
_SMALL_TENSOR_BYTES = 1024  # below this a codec's header and time outweigh what it saves
# Gathered rows come out of the last-level cache, whose bandwidth is about four times that of the memory (A100: 7.2 TB/s
# by its 5120 bytes a clock at 1.41 GHz, against 1.56 TB/s): a quarter of them counts as traffic.
_CACHE_SHARE = 0.25
IMAGE_CODECS = ("jpeg50", "jpeg70", "jpeg", "raw")
FEATURE_CODECS = ("int4", "int8", "fp16", "raw")


def _attention_flops(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    return sdpa_flop_count(query, key, value)


# PyTorch's counter knows the attention kernels of GPUs only; this one is what fake CPU tensors choose.
_MORE_FLOPS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


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


@dataclass(frozen=True)
class _Shape:
    """All that is kept of a tensor."""

    size: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> _Shape:
        return cls(tuple(tensor.shape), tensor.dtype)

    @property
    def bytes(self) -> int:
        return torch.Size(self.size).numel() * self.dtype.itemsize

    def fake(self) -> Tensor:
        """A CPU tensor of this shape; inside a FakeTensorMode it takes no memory."""
        return torch.empty(self.size, dtype=self.dtype, device="cpu")


class _Traffic(TorchDispatchMode):
    """Counts heavy operators, the bytes they read and write, and the most activation bytes any operator holds."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.bytes = 0
        self.kernels = 0
        self.working_bytes = 0
        self._weights = {id(tensor): tensor for tensor in weights}  # kept alive, so that no id is used twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        activations = [tensor for tensor in operands if id(tensor) not in self._weights]
        if operands and not activations:
            self._weights |= {id(tensor): tensor for tensor in results}
            return result
        if not func.is_view:
            held = {id(tensor): _bytes(tensor) for tensor in (*activations, *results)}
            self.working_bytes = max(self.working_bytes, sum(held.values()))
        if any(part in func.overloadpacket.__name__ for part in _HEAVY):
            self.kernels += 1
            self.bytes += sum(_bytes(tensor) for tensor in (*operands, *results))
            self.bytes += int(_CACHE_SHARE * _gathered_bytes(func.overloadpacket.__name__, operands, results))
        return result


@dataclass(frozen=True)
class _Trace:
    outputs: tuple[_Shape, ...]
    flops: float
    bytes: int
    kernels: int
    working_bytes: int


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _gathered_bytes(name: str, operands: Sequence[Tensor], results: Sequence[Tensor]) -> int:
    """What a gather with overlaps reads beyond one pass over its operands."""
    if "embedding_bag" in name:
        table, index = operands[:2]
        return index.numel() * _bytes(table) // max(1, len(table))
    if "splat" in name:
        _, table, index = operands[:3]  # (B, pixels, channels)
        return index.numel() * _bytes(table) // max(1, table.shape[1])
    if "grid_sampler" in name:
        return 2 ** (results[0].dim() - 2) * _bytes(results[0])  # the corners of a cell around every sample
    return 0


def _weights_of(module: Any) -> dict[str, Tensor]:
    if not isinstance(module, torch.nn.Module):
        return {}
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _trace_one(name: str, module: Callable[..., Any], inputs: Sequence[_Shape]) -> _Trace:
    flops = FlopCounterMode(display=False, custom_mapping=_MORE_FLOPS)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cpu"), torch.no_grad():
            weights = {key: _Shape.of(tensor).fake() for key, tensor in _weights_of(module).items()}
            tensors = tuple(shape.fake() for shape in inputs)
            with _Traffic(list(weights.values())) as traffic, flops:
                if isinstance(module, torch.nn.Module):
                    result = torch.func.functional_call(module, weights, tensors)
                else:
                    result = module(*tensors)
    except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException) as error:
        raise ValueError(
            f"stage {name!r} looks at values ({error}), so its cost cannot be read off shapes: only operators "
            "whose result's shape follows from their operands' shapes can be traced"
        ) from error
    except (RuntimeError, TypeError) as error:
        sizes = ", ".join(str(shape.size) for shape in inputs)
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"stage {name!r} refuses inputs of shapes {sizes}: {reason}") from error
    outputs = (result,) if isinstance(result, Tensor) else tuple(result)
    total = float(flops.get_total_flops())
    return _Trace(tuple(map(_Shape.of, outputs)), total, traffic.bytes, traffic.kernels, traffic.working_bytes)


def _cost(module: Callable[..., Any], trace: _Trace, inputs: Sequence[_Shape], outputs: Sequence[str]) -> StageCost:
    parameters = module.parameters() if isinstance(module, torch.nn.Module) else ()
    boundary = sum(shape.bytes for shape in (*inputs, *trace.outputs))
    return StageCost(
        flops=trace.flops,
        bytes_moved=float(max(trace.bytes, boundary)),
        parameter_bytes=float(sum(_bytes(parameter) for parameter in parameters)),
        output_bytes={name: shape.bytes for name, shape in zip(outputs, trace.outputs, strict=True)},
        kernels=max(1, trace.kernels),
        working_bytes=float(max(trace.working_bytes, boundary)),
    )


def trace_cost(name: str, module: Callable[..., Any], inputs: Sequence[Tensor]) -> StageCost:
    """What one module costs on inputs of these shapes; its outputs are called "output0", "output1" and so on."""
    shapes = [_Shape.of(tensor) for tensor in inputs]
    trace = _trace_one(name, module, shapes)
    return _cost(module, trace, shapes, [f"output{i}" for i in range(len(trace.outputs))])


def _codecs_for(shape: _Shape) -> tuple[str, ...]:
    if shape.dtype == torch.uint8 and len(shape.size) == 4 and shape.size[1] == 3:
        return IMAGE_CODECS
    if shape.dtype.is_floating_point and shape.bytes > _SMALL_TENSOR_BYTES:
        return FEATURE_CODECS
    return ("raw",)


def trace_stages(
    stages: Sequence[StageLike],
    sources: Mapping[str, Tensor],
    sinks: Sequence[str],
    states: Mapping[str, str] | None = None,
) -> StageGraph:
    """The stage graph of a model: stages in topological order, sources with example tensors (of which only shape and
    type matter; meta tensors will do), sinks by name; states: see `StageGraph`."""
    tensors = {name: _Shape.of(tensor) for name, tensor in sources.items()}
    known: dict[tuple[Any, ...], _Trace] = {}  # camera after camera through one backbone: traced once
    nodes: list[StageNode] = []
    for stage in stages:
        missing = [name for name in stage.inputs if name not in tensors]
        if missing:
            raise ValueError(f"stage {stage.name!r} needs {missing}, which no earlier stage or source gives")
        inputs = [tensors[name] for name in stage.inputs]
        key = (id(stage.module), *inputs)
        trace = known[key] = known.get(key) or _trace_one(stage.name, stage.module, inputs)
        if len(trace.outputs) != len(stage.outputs):
            raise ValueError(
                f"stage {stage.name!r} declares outputs {stage.outputs}, returned {len(trace.outputs)} tensors"
            )
        tensors.update(zip(stage.outputs, trace.outputs, strict=True))
        cost = _cost(stage.module, trace, inputs, stage.outputs)
        nodes.append(StageNode(stage.name, tuple(stage.inputs), tuple(stage.outputs), cost))
    unknown = [name for name in sinks if name not in tensors]
    if unknown:
        raise ValueError(f"sinks {unknown} are produced by no stage; known tensors: {sorted(tensors)}")
    return StageGraph(
        stages=tuple(nodes),
        sources={name: tensors[name].bytes for name in sources},
        sinks=tuple(sinks),
        codecs={name: _codecs_for(shape) for name, shape in tensors.items()},
        states=dict(states or {}),
    )
