"""`VirtualExecutor.run`: everything that happens to one frame. The rules are in `scheduling.execution`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scheduling.budget import BudgetState, ComputeBudget
from scheduling.calendar import Calendar
from scheduling.execution.cargo import Tensor
from scheduling.execution.flight import CAR, SERIAL, Table, World
from scheduling.execution.frame import Frame, StageFunctions
from scheduling.execution.memory import Memory
from scheduling.execution.plan import Plan
from scheduling.link.base import LinkTrace
from scheduling.problem import Busy, PayloadBytes, Waits
from scheduling.queue import SharedQueue
from scheduling.thermal import Thermal
from scheduling.types import LinkState, ModelVariant, Place, Schedule, Timeline

_KEPT = 4096  # schedules whose tables are kept


class Heater(Protocol):
    """Turns energy into heat, heat into a clock: see `scheduling.thermal.Thermal`."""

    def advance(self, energy_j: float, dt_s: float) -> float: ...


@dataclass(frozen=True)
class ExecutorConfig:
    frame_period_s: float = 0.1  # between two frames with images
    payload_smoothing: float = 0.2  # weight of the newest payload in the running mean
    # Of a 5G modem while it sends or receives, beyond what it draws when idle. Assumption: 23 dBm (0.2 W) radiated
    # by a power amplifier of some 10 % efficiency at full backoff, plus baseband.
    radio_w: float = 2.5
    # Cost-only mode: standard deviation of the logarithm of a payload around its nominal size, for codecs whose rate
    # depends on the picture. Assumption: "a few percent" between neighbouring scenes.
    payload_jitter: float = 0.03
    typical_way_s: float = 0.03  # from capture to a server: half a round trip and an upload, for forecasts of its line
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frame_period_s <= 0 or not 0 < self.payload_smoothing <= 1:
            raise ValueError(f"frame_period_s > 0 and 0 < payload_smoothing <= 1 are needed, received {self}")
        if self.radio_w < 0 or self.payload_jitter < 0:
            raise ValueError(f"radio_w and payload_jitter must not be negative, received {self}")


class VirtualExecutor:
    """Frames of one car, one after the other. Deterministic given the seed; no host clock is read."""

    def __init__(
        self,
        models: tuple[ModelVariant, ...],
        computers: tuple[ComputeBudget, ...],
        config: ExecutorConfig | None = None,
        *,
        fallback: int = -1,
        queues: Mapping[Place, SharedQueue] | None = None,
        thermal: Heater | None = None,
        payloads: PayloadBytes | None = None,
    ) -> None:
        """models, computers, fallback: as in `Problem`. queues: other cars' jobs at edge and cloud. thermal: the car's
        (left out: the one its budget describes, if any). payloads: what tensors weigh in cost-only mode, where known
        better than by a codec's nominal ratio."""
        if not models or not -len(models) <= fallback < len(models):
            raise ValueError(f"fallback must name one of {len(models)} models, received {fallback}")
        if not 2 <= len(computers) <= len(Place):
            raise ValueError(f"computers of the car, the edge and perhaps the cloud, received {len(computers)}")
        if Place.CAR in (queues or {}):
            raise ValueError("a queue of other cars' jobs stands at the edge or in the cloud, received one for the car")
        self.models, self.computers, self.config = models, computers, config or ExecutorConfig()
        self.queues = dict(queues or {})
        self.payloads = payloads or {}
        self.payload_bytes: dict[str, dict[str, float]] = {}
        self.weighed: dict[str, dict[str, float]] = {}  # payloads of the last frame: tensor -> codec -> bytes
        self.clock = 1.0  # of the car
        self._plans = {model.name: Plan(model) for model in models}
        self.fallback_plan = self._plans[models[fallback].name]
        self._keys = _payload_keys(tuple(self._plans.values()))
        car_heat = computers[CAR].thermal
        self._thermal = thermal or (None if car_heat is None else Thermal(car_heat))
        self._heat_j = self._worked_s = 0.0  # since the last advance
        self._now_s: float | None = None
        self.frames = 0
        self.memory = Memory()
        self.calendars = tuple(Calendar() for _ in range(SERIAL))
        self.world = World(
            self.calendars,
            tuple(_slowdown(budget) for budget in computers),
            tuple(self.queues[p].backlog_at if p in self.queues else _no_line for p in list(Place)[: len(computers)]),
            self.learn,
        )
        self._tables: dict[tuple[str, int, str, float], Table] = {}
        self._stage_tables: dict[tuple[str, tuple[int, ...], tuple[str, ...], float], list[Table]] = {}
        self._fallback_table: tuple[float, Table] | None = None  # at a clock

    # What a policy may know

    def busy(self, now_s: float) -> Busy:
        """How long each resource still serves our earlier frames; other cars' jobs are in `waits`."""
        car, edge, cloud, uplink, downlink = (calendar.free_at(now_s) - now_s for calendar in self.calendars)
        return Busy(car, uplink, edge, downlink, cloud)

    def waits(self, futures: int, now_s: float, rng: np.random.Generator) -> Waits:
        """Forecast of the lines at edge and cloud when our data get there, from what the car was last told."""
        edge_s, cloud_s = (
            np.zeros(futures) if queue is None else queue.forecast(futures, now_s, rng, self.config.typical_way_s)
            for queue in (self.queues.get(Place.EDGE), self.queues.get(Place.CLOUD))
        )
        return Waits(edge_s, cloud_s)

    def states(self, now_s: float) -> tuple[BudgetState, ...]:
        """The computers at that moment, the car's as warm as it is."""
        self._warm_up_to(now_s)
        return tuple(
            budget.state(now_s, self.clock if tier == CAR else 1.0) for tier, budget in enumerate(self.computers)
        )

    def car_state(self, now_s: float) -> BudgetState:
        return self.states(now_s)[CAR]

    def state_home(self, now_s: float) -> dict[str, Place]:
        """Where each recurrent tensor lies."""
        return self.memory.homes((state for model in self.models for state in model.graph.states), now_s)

    def learn(self, plan: Plan, tensor: int, codec: str, payload: int) -> None:
        """Take a payload into the running mean that policies plan with."""
        size, name, key = float(payload), plan.tensors[tensor], self._keys[plan.model.name][tensor]
        weighed, known = self.weighed.get(name), self.payload_bytes.get(key)
        if weighed is None:
            weighed = self.weighed[name] = {}
        if known is None:
            known = self.payload_bytes[key] = {}
        weighed[codec] = size
        before = known.get(codec)
        known[codec] = size if before is None else before + self.config.payload_smoothing * (payload - before)

    # What happens

    def run(
        self,
        schedule: Schedule,
        stage_fns: StageFunctions | None,
        sources: Mapping[str, Tensor],
        link_truth: LinkTrace | LinkState,
        frame_id: int,
        now_s: float,
    ) -> tuple[dict[str, Tensor], Timeline]:
        """Everything that happens to the frame captured at now_s. Frames must come in order of time.

        stage_fns None: cost-only mode, in which sources are not looked at and no outputs returned. Otherwise returns
        the sinks, and tensors that no stage reads (perception for logs and pictures) where they were made; nothing
        for a frame without an answer; and the timeline. A state's source is what the first frame starts from.
        """
        trace = link_truth if isinstance(link_truth, LinkTrace) else LinkTrace.constant(link_truth)
        self._warm_up_to(now_s)
        self.frames += 1
        self.weighed = {}
        for calendar in self.calendars:
            calendar.forget_before(now_s)
        frame = Frame(self, schedule, stage_fns, sources, trace, frame_id, now_s)
        if trace.answer_delay_s is not None:
            frame.answer_alone(now_s + trace.answer_delay_s)
        elif frame.is_local:
            frame.run_locally()
        else:
            frame.race(schedule.fallback_at_s)
        for _, resource, start_s, end_s, _, joules in frame.pieces:
            if resource < SERIAL:
                self.calendars[resource].add(start_s, end_s)
            self._heat_j += joules
            self._worked_s += end_s - start_s if resource == CAR else 0.0
        return frame.outputs, frame.timeline()

    def plan(self, name: str) -> Plan:
        plan = self._plans.get(name) if name or len(self._plans) > 1 else next(iter(self._plans.values()))
        if plan is None:
            raise ValueError(f"a schedule names one of the models {', '.join(self._plans)}, received {name!r}")
        return plan

    def table(self, plan: Plan, tier: int, precision: str) -> Table:
        clock = self.clock if tier == CAR else 1.0
        key = (plan.model.name, tier, precision, clock)
        table = self._tables.get(key)
        if table is None:
            budget, costs = self.computers[tier], [stage.cost for stage in plan.stages]
            table = self._tables[key] = Table(
                tuple(budget.alone_seconds(cost, precision, clock) for cost in costs),
                tuple(budget.joules(cost, precision, clock) for cost in costs),
            )
        return table

    def stage_tables(self, plan: Plan, place: tuple[int, ...], precisions: tuple[str, ...]) -> list[Table]:
        """By stage. precisions: of critical stages, (): every computer's default."""
        key = (plan.model.name, place, precisions, self.clock)
        tables = self._stage_tables.get(key)
        if tables is None:
            if len(self._stage_tables) > _KEPT:
                self._stage_tables.clear()
            default = [budget.precision for budget in self.computers]
            chosen = list(precisions) or [default[tier] for tier in place]
            for i in plan.auxiliary:
                chosen[i] = default[place[i]]
            tables = self._stage_tables[key] = [self.table(plan, *where) for where in zip(place, chosen, strict=True)]
        return tables

    def fallback_table(self) -> Table:
        """At the precision with which the car is quickest."""
        if self._fallback_table is None or self._fallback_table[0] != self.clock:
            self._fallback_table = self.clock, self._find_fallback_table()
        return self._fallback_table[1]

    def _find_fallback_table(self) -> Table:
        tables = [self.table(self.fallback_plan, CAR, precision) for precision in self.computers[CAR].precisions]
        return min(tables, key=lambda table: sum(table.seconds[i] for i in self.fallback_plan.critical))

    def _warm_up_to(self, now_s: float) -> None:
        """What the car has done since the last time becomes heat, what it idled as well."""
        if self._now_s is not None and now_s < self._now_s:
            raise ValueError(f"time runs forwards: received {now_s} s after {self._now_s} s")
        if self._thermal is not None and self._now_s is not None and now_s > self._now_s:
            dt_s = now_s - self._now_s
            idle_j = self.computers[CAR].idle_w * max(0.0, dt_s - self._worked_s)
            self.clock = self._thermal.advance(self._heat_j + idle_j, dt_s)
            self._heat_j = self._worked_s = 0.0
        self._now_s = now_s


def _no_line(arrival_s: float) -> float:
    return 0.0


def _slowdown(budget: ComputeBudget) -> Callable[[float], float]:
    """Factor by which other tenants stretch a job that starts then."""
    if budget.tenants.awake_share == 0.0:
        return lambda start_s: 1.0
    return lambda start_s: 1.0 / (1.0 - budget.share_other_tenants(start_s))


def _payload_keys(plans: tuple[Plan, ...]) -> dict[str, tuple[str, ...]]:
    """Under which name each model's tensors are learned: their own, unless another model's of that name has another
    size; then "model/tensor"."""
    sizes: dict[str, set[int]] = {}
    for plan in plans:
        for name, size in zip(plan.tensors, plan.raw_bytes, strict=True):
            sizes.setdefault(name, set()).add(size)
    return {
        plan.model.name: tuple(n if len(sizes[n]) == 1 else f"{plan.model.name}/{n}" for n in plan.tensors)
        for plan in plans
    }
