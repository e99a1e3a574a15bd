"""A stage graph on given computers as flat arrays, for the numba solver.

Stages are numbered by *position*: first the critical ones (those that a sink depends on) in graph order, then the
auxiliary ones. Tensors are numbered in the order in which positions mention them. A *choice* is a pair of tier and
precision; an *option* is a pair of tensor and codec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scheduling.budget import BYTES_PER_NUMBER, BudgetState, ComputeBudget
from scheduling.codecs import CODECS, nominal_payload_bytes
from scheduling.problem import Floats, PayloadBytes
from scheduling.types import Place, StageGraph, StageNode

Ints = npt.NDArray[np.int64]
CHOOSE, FETCH, RUN, DELIVER = 0, 1, 2, 3  # kinds of search steps


class GraphArrays(NamedTuple):
    """What the solver needs of a graph and never changes. CSR pairs: (pointer, index)."""

    n_critical: int
    input_pointer: Ints  # position -> range in input_tensor
    input_tensor: Ints
    output_pointer: Ints  # position -> range in output_tensor: those of its outputs that anybody wants
    output_tensor: Ints
    producer: Ints  # tensor -> position, -1 for a source
    reader_pointer: Ints  # tensor -> range in reader: critical positions that read it
    reader: Ints
    sinks: Ints  # tensor numbers
    is_sink: npt.NDArray[np.bool_]  # by tensor
    state_maker: Ints  # tensor -> position whose output becomes this state in the next frame; -1: no state
    follows: Ints  # auxiliary position -> position whose tier it follows, -1: the car; critical: unused
    option_pointer: Ints  # tensor -> range of its codec options
    choice_tier: Ints  # choice -> tier
    default_choice: Ints  # tier -> choice of its default precision
    twin_base: int  # the first position of the first of the twins: see `CompiledGraph._twins`
    twin_length: int  # stages of each
    twin_count: int  # 0: there are none
    step_kind: Ints  # what the search does, one step after another: CHOOSE, FETCH, RUN a stage, DELIVER a sink
    step_position: Ints
    step_tensor: Ints


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


class CompiledGraph:
    """`graph` on `computers` (by tier): arrays, tables by (position, choice), and the names behind the numbers."""

    def __init__(self, graph: StageGraph, computers: Sequence[ComputeBudget]) -> None:
        self.graph, self.computers = graph, tuple(computers)
        critical = critical_stages(graph)
        self.stages: tuple[StageNode, ...] = (
            *(stage for stage in graph.stages if stage.name in critical),
            *(stage for stage in graph.stages if stage.name not in critical),
        )
        self.n_critical = len(critical)
        self.position = {stage.name: i for i, stage in enumerate(self.stages)}
        self.graph_positions = tuple(self.position[stage.name] for stage in graph.stages)
        names = dict.fromkeys([name for stage in self.stages for name in stage.inputs] + list(graph.sinks))
        self.tensors: tuple[str, ...] = tuple(names)
        self.number = {name: i for i, name in enumerate(self.tensors)}
        raw = raw_tensor_bytes(graph)
        options = [graph.codecs.get(name, ("raw",)) for name in self.tensors]
        self.options = tuple((t, codec) for t, codecs in enumerate(options) for codec in codecs)
        self.option_number = {(self.tensors[t], codec): i for i, (t, codec) in enumerate(self.options)}
        self.option_table = np.array([_option_row(codec, raw[self.tensors[t]]) for t, codec in self.options])
        self.choices = tuple(
            (Place(tier), precision) for tier, budget in enumerate(computers) for precision in budget.precisions
        )
        self.choice_number = {choice: i for i, choice in enumerate(self.choices)}
        self.arrays = self._arrays(options)
        self.memory, self.working = self._memory()
        self._alone: dict[tuple[float, ...], tuple[Floats, Floats, tuple[Floats, float]]] = {}
        self._slowed: dict[tuple[tuple[float, float], ...], tuple[Floats, Floats, tuple[Floats, float]]] = {}
        self._leaders = self._follow()

    def _arrays(self, options: Sequence[Sequence[str]]) -> GraphArrays:
        producer = {name: i for i, stage in enumerate(self.stages) for name in stage.outputs}
        inputs = [[self.number[name] for name in stage.inputs] for stage in self.stages]
        outputs = [[self.number[name] for name in stage.outputs if name in self.number] for stage in self.stages]
        readers = [
            [i for i, stage in enumerate(self.stages[: self.n_critical]) if name in stage.inputs]
            for name in self.tensors
        ]
        follows = np.full(len(self.stages), -1, np.int64)
        for i, stage in enumerate(self.stages):
            if stage.inputs:
                follows[i] = producer.get(stage.inputs[0], -1)
        steps, (base, length, count) = self._steps(inputs), self._twins(producer)
        state_maker = [producer[self.graph.states[n]] if n in self.graph.states else -1 for n in self.tensors]
        return GraphArrays(
            n_critical=self.n_critical,
            input_pointer=_pointer([len(x) for x in inputs]),
            input_tensor=_flat(inputs),
            output_pointer=_pointer([len(x) for x in outputs]),
            output_tensor=_flat(outputs),
            producer=np.array([producer.get(name, -1) for name in self.tensors], np.int64),
            reader_pointer=_pointer([len(x) for x in readers]),
            reader=_flat(readers),
            sinks=np.array([self.number[name] for name in self.graph.sinks], np.int64),
            is_sink=np.array([name in self.graph.sinks for name in self.tensors]),
            state_maker=np.array(state_maker, np.int64),
            follows=follows,
            option_pointer=_pointer([len(x) for x in options]),
            choice_tier=np.array([int(tier) for tier, _ in self.choices], np.int64),
            default_choice=np.array(
                [self.choice_number[Place(k), b.precision] for k, b in enumerate(self.computers)], np.int64
            ),
            twin_base=base,
            twin_length=length,
            twin_count=count,
            step_kind=steps[:, 0].copy(),
            step_position=steps[:, 1].copy(),
            step_tensor=steps[:, 2].copy(),
        )

    def _twins(self, producer: Mapping[str, int]) -> tuple[int, int, int]:
        """(first position, stages of each, how many) of chains that stand one behind the other in list order and
        differ in their names alone: cameras and their backbones. Each starts at a source of its own, nobody else reads
        what is on the way, and whoever reads one's result reads all, in their order.

        Chains wholly on the car and chains wholly off it share no resource, so a schedule is worth the same when a
        chain of the one kind changes places with a neighbour of the other (each keeps its precisions and codecs):
        of these the search looks at the one with the chains off the car first.
        """
        best = 0, 0, 0
        for length in (1, 2, 3):
            for base in range(self.n_critical - length):
                chains: list[list[str]] = []
                while (chain := self._chain(base + len(chains) * length, length, producer)) is not None:
                    if chains and not self._alike(chains[0], chain, base, length, len(chains)):
                        break
                    chains.append(chain)
                ends = [chain[-1] for chain in chains]
                while len(ends) > 1 and not self._read_together(ends):
                    ends.pop()
                if len(ends) > 1 and len(ends) * length > best[1] * best[2]:
                    best = base, length, len(ends)
        return best

    def _chain(self, first: int, length: int, producer: Mapping[str, int]) -> list[str] | None:
        """Tensors of the chain of stages at these positions, its source first; None if it is none."""
        if first + length > self.n_critical:
            return None
        tensors: list[str] = []
        for i in range(first, first + length):
            stage = self.stages[i]
            if len(stage.inputs) != 1 or len(stage.outputs) != 1:
                return None
            name = stage.inputs[0]
            if (tensors and name != tensors[-1]) or (not tensors and (name in producer or name in self.graph.states)):
                return None
            if sum(name in other.inputs for other in self.stages) != 1 or name in self.graph.sinks:
                return None
            tensors = [*(tensors or [name]), stage.outputs[0]]
        return None if tensors[-1] in self.graph.sinks or tensors[-1] in self.graph.states.values() else tensors

    def _alike(self, one: list[str], other: list[str], base: int, length: int, number: int) -> bool:
        raw, codecs = raw_tensor_bytes(self.graph), self.graph.codecs
        costs = all(
            replace(self.stages[base + j].cost, output_bytes={})
            == replace(self.stages[base + number * length + j].cost, output_bytes={})
            for j in range(length)
        )
        pairs = list(zip(one, other, strict=True))
        return costs and all(raw[a] == raw[b] and codecs.get(a) == codecs.get(b) for a, b in pairs)

    def _read_together(self, ends: list[str]) -> bool:
        """Every stage that reads one of them reads all, in that order, and is critical."""
        for i, stage in enumerate(self.stages):
            read = [name for name in stage.inputs if name in ends]
            if read and (read != ends or i >= self.n_critical):
                return False
        return True

    def _steps(self, inputs: Sequence[Sequence[int]]) -> Ints:
        """(step, 3): kind, position, tensor"""
        steps = []
        for i in range(self.n_critical):
            steps += [(CHOOSE, i, -1), *((FETCH, i, t) for t in inputs[i]), (RUN, i, -1)]
        steps += [(DELIVER, -1, self.number[name]) for name in self.graph.sinks]
        return np.array(steps, np.int64)

    def _memory(self) -> tuple[Floats, Floats]:
        """(position, choice) -> bytes of parameters, and of the largest working set."""
        scale = np.array([BYTES_PER_NUMBER[precision] / 4.0 for _, precision in self.choices])
        parameters = np.array([stage.cost.parameter_bytes for stage in self.stages])
        working = np.array([stage.cost.working_bytes for stage in self.stages])
        return parameters[:, None] * scale, working[:, None] * scale

    def _follow(self) -> list[tuple[int, int]]:
        """(auxiliary position, critical position whose tier it follows in the end, -1: the car)"""
        leaders: dict[int, int] = {}
        for i in range(self.n_critical, len(self.stages)):
            leader = int(self.arrays.follows[i])
            leaders[i] = leaders.get(leader, leader)
        return list(leaders.items())

    def bundle(self, table: Floats) -> tuple[Floats, float]:
        """A (position, choice) table with what auxiliary stages add where they follow, at their computer's default
        precision; and what those add that are on the car wherever the others are."""
        bundled, loose = table.copy(), 0.0
        default = self.arrays.default_choice[self.arrays.choice_tier]
        for i, leader in self._leaders:
            if leader < 0:
                loose += float(table[i, self.arrays.default_choice[Place.CAR]])
            else:
                bundled[leader] += table[i, default]
        return bundled, loose

    def alone(self, clocks: tuple[float, ...]) -> tuple[Floats, Floats, tuple[Floats, float]]:
        """(position, choice) -> seconds with the computer to ourselves, and joules drawn on the car (elsewhere 0), and
        the bundle of these."""
        if clocks not in self._alone:
            if len(self._alone) > 64:
                self._alone.clear()
            seconds = np.empty((len(self.stages), len(self.choices)))
            joules = np.zeros_like(seconds)
            for c, (tier, precision) in enumerate(self.choices):
                budget, clock = self.computers[tier], clocks[tier]
                for i, stage in enumerate(self.stages):
                    seconds[i, c] = budget.alone_seconds(stage.cost, precision, clock)
                    if tier == Place.CAR:
                        joules[i, c] = budget.joules(stage.cost, precision, clock)
            self._alone[clocks] = seconds, joules, self.bundle(joules)
        return self._alone[clocks]

    def seconds(self, states: Sequence[BudgetState]) -> tuple[Floats, Floats, tuple[Floats, float]]:
        """As `alone`, slowed by what other tenants take."""
        key = tuple([(state.clock, state.share_taken) for state in states])
        if key not in self._slowed:
            if len(self._slowed) > 64:
                self._slowed.clear()
            alone_s, joules, bundle = self.alone(tuple([state.clock for state in states]))
            slow = np.array([1.0 / (1.0 - states[tier].share_taken) for tier, _ in self.choices])
            self._slowed[key] = alone_s * slow, joules, bundle
        return self._slowed[key]

    def seen_bytes(self, payload_bytes: PayloadBytes) -> list[tuple[int, float]]:
        """(option number, payload) of everything that was last seen and means something here."""
        found = []
        for tensor, seen in payload_bytes.items():
            for codec, size in seen.items():
                option = self.option_number.get((tensor, codec))
                if option is not None:
                    found.append((option, size))
        return found


def _option_row(codec: str, raw_bytes: int) -> tuple[float, float, float, float]:
    """Nominal payload bytes, price of quality, seconds of encoding and of decoding."""
    its = CODECS[codec]
    return (
        nominal_payload_bytes(codec, raw_bytes), its.quality_price_s, its.encode_s(raw_bytes), its.decode_s(raw_bytes)
    )  # fmt: skip


def _pointer(lengths: Sequence[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _flat(lists: Sequence[Sequence[int]]) -> Ints:
    return np.array([x for values in lists for x in values], np.int64)
