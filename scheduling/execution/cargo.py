"""What travels and what is computed: real tensors, or their sizes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from scheduling.codecs import Codec, nominal_payload_bytes
from scheduling.execution.plan import Plan
from scheduling.problem import PayloadBytes
from scheduling.types import Place

Tensor = Any  # a numpy array or a torch tensor: the executor passes on what the stage functions use
StageFunction = Callable[..., Any]


class Cargo(Protocol):
    def weigh(self, tensor: int, home: int, codec: Codec) -> int:
        """Payload bytes of a tensor that is about to leave its tier."""

    def deliver(self, tensor: int, home: int, place: int, codec: Codec) -> None:
        """It has arrived there."""

    def compute(self, stage: int, place: int) -> None:
        """The stage has run there."""


class Sizes:
    """Cost-only mode: nominal payloads, or known ones, times a jitter that is the same for a frame however asked."""

    def __init__(self, plan: Plan, known: PayloadBytes, jitter: float, normals: Callable[[], list[float]]) -> None:
        """normals(): a standard normal number a tensor of the plan."""
        self.plan, self.known, self.jitter, self.normals = plan, known, jitter, normals

    def weigh(self, tensor: int, home: int, codec: Codec) -> int:
        known = self.known.get(self.plan.tensors[tensor])
        size = None if known is None else known.get(codec.name)
        if size is None:
            size = nominal_payload_bytes(codec.name, self.plan.raw_bytes[tensor])
        if self.jitter > 0.0 and not codec.constant_rate:
            size *= math.exp(self.jitter * self.normals()[tensor])
        return round(size)

    def deliver(self, tensor: int, home: int, place: int, codec: Codec) -> None:
        pass

    def compute(self, stage: int, place: int) -> None:
        pass


class Values:
    """Tensors by (tensor, tier), computed and coded for real. Where the graph tells of a larger network than the one
    that computes, a tensor weighs as much more as the graph's is larger."""

    def __init__(
        self,
        plan: Plan,
        functions: Mapping[str, StageFunction],
        sources: Mapping[str, Tensor],
        states: Mapping[int, tuple[int, Tensor]],
    ) -> None:
        """states: state tensor -> (tier, value), for those that some frame has made; others come with the sources."""
        self.plan, self.functions = plan, functions
        self.values: dict[tuple[int, int], Tensor] = {}
        for t in plan.sources:
            name = plan.tensors[t]
            if t in states:
                home, value = states[t]
            elif name in sources:
                home, value = int(Place.CAR), sources[name]
            else:
                raise ValueError(f"the frame lacks source {name!r}; it has {sorted(sources)}")
            self.values[t, home] = value
        # Tensors on the car that no codec has touched, directly or upstream: a run of the car alone makes the same.
        self.untouched = {t for t in plan.sources if (t, Place.CAR) in self.values}
        self._payloads: dict[int, bytes] = {}
        self._decoded: dict[int, Tensor] = {}

    def weigh(self, tensor: int, home: int, codec: Codec) -> int:
        value = self.values[tensor, home]
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        payload = self._payloads[tensor] = codec.encode(array)
        return round(len(payload) * self.plan.raw_bytes[tensor] / max(array.nbytes, 1))

    def deliver(self, tensor: int, home: int, place: int, codec: Codec) -> None:
        if tensor not in self._decoded:
            template, array = self.values[tensor, home], codec.decode(self._payloads[tensor])
            is_torch = isinstance(template, torch.Tensor)
            self._decoded[tensor] = torch.from_numpy(array).to(template.device) if is_torch else array
        self.values[tensor, place] = self._decoded[tensor]

    def compute(self, stage: int, place: int) -> None:
        plan = self.plan
        inputs, outputs = plan.inputs[stage], plan.outputs[stage]
        result = self.functions[plan.stages[stage].name](*(self.values[t, place] for t in inputs))
        results = result if isinstance(result, (tuple, list)) else (result,)
        self.values.update({(t, place): value for t, value in zip(outputs, results, strict=True)})
        if place == Place.CAR and self.untouched.issuperset(inputs):
            self.untouched.update(outputs)

    def reuse(self, other: Values) -> None:
        """Take over what a run of the same model on the same car has already computed from the same memory."""
        if other.plan is not self.plan or any(
            self.values[t, Place.CAR] is not other.values.get((t, Place.CAR)) for t in self.plan.states
        ):
            return
        self.values |= {(t, int(Place.CAR)): other.values[t, Place.CAR] for t in other.untouched}
        self.untouched |= other.untouched

    def compute_alone(self, stages: Iterable[int]) -> None:
        for i in stages:
            if not self.untouched.issuperset(self.plan.outputs[i]):
                self.compute(i, Place.CAR)

    def outputs(self) -> dict[str, Tensor]:
        """Sinks as the car has them; tensors that nothing reads from wherever they were made."""
        names = self.plan.tensors
        found = {names[t]: self.values[t, Place.CAR] for t in self.plan.sinks}
        for t in self.plan.loose_ends:
            for place in Place:
                if names[t] not in found and (t, place) in self.values:
                    found[names[t]] = self.values[t, place]
        return found
