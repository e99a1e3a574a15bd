"""A model size as numbered stages and tensors, so that a frame costs little more than its list operations."""

from __future__ import annotations

from collections.abc import Sequence

from scheduling.codecs import CODECS, Codec
from scheduling.compiled import critical_stages, raw_tensor_bytes
from scheduling.types import ModelVariant, Place, StageGraph

_KEPT = 4096  # placements that are kept
SOURCE = -1  # the maker of a tensor that no stage makes


class Plan:
    """Stages keep their numbers in the graph; tensors are numbered sources first."""

    def __init__(self, model: ModelVariant) -> None:
        self.model = model
        graph = model.graph
        raw = raw_tensor_bytes(graph)
        names = critical_stages(graph)
        self.stages = graph.stages
        self.critical = tuple(i for i, stage in enumerate(graph.stages) if stage.name in names)
        self.auxiliary = tuple(i for i, stage in enumerate(graph.stages) if stage.name not in names)
        self.tensors: tuple[str, ...] = tuple(dict.fromkeys([*graph.sources, *raw]))
        self.number = number = {name: t for t, name in enumerate(self.tensors)}
        self.raw_bytes = tuple(raw[name] for name in self.tensors)
        self.sources = tuple(number[name] for name in graph.sources)
        self.inputs = tuple(tuple(number[name] for name in stage.inputs) for stage in graph.stages)
        self.outputs = tuple(tuple(number[name] for name in stage.outputs) for stage in graph.stages)
        self.sinks = tuple(number[name] for name in graph.sinks)
        maker = [SOURCE] * len(self.tensors)
        for i, outputs in enumerate(self.outputs):
            for t in outputs:
                maker[t] = i
        self.maker = tuple(maker)
        self.follows = tuple(maker[inputs[0]] if inputs else SOURCE for inputs in self.inputs)
        self.states = {number[state]: number[output] for state, output in graph.states.items()}
        # Made for people, logs and losses: no stage reads them and the car need not have them.
        self.loose_ends = _loose_ends(graph, number)
        self._places: dict[tuple[tuple[Place, ...], int], tuple[int, ...]] = {}
        self._codings: dict[tuple[int, str], tuple[Codec, float, float]] = {}

    def coding(self, tensor: int, name: str) -> tuple[Codec, float, float]:
        """That codec, and its seconds of encoding and of decoding this tensor. Raises ValueError if there is none."""
        coding = self._codings.get((tensor, name))
        if coding is None:
            if name not in CODECS:
                raise ValueError(f"unknown codec {name!r}; there are {', '.join(CODECS)}")
            codec, raw_bytes = CODECS[name], self.raw_bytes[tensor]
            coding = self._codings[tensor, name] = codec, codec.encode_s(raw_bytes), codec.decode_s(raw_bytes)
        return coding

    def places(self, chosen: tuple[Place, ...], tiers: int) -> tuple[int, ...]:
        """Tier of every stage: critical ones as chosen, auxiliary ones with the maker of their first input."""
        place = self._places.get((chosen, tiers))
        if place is None:
            if len(self._places) > _KEPT:
                self._places.clear()
            place = self._places[chosen, tiers] = tuple(self._follow(chosen, tiers))
        return place

    def _follow(self, chosen: Sequence[Place], tiers: int) -> list[int]:
        if len(chosen) != len(self.stages):
            raise ValueError(
                f"a schedule for the {len(self.stages)} stages of model {self.model.name!r} is needed, received "
                f"{len(chosen)} places"
            )
        place = [int(p) for p in chosen]
        for i in self.auxiliary:
            maker = self.follows[i]
            place[i] = int(Place.CAR) if maker == SOURCE else place[maker]
        if max(place) >= tiers:
            raise ValueError(f"a schedule places stages on {Place(max(place)).name}, but there are {tiers} computers")
        return place


def _loose_ends(graph: StageGraph, number: dict[str, int]) -> tuple[int, ...]:
    read = {name for stage in graph.stages for name in stage.inputs} | set(graph.sinks)
    return tuple(number[name] for stage in graph.stages for name in stage.outputs if name not in read)
