"""A stage graph as flat arrays, for the numba solver.

Stages are numbered by *position*: first the critical ones (those that a sink depends on) in graph order, then the
auxiliary ones. Tensors are numbered in the order in which positions mention them. A placement is an integer whose bit
i is set when position i runs at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scheduling.codecs import CODECS, nominal_payload_bytes
from scheduling.types import Place, StageGraph, StageNode

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PayloadBytes = Mapping[str, Mapping[str, float]]  # tensor -> codec -> bytes


class GraphArrays(NamedTuple):
    """What the solver needs of a graph. CSR pairs: (pointer, index)."""

    n_critical: int
    input_pointer: Ints  # position -> range in input_tensor
    input_tensor: Ints
    producer: Ints  # tensor -> position, -1 for a source
    consumers: Ints  # tensor -> bit mask of positions that read it
    sinks: Ints  # tensor numbers
    is_sink: npt.NDArray[np.bool_]  # by tensor
    option_pointer: Ints  # tensor -> range of its codec options
    option_encode_s: Floats
    option_decode_s: Floats
    option_quality_s: Floats


class CompiledGraph:
    """`graph` with its arrays and the names behind the numbers."""

    def __init__(self, graph: StageGraph) -> None:
        self.graph = graph
        critical = critical_stages(graph)
        self.stages: tuple[StageNode, ...] = (
            *(stage for stage in graph.stages if stage.name in critical),
            *(stage for stage in graph.stages if stage.name not in critical),
        )
        self.n_critical = len(critical)
        position = {stage.name: i for i, stage in enumerate(self.stages)}
        self._graph_positions = tuple(position[stage.name] for stage in graph.stages)
        producer = {name: i for i, stage in enumerate(self.stages) for name in stage.outputs}
        names = dict.fromkeys([name for stage in self.stages for name in stage.inputs] + list(graph.sinks))
        self.tensors: tuple[str, ...] = tuple(names)
        number = {name: i for i, name in enumerate(self.tensors)}
        consumers = [sum(1 << i for i, s in enumerate(self.stages) if name in s.inputs) for name in self.tensors]
        options = [graph.codecs.get(name, ("raw",)) for name in self.tensors]
        self.options = tuple((t, codec) for t, names in enumerate(options) for codec in names)
        self.raw_bytes = tuple(raw_tensor_bytes(graph)[name] for name in self.tensors)
        self._nominal = np.array([nominal_payload_bytes(codec, self.raw_bytes[t]) for t, codec in self.options])
        inputs = [[number[name] for name in dict.fromkeys(stage.inputs)] for stage in self.stages]
        sinks = [number[name] for name in graph.sinks]
        self.arrays = GraphArrays(
            n_critical=self.n_critical,
            input_pointer=_pointer([len(row) for row in inputs]),
            input_tensor=np.array([t for row in inputs for t in row], np.int64),
            producer=np.array([producer.get(name, -1) for name in self.tensors], np.int64),
            consumers=np.array(consumers, np.int64),
            sinks=np.array(sinks, np.int64),
            is_sink=np.array([name in graph.sinks for name in self.tensors], np.bool_),
            option_pointer=_pointer([len(names) for names in options]),
            option_encode_s=np.array([CODECS[c].encode_s(self.raw_bytes[t]) for t, c in self.options]),
            option_decode_s=np.array([CODECS[c].decode_s(self.raw_bytes[t]) for t, c in self.options]),
            option_quality_s=np.array([CODECS[c].quality_price_s for _, c in self.options]),
        )

    def option_bytes(self, payload_bytes: PayloadBytes | None) -> Floats:
        """Expected payload of every codec option: what was last seen, else the nominal ratio."""
        expected = self._nominal.copy()
        if payload_bytes:
            for i, (tensor, codec) in enumerate(self.options):
                seen = payload_bytes.get(self.tensors[tensor])
                if seen is not None and codec in seen:
                    expected[i] = seen[codec]
        return expected

    def placement(self, mask: int) -> tuple[Place, ...]:
        """Bit mask over positions -> one place a stage, in graph order."""
        return tuple(Place((mask >> i) & 1) for i in self._graph_positions)

    def mask(self, place: Sequence[Place]) -> int:
        return sum(int(p) << i for p, i in zip(place, self._graph_positions, strict=True))

    @property
    def critical_mask(self) -> int:
        return (1 << self.n_critical) - 1


def critical_stages(graph: StageGraph) -> frozenset[str]:
    """Names of the stages that some sink depends on; the others are auxiliary."""
    needed = set(graph.sinks)
    critical = set()
    for stage in reversed(graph.stages):
        if needed.intersection(stage.outputs):
            critical.add(stage.name)
            needed.update(stage.inputs)
    return frozenset(critical)


def raw_tensor_bytes(graph: StageGraph) -> dict[str, int]:
    return {**graph.sources, **{n: b for stage in graph.stages for n, b in stage.cost.output_bytes.items()}}


def _pointer(lengths: Sequence[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
