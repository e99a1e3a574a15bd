"""A car drives with a policy, frame by frame in virtual time, and what came of every frame is written down.

What does not depend on the policy is drawn once (`record_drive`): deadlines, the link's truth and forecasts, the lines
at the servers. So policies that are given the same `Drive`, computers and seed are compared in pairs: they meet the
same radio, the same other cars and tenants, and lose the same frames.

*Frames without a valid trajectory.* The age of what the car drives on is the time since the capture of the newest
frame whose answer is ready. A frame counts as one without a valid trajectory when neither it nor any newer one is
answered within `VALID_S` after its capture: then the age exceeds `VALID_S` at that moment. The last frames, for which a
newer one could still come in time, are not judged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduling.budget import ComputeBudget
from scheduling.codecs import CODECS
from scheduling.compiled import critical_stages
from scheduling.execution import ExecutorConfig, VirtualExecutor
from scheduling.link.base import UNAVAILABLE, LinkForecast, LinkModel, LinkTrace
from scheduling.policies.base import Policy
from scheduling.preferences import PolicyConfig
from scheduling.problem import Floats, Problem, Waits
from scheduling.queue import SharedQueue
from scheduling.types import LinkGeometry, ModelVariant, Place, Schedule, Timeline

Bools = npt.NDArray[np.bool_]
VALID_S = 0.5  # how old a trajectory may become: 5 m at 10 m/s; a preference


@dataclass(frozen=True)
class Moment:
    """A frame has been captured. forecast, waits: what may be believed; true_*: the one future that comes true."""

    time_s: float
    speed_mps: float
    deadline_s: float
    trace: LinkTrace
    forecast: LinkForecast
    waits: Waits
    true_forecast: LinkForecast
    true_waits: Waits


@dataclass(frozen=True)
class Drive:
    moments: tuple[Moment, ...]
    queues: Mapping[Place, SharedQueue]
    config: ExecutorConfig


@dataclass(frozen=True)
class Frames:
    """What came of the frames, arrays (frames,). latency_s is inf and quality_price_s nan where no answer came."""

    capture_s: Floats
    deadline_s: Floats
    latency_s: Floats
    is_fallback: Bools  # the car's own run answered
    is_remote: Bools  # some critical stage was to run off the car
    bytes_up: Floats
    bytes_down: Floats
    joules: Floats  # on the car: accelerator and radio
    quality_price_s: Floats  # of model, precisions and codecs behind the answer
    decide_s: Floats  # wall-clock time of the decision
    gap_s: Floats  # how far above the optimum the decision can be (0 for policies that do not say)
    schedules: tuple[Schedule, ...] = ()  # when asked for, one a frame
    timelines: tuple[Timeline, ...] = ()

    @property
    def is_late(self) -> Bools:
        """After the deadline or never."""
        return self.latency_s > self.deadline_s

    def is_without_trajectory(self, valid_s: float = VALID_S) -> Bools:
        """(judged frames,): see the module."""
        ready_s = self.capture_s + self.latency_s
        newest_first = np.minimum.accumulate(ready_s[::-1])[::-1]  # when this frame's or a newer one's answer is ready
        judged = self.capture_s + valid_s <= self.capture_s[-1] + 1e-9
        return newest_first[judged] > self.capture_s[judged] + valid_s


def record_drive(
    link: LinkModel,
    geometry: Iterable[LinkGeometry],
    deadline_s: Callable[[float], float],
    frames: int,
    *,
    queues: Mapping[Place, SharedQueue] | None = None,
    futures: int = 64,
    config: ExecutorConfig | None = None,
    seed: int = 0,
) -> Drive:
    """geometry: one a frame. deadline_s: from the speed in m/s. futures: of every forecast."""
    config, queues = config or ExecutorConfig(), dict(queues or {})
    period_s, rng = config.frame_period_s, np.random.default_rng([seed, 0xD81E])
    moments = []
    for i, place in enumerate(islice(geometry, frames)):
        now_s = i * period_s
        link.step(place, now_s, period_s)
        trace, arrival_s = link.truth(), now_s + config.typical_way_s
        believed = {tier: queue.forecast(futures, now_s, rng, config.typical_way_s) for tier, queue in queues.items()}
        true = {tier: np.array([queue.backlog_at(arrival_s)]) for tier, queue in queues.items()}
        moments.append(
            Moment(
                time_s=now_s,
                speed_mps=place.speed_mps,
                deadline_s=deadline_s(place.speed_mps),
                trace=trace,
                forecast=link.forecast(futures),
                waits=_waits(believed, futures),
                true_forecast=true_forecast(trace, now_s, period_s),
                true_waits=_waits(true, 1),
            )
        )
    if len(moments) < frames:
        raise ValueError(f"a drive of {frames} frames needs as many geometries, received {len(moments)}")
    return Drive(tuple(moments), queues, config)


def true_forecast(trace: LinkTrace, now_s: float, life_s: float) -> LinkForecast:
    """The truth over the life of a frame as one future: mean rates, and the delays of its first moment with a link."""
    times_s = [now_s, *(start_s for start_s in trace.starts_s if now_s < start_s < now_s + life_s)]
    state = next((state for state in map(trace.at, times_s) if state.available and state.up_bps > 0.0), UNAVAILABLE)
    up, down = (8.0 * trace.bytes_between(now_s, now_s + life_s, is_up) / life_s for is_up in (True, False))
    loss = state.loss if up > 0.0 else 1.0
    one = (np.array([value]) for value in (up, down, state.rtt_s, loss, state.wan_rtt_s, state.wan_bps))
    up_bps, down_bps, rtt_s, losses, wan_rtt_s, wan_bps = one
    return LinkForecast(up_bps, down_bps, rtt_s, losses, state.rsu, wan_rtt_s=wan_rtt_s, wan_bps=wan_bps)


def simulate(
    policy: Policy,
    models: tuple[ModelVariant, ...],
    computers: tuple[ComputeBudget, ...],
    drive: Drive,
    *,
    fallback: int = -1,
    prices: PolicyConfig | None = None,
    keep: bool = False,
) -> Frames:
    """Cost-only execution of the whole drive. A policy that says `sees_truth` is given the truth for a forecast.
    prices: by which answers are judged, whatever the policy believes. keep: schedules and timelines too."""
    executor = VirtualExecutor(models, computers, drive.config, fallback=fallback, queues=drive.queues)
    quality = _Quality(models, computers, models[fallback], prices or PolicyConfig())
    sees_truth = policy.sees_truth
    rows, schedules, timelines = [], [], []
    previous: Schedule | None = None
    for number, moment in enumerate(drive.moments):
        now_s = moment.time_s
        problem = Problem(
            models=models,
            computers=executor.states(now_s),
            forecast=moment.true_forecast if sees_truth else moment.forecast,
            deadline_s=moment.deadline_s,
            fallback=fallback,
            previous=previous,
            payload_bytes=executor.payload_bytes,
            busy=executor.busy(now_s),
            waits=moment.true_waits if sees_truth else moment.waits,
            state_home=executor.state_home(now_s),
            frame_period_s=drive.config.frame_period_s,
        )
        start_s = time.perf_counter()
        schedule = previous = policy.decide(problem)
        decide_s = time.perf_counter() - start_s
        _, timeline = executor.run(schedule, None, {}, moment.trace, number, now_s)
        rows.append((
            now_s, moment.deadline_s, math.inf if timeline.latency_s is None else timeline.latency_s,
            timeline.used_fallback, quality.is_remote(schedule), timeline.bytes_up, timeline.bytes_down,
            timeline.car_j, quality.price_s(schedule, timeline), decide_s, getattr(policy, "last_gap_s", 0.0),
        ))  # fmt: skip
        if keep:
            schedules.append(schedule)
            timelines.append(timeline)
    names = [field.name for field in fields(Frames)][: len(rows[0])]
    columns: dict[str, Any] = dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))
    return Frames(**columns, schedules=tuple(schedules), timelines=tuple(timelines))


class _Quality:
    """What answers are worth less than those of the best model at full precision, uncompressed: a price in seconds."""

    def __init__(
        self, models: Iterable[ModelVariant], computers: tuple[ComputeBudget, ...], own: ModelVariant, c: PolicyConfig
    ) -> None:
        self.models, self.computers, self.price_of = {model.name: model for model in models}, computers, c
        self.critical = {name: critical_stages(model.graph) for name, model in self.models.items()}
        self.flops = {
            name: sum(stage.cost.flops for stage in model.graph.stages if stage.name in self.critical[name])
            for name, model in self.models.items()
        }
        car = computers[Place.CAR]
        seconds = {
            precision: sum(
                car.alone_seconds(s.cost, precision) for s in own.graph.stages if s.name in self.critical[own.name]
            )
            for precision in car.precisions
        }
        precision = min(seconds, key=seconds.__getitem__)  # as the executor's fallback
        self.own_s = own.quality_price_s + c.precision_price_s.get(precision, 0.0)

    def model(self, schedule: Schedule) -> ModelVariant:
        return self.models[schedule.model] if schedule.model else next(iter(self.models.values()))

    def is_remote(self, schedule: Schedule) -> bool:
        model = self.model(schedule)
        names = self.critical[model.name]
        pairs = zip(model.graph.stages, schedule.place, strict=True)
        return any(place != Place.CAR for stage, place in pairs if stage.name in names)

    def price_s(self, schedule: Schedule, timeline: Timeline) -> float:
        if timeline.ready_s is None:
            return math.nan
        if timeline.used_fallback:
            return self.own_s
        model = self.model(schedule)
        names, total = self.critical[model.name], max(self.flops[model.name], 1.0)
        precisions = schedule.precisions or [self.computers[place].precision for place in schedule.place]
        price = model.quality_price_s + sum(CODECS[codec].quality_price_s for codec in schedule.codecs.values())
        for stage, precision in zip(model.graph.stages, precisions, strict=True):
            if stage.name in names:
                price += self.price_of.precision_price_s.get(precision, 0.0) * stage.cost.flops / total
        return price


def _waits(by_tier: Mapping[Place, Floats], futures: int) -> Waits:
    edge, cloud = (by_tier.get(tier, np.zeros(futures)) for tier in (Place.EDGE, Place.CLOUD))
    return Waits(edge, cloud)
