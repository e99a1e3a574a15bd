"""A stage: a piece of the network that may run in the car or at the roadside, with its inputs and outputs by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """`module` takes the tensors named in `inputs`, in that order, and returns a tuple in the order of `outputs`."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        if len(tensors) != len(self.inputs):
            raise ValueError(f"stage {self.name!r} takes {self.inputs}, received {len(tensors)} tensors")
        return self.module(*tensors)


def run_stages(stages: Sequence[Stage], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run stages in order on a dict of named tensors; returns it with every output added.

    Neighbouring stages that share one module (the same backbone, camera after camera) run as one batch. In training
    this lets batch normalisation see all cameras at once, which is what its running statistics then describe.
    """
    known = dict(tensors)
    position = 0
    while position < len(stages):
        group = [stages[position]]
        while position + len(group) < len(stages) and stages[position + len(group)].module is group[0].module:
            group.append(stages[position + len(group)])
        for stage, outputs in zip(group, _run_together(group, known), strict=True):
            known.update(zip(stage.outputs, outputs, strict=True))
        position += len(group)
    return known


def _run_together(group: Sequence[Stage], known: dict[str, Tensor]) -> list[tuple[Tensor, ...]]:
    inputs = [[known[name] for name in stage.inputs] for stage in group]
    shapes = {tuple(tensor.shape for tensor in tensors) for tensors in inputs}
    if len(group) == 1 or len(shapes) > 1:  # cameras of different sizes cannot share a batch
        return [stage(*tensors) for stage, tensors in zip(group, inputs, strict=True)]
    outputs = group[0](*(torch.cat(tensors) for tensors in zip(*inputs, strict=True)))
    return list(zip(*(tensor.chunk(len(group)) for tensor in outputs), strict=True))
