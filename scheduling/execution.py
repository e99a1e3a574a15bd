"""Execution in virtual time: stages compute for real, the clock is simulated.

Four resources - car, uplink, edge, downlink - serve one job at a time; reservations of earlier frames stay, later
frames fill the gaps. Within a frame jobs start in list order, as in `scheduling.solver.walk`. Rules:

- The fallback (the car's own complete run, no codecs) starts at `fallback_at_s` if no answer is there. From then on
  the car works for it alone; a remote answer may still arrive first, and then the fallback is cancelled.
- Latest wins: work that would wait one frame period for its resource is superseded by the next frame before it
  starts. A frame whose answer is lost that way is dropped (`ready_s` None).
- Whatever still runs for a frame when its first answer is there is cancelled at that moment.
- Auxiliary stages (no sink depends on them) run after the answer; their outputs stay where they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scheduling.budget import ComputeBudget
from scheduling.calendar import Calendar
from scheduling.codecs import CODECS, AnyArray
from scheduling.compiled import critical_stages, raw_tensor_bytes
from scheduling.link.base import LinkTrace
from scheduling.policies.base import Busy
from scheduling.types import LinkState, Place, Schedule, Span, StageGraph, StageNode, Timeline

Tensor = Any  # a numpy array or a torch tensor: the executor passes on what the stage functions use
StageFunction = Callable[..., Any]

_COMPUTE = {Place.CAR: "car", Place.EDGE: "edge"}
_RADIO = {Place.EDGE: "uplink", Place.CAR: "downlink"}  # by destination
NEVER = float("inf")


@dataclass(frozen=True)
class ExecutorConfig:
    frame_period_s: float = 0.1  # between two frames with images
    payload_smoothing: float = 0.2  # weight of the newest payload in the running mean
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frame_period_s <= 0 or not 0 < self.payload_smoothing <= 1:
            raise ValueError(f"frame_period_s > 0 and 0 < payload_smoothing <= 1 are needed, received {self}")


class VirtualExecutor:
    def __init__(
        self, graph: StageGraph, car: ComputeBudget, edge: ComputeBudget, config: ExecutorConfig | None = None
    ) -> None:
        self.graph, self.car, self.edge = graph, car, edge
        self.config = config or ExecutorConfig()
        self.payload_bytes: dict[str, dict[str, float]] = {}
        names = critical_stages(graph)
        self.critical = tuple(stage for stage in graph.stages if stage.name in names)
        self.auxiliary = tuple(stage for stage in graph.stages if stage.name not in names)
        self.producer = {name: stage.name for stage in graph.stages for name in stage.outputs}
        self.raw_bytes = raw_tensor_bytes(graph)
        read = {name for stage in graph.stages for name in stage.inputs}
        # Made for people, logs and losses: no stage reads them and the car need not have them.
        self.loose_ends = tuple(name for name in self.producer if name not in read and name not in graph.sinks)
        self.calendars = {name: Calendar() for name in ("car", "uplink", "edge", "downlink")}

    def busy(self, now_s: float) -> Busy:
        return Busy(*(calendar.free_at(now_s) - now_s for calendar in self.calendars.values()))

    def learn(self, tensor: str, codec: str, payload: int) -> None:
        """Take a real payload into the running mean that policies plan with."""
        known = self.payload_bytes.setdefault(tensor, {})
        before = known.get(codec, float(payload))
        known[codec] = before + self.config.payload_smoothing * (payload - before)

    def run(
        self,
        schedule: Schedule,
        stage_fns: Mapping[str, StageFunction],
        sources: Mapping[str, Tensor],
        link_truth: LinkTrace | LinkState,
        frame_id: int,
        now_s: float,
    ) -> tuple[dict[str, Tensor], Timeline]:
        """Everything that happens to the frame captured at now_s. Frames must come in order of time.

        Returns the sinks, and tensors that no stage reads (perception for logs and pictures) where they were made;
        nothing for a dropped frame; and the timeline.
        """
        trace = link_truth if isinstance(link_truth, LinkTrace) else LinkTrace.constant(link_truth)
        if len(schedule.place) != len(self.graph.stages):
            raise ValueError(f"a schedule for {len(self.graph.stages)} stages is needed, received {schedule.place}")
        for calendar in self.calendars.values():
            calendar.forget_before(now_s)
        flight = _Flight(self, schedule, stage_fns, sources, trace, frame_id, now_s)
        if trace.answer_delay_s is not None:
            flight.compute_locally(self.critical + self.auxiliary)
            return flight.outputs(), flight.timeline(now_s + trace.answer_delay_s, False, [])
        if all(flight.place[stage.name] == Place.CAR for stage in self.critical):
            ready_s, used_fallback, spans = self._local(flight)
        else:
            ready_s, used_fallback, spans = self._with_fallback(flight, schedule.fallback_at_s)
        for span in spans:
            self.calendars[span.resource].add(span.start_s, span.end_s)
        return ({} if ready_s is None else flight.outputs()), flight.timeline(ready_s, used_fallback, spans)

    def _local(self, flight: _Flight) -> tuple[float | None, bool, list[Span]]:
        first = flight.fit_car_run(self.critical[:1], flight.capture_s)[0]
        if first.start_s - flight.capture_s >= self.config.frame_period_s:
            return None, False, []  # the next frame is here before this one could start
        ready_s = flight.run_critical(NEVER, NEVER)
        flight.run_auxiliary(ready_s)
        return ready_s, False, flight.spans

    def _with_fallback(self, flight: _Flight, fallback_at_s: float | None) -> tuple[float | None, bool, list[Span]]:
        if fallback_at_s is None:
            raise ValueError("a schedule with remote stages needs fallback_at_s")
        release_s = flight.capture_s + fallback_at_s
        fallback = flight.fit_car_run(self.critical, release_s)
        start_s, end_s = fallback[0].start_s, fallback[-1].end_s
        if start_s - release_s >= self.config.frame_period_s:
            give_up_s = release_s + self.config.frame_period_s
            ready_s = flight.run_critical(give_up_s, NEVER)
            if ready_s >= give_up_s:
                return None, False, flight.cut(flight.spans, give_up_s)
            flight.run_auxiliary(ready_s)
            return ready_s, False, flight.spans
        ready_s = flight.run_critical(end_s, start_s)
        if ready_s < end_s:
            started = flight.cut(fallback, ready_s)
            flight.run_auxiliary(ready_s)
            return ready_s, False, flight.spans + started
        spans = flight.cut(flight.spans, end_s) + fallback
        spans += flight.fit_car_run(self.auxiliary, end_s)
        flight.compute_locally(self.critical + self.auxiliary)
        return end_s, True, spans


class _Flight:
    """One frame on its way. Values and times are kept for each (tensor, place) where the tensor is known."""

    def __init__(
        self,
        executor: VirtualExecutor,
        schedule: Schedule,
        stage_fns: Mapping[str, StageFunction],
        sources: Mapping[str, Tensor],
        trace: LinkTrace,
        frame_id: int,
        capture_s: float,
    ) -> None:
        self.executor, self.schedule, self.stage_fns, self.trace = executor, schedule, stage_fns, trace
        self.frame_id, self.capture_s = frame_id, capture_s
        self.place = {stage.name: place for stage, place in zip(executor.graph.stages, schedule.place, strict=True)}
        self.values: dict[tuple[str, Place], Tensor] = {(name, Place.CAR): value for name, value in sources.items()}
        self.known_s: dict[tuple[str, Place], float] = {(name, Place.CAR): capture_s for name in sources}
        # Tensors on the car that no codec has touched, directly or upstream: a fallback may reuse their values.
        self.untouched: set[str] = set(sources)
        self.free_s = dict.fromkeys(executor.calendars, capture_s)
        self.spans: list[Span] = []
        self.transfers = 0

    # Time

    def run_critical(self, limit_s: float, car_limit_s: float) -> float:
        """When all sinks are on the car; NEVER if not before limit_s, or if the car were needed after car_limit_s."""
        for stage in self.executor.critical:
            if not self._run(stage, limit_s, car_limit_s):
                return NEVER
        ready_s = max(self._bring(name, Place.CAR) for name in self.executor.graph.sinks)
        return ready_s if ready_s < limit_s else NEVER

    def run_auxiliary(self, answer_s: float) -> None:
        self.free_s["car"] = max(self.free_s["car"], answer_s)
        for stage in self.executor.auxiliary:
            if all((name, self._home(name)) in self.values for name in stage.inputs):
                self._run(stage, NEVER, NEVER)

    def fit_car_run(self, stages: tuple[StageNode, ...], release_s: float) -> list[Span]:
        """A run of these stages one after the other on the car, around what is already reserved there."""
        spans = []
        for stage in stages:
            start_s, release_s = self.executor.calendars["car"].fit(release_s, self._finish(stage, Place.CAR))
            spans.append(Span(stage.name, "car", start_s, release_s))
        return spans

    def cut(self, spans: list[Span], at_s: float) -> list[Span]:
        """What remains of them when everything is cancelled at that time."""
        kept = []
        for span in spans:
            if span.end_s <= at_s:
                kept.append(span)
            elif span.start_s < at_s:
                sent = 0
                if span.bytes:
                    sent = min(span.bytes, self.trace.bytes_between(span.start_s, at_s, span.resource == "uplink"))
                kept.append(Span(span.stage, span.resource, span.start_s, at_s, sent))
        return kept

    def _finish(self, stage: StageNode, place: Place) -> Callable[[float], float]:
        budget = self.executor.car if place == Place.CAR else self.executor.edge
        return lambda start_s: start_s + budget.stage_seconds(stage.cost, start_s)

    def _run(self, stage: StageNode, limit_s: float, car_limit_s: float) -> bool:
        """Run one stage at its place, bringing its inputs there. False: not done before the limits."""
        place = self.place[stage.name]
        resource = _COMPUTE[place]
        ready_s = max((self._bring(name, place) for name in stage.inputs), default=self.capture_s)
        if ready_s >= limit_s:
            return False
        release_s = max(ready_s, self.free_s[resource])
        start_s, end_s = self.executor.calendars[resource].fit(release_s, self._finish(stage, place))
        if place == Place.CAR and end_s > car_limit_s:
            if start_s < car_limit_s:
                self.spans.append(Span(stage.name, resource, start_s, car_limit_s))
            return False
        self.spans.append(Span(stage.name, resource, start_s, end_s))
        self.free_s[resource] = end_s
        if end_s >= limit_s:
            return False
        self._compute(stage, place)
        for name in stage.outputs:
            self.known_s[name, place] = end_s
        return True

    def _bring(self, name: str, place: Place) -> float:
        """When the tensor is known at that place; sends it there if it is not."""
        if (name, place) in self.known_s:
            return self.known_s[name, place]
        executor, trace = self.executor, self.trace
        resource, up = _RADIO[place], place == Place.EDGE
        home = self._home(name)
        codec_name = self.schedule.codecs.get(name, "raw")
        codec, raw_bytes = CODECS[codec_name], executor.raw_bytes[name]
        payload = codec.encode(_to_numpy(self.values[name, home]))
        executor.learn(name, codec_name, len(payload))
        release_s = max(self.known_s[name, home] + codec.encode_s(raw_bytes), self.free_s[resource])
        start_s, end_s = executor.calendars[resource].fit(
            release_s, lambda start_s: trace.finish(start_s, len(payload), up)
        )
        if start_s - release_s >= executor.config.frame_period_s:
            self.known_s[name, place] = NEVER  # superseded while waiting for the air: never sent
            return NEVER
        self.spans.append(Span(name, resource, start_s, end_s, len(payload)))
        self.free_s[resource] = end_s
        lost = np.random.default_rng([executor.config.seed, self.frame_id, self.transfers]).random()
        self.transfers += 1
        at_end = trace.at(end_s)
        arrival_s = end_s + 0.5 * at_end.rtt_s + codec.decode_s(raw_bytes)
        if end_s == NEVER or lost < trace.at(start_s).loss:
            arrival_s = NEVER
        else:
            self.values[name, place] = _like(self.values[name, home], codec.decode(payload))
        self.known_s[name, place] = arrival_s
        return arrival_s

    def _home(self, name: str) -> Place:
        maker = self.executor.producer.get(name)
        return Place.CAR if maker is None else self.place[maker]

    # Values

    def compute_locally(self, stages: tuple[StageNode, ...]) -> None:
        """The car's own values of these stages' outputs, reusing what it has already computed without codecs."""
        for stage in stages:
            if not self.untouched.issuperset(stage.outputs):
                self._compute(stage, Place.CAR)

    def _compute(self, stage: StageNode, place: Place) -> None:
        result = self.stage_fns[stage.name](*(self.values[name, place] for name in stage.inputs))
        results = result if isinstance(result, (tuple, list)) else (result,)
        self.values.update({(name, place): value for name, value in zip(stage.outputs, results, strict=True)})
        if place == Place.CAR and self.untouched.issuperset(stage.inputs):
            self.untouched.update(stage.outputs)

    def outputs(self) -> dict[str, Tensor]:
        """Sinks as the car has them; tensors that nothing reads from wherever they were made."""
        found = {name: self.values[name, Place.CAR] for name in self.executor.graph.sinks}
        for name in self.executor.loose_ends:
            for place in (Place.CAR, Place.EDGE):
                if name not in found and (name, place) in self.values:
                    found[name] = self.values[name, place]
        return found

    def timeline(self, ready_s: float | None, used_fallback: bool, spans: list[Span]) -> Timeline:
        ordered = tuple(sorted(spans, key=lambda span: (span.start_s, span.resource, span.stage)))
        sent = {name: sum(span.bytes for span in ordered if span.resource == name) for name in ("uplink", "downlink")}
        return Timeline(
            self.frame_id, self.capture_s, ready_s, ordered, used_fallback, sent["uplink"], sent["downlink"]
        )


def _to_numpy(value: Tensor) -> AnyArray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _like(template: Tensor, array: AnyArray) -> Tensor:
    """The decoded array as the kind of tensor that went into the codec."""
    return torch.from_numpy(array).to(template.device) if isinstance(template, torch.Tensor) else array
