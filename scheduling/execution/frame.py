"""One frame from capture to answer: the main run, the car's own, and the race between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scheduling.execution.cargo import Cargo, Sizes, StageFunction, Tensor, Values
from scheduling.execution.flight import (
    CAR,
    DOWNLINK,
    NEVER,
    RESOURCES,
    SERIAL,
    UPLINK,
    Flight,
    Piece,
    Superseded,
    Table,
    cut_all,
    new,
)  # fmt: skip
from scheduling.execution.memory import Version
from scheduling.execution.plan import Plan
from scheduling.link.base import LinkTrace
from scheduling.types import Place, Schedule, Span, Timeline

if TYPE_CHECKING:
    from scheduling.execution.executor import VirtualExecutor

# stage name -> function; with several models: model name -> such a mapping
StageFunctions = Mapping[str, StageFunction] | Mapping[str, Mapping[str, StageFunction]]


_BITS = 2**64 - 1


class Frame:
    """A frame while it is settled. It leaves pieces of work, an answer, outputs and the memory behind."""

    def __init__(
        self,
        executor: VirtualExecutor,
        schedule: Schedule,
        stage_fns: StageFunctions | None,
        sources: Mapping[str, Tensor],
        trace: LinkTrace,
        frame_id: int,
        now_s: float,
    ) -> None:
        self.executor, self.schedule, self.stage_fns, self.sources = executor, schedule, stage_fns, sources
        self.trace, self.frame_id, self.capture_s = trace, frame_id, now_s
        self.plan = executor.plan(schedule.model)
        self.place = self.plan.places(schedule.place, len(executor.computers))
        self.pieces: list[Piece] = []
        self.outputs: dict[str, Tensor] = {}
        self.ready_s: float | None = None
        self.used_fallback = False
        self._chance: list[float] | None = None
        memory, names = executor.memory, self.plan.tensors
        self.states = {t: version for t in self.plan.states if (version := memory.newest(names[t], now_s)) is not None}
        on_car = all(self.place[i] == CAR for i in self.plan.critical)
        needs_no_link = on_car and all(version.home == CAR for version in self.states.values())
        alone = schedule.fallback_at_s is None
        self.is_local = on_car and (alone or (needs_no_link and schedule.decided_at == Place.CAR))
        if self.is_local and not needs_no_link:  # nobody would answer if the memory did not come: it makes do
            self.states = self._own_states(self.plan)

    # The three ways to an answer

    def answer_alone(self, ready_s: float) -> None:
        """The answer is simply there then."""
        self.ready_s = ready_s
        values = self._compute_alone(self.plan, None)
        for state, output in self.plan.states.items():
            self._keep(self.plan, state, output, ready_s, Place.CAR, values)

    def run_locally(self) -> None:
        flight, values = self._flight()
        if flight is not None:
            self.ready_s = self._finish(flight, values)

    def race(self, fallback_at_s: float | None) -> None:
        """The main run against the car's own, whichever answers first."""
        flight, values = self._flight()
        if fallback_at_s is not None:
            release_s = self.capture_s + fallback_at_s
            plan, table = self.executor.fallback_plan, self.executor.fallback_table()
            own = self._fit_on_car(plan.critical, table, release_s)
            start_s, end_s = own[0][0], own[-1][1]
            if self.schedule.fifo or start_s - release_s < self.executor.config.frame_period_s:
                if flight is not None:
                    flight.limit_s, flight.car_limit_s = end_s, start_s
                    self.ready_s = self._finish(flight, values)
                if self.ready_s is None:
                    self._fall_back(own, end_s, values)
                elif start_s < self.ready_s:
                    pieces = self._pieces_on_car(plan, plan.critical, table, own)
                    self.pieces += cut_all(pieces, self.ready_s, self.trace)
                return
        if flight is not None:
            self.ready_s = self._finish(flight, values)

    def _finish(self, flight: Flight, values: Values | None) -> float | None:
        """The main run up to its limit; the answer's time if there is one."""
        try:
            ready_s = flight.run_critical()
        except Superseded:
            ready_s = NEVER
        if ready_s < NEVER:
            flight.run_auxiliary(ready_s)
        for state, output in self.plan.states.items():
            made_s = flight.made_s(output)
            if made_s < NEVER:
                self._keep(self.plan, state, output, made_s, Place(flight.home[output]), values)
        self.pieces += flight.pieces
        if ready_s == NEVER:
            return None
        if values is not None:
            self.outputs = values.outputs()
        return ready_s

    def _fall_back(self, own: Sequence[tuple[float, float]], end_s: float, main: Values | None) -> None:
        plan, executor = self.executor.fallback_plan, self.executor
        self.ready_s, self.used_fallback = end_s, True
        self.pieces = cut_all(self.pieces, end_s, self.trace)
        self.pieces += self._pieces_on_car(plan, plan.critical, executor.fallback_table(), own)
        default = executor.table(plan, CAR, executor.computers[CAR].precision)
        after = self._fit_on_car(plan.auxiliary, default, end_s)
        self.pieces += self._pieces_on_car(plan, plan.auxiliary, default, after)
        values = self._compute_alone(plan, main)
        ends_s = dict(zip(plan.critical, (stage_end_s for _, stage_end_s in own), strict=True))
        for state, output in plan.states.items():
            self._keep(plan, state, output, ends_s.get(plan.maker[output], end_s), Place.CAR, values)

    # Their parts

    def _flight(self) -> tuple[Flight | None, Values | None]:
        """The main run, not yet under way; None if the decision never reaches the car."""
        executor, plan, schedule, config = self.executor, self.plan, self.schedule, self.executor.config
        begin_s = self._decided_s()
        if begin_s == NEVER:
            return None, None
        values, cargo = None, self._sizes()
        if self.stage_fns is not None:
            states = {t: (int(version.home), version.value) for t, version in self.states.items()}
            cargo = values = Values(plan, self._functions(plan), self.sources, states)
        flight = Flight(
            executor.world, plan, self.place, self._stage_tables(), {t: int(v.home) for t, v in self.states.items()},
            schedule.codecs, self.trace, cargo, begin_s, [begin_s] * SERIAL,
            NEVER if schedule.fifo else config.frame_period_s, config.frame_period_s, self._draw,
        )  # fmt: skip
        if schedule.decided_at != Place.CAR:
            flight.lost = False  # the decision has come through, and loss is one draw a frame
        return flight, values

    def _decided_s(self) -> float:
        """When the decision is on the car."""
        where = self.schedule.decided_at
        if where == Place.CAR:
            return self.capture_s
        state = self.trace.at(self.capture_s)
        if not state.available or self._draw() < state.loss:
            return NEVER
        return self.capture_s + state.rtt_s + (state.wan_rtt_s if where == Place.CLOUD else 0.0)

    def _stage_tables(self) -> list[Table]:
        executor, plan, precisions = self.executor, self.plan, self.schedule.precisions
        if precisions and len(precisions) != len(plan.stages):
            raise ValueError(f"no or {len(plan.stages)} precisions are needed, received {precisions}")
        return executor.stage_tables(plan, self.place, precisions)

    def _fit_on_car(self, stages: Sequence[int], table: Table, release_s: float) -> list[tuple[float, float]]:
        """(start, end) of a run of these stages one after the other on the car, around what is reserved there."""
        calendar, slowdown = self.executor.calendars[CAR], self.executor.world.slowdown[CAR]
        times, stage_s, is_free = [], table.seconds, calendar.is_free_from(release_s)
        for i in stages:
            if is_free:
                start_s, end_s = release_s, release_s + stage_s[i] * slowdown(release_s)
            else:
                start_s, end_s = calendar.fit(release_s, lambda at_s, s=stage_s[i]: at_s + s * slowdown(at_s))  # type: ignore[misc]
            times.append((start_s, end_s))
            release_s = end_s
        return times

    def _pieces_on_car(
        self, plan: Plan, stages: Sequence[int], table: Table, times: Sequence[tuple[float, float]]
    ) -> list[Piece]:
        """times: of `_fit_on_car`."""
        return [
            Piece(plan.stages[i].name, CAR, start_s, end_s, 0, table.joules[i])
            for i, (start_s, end_s) in zip(stages, times, strict=True)
        ]

    def _compute_alone(self, plan: Plan, main: Values | None) -> Values | None:
        """Real values of the car's own complete run, which become the outputs."""
        if self.stage_fns is None:
            return None
        states = {t: (CAR, version.value) for t, version in self._own_states(plan).items()}
        values = Values(plan, self._functions(plan), self.sources, states)
        if main is not None:
            values.reuse(main)
        values.compute_alone((*plan.critical, *plan.auxiliary))
        self.outputs = values.outputs()
        return values

    def _own_states(self, plan: Plan) -> dict[int, Version]:
        memory, names = self.executor.memory, plan.tensors
        found = ((t, memory.own(names[t], self.capture_s)) for t in plan.states)
        return {t: version for t, version in found if version is not None}

    def _keep(self, plan: Plan, state: int, output: int, made_s: float, home: Place, values: Values | None) -> None:
        value = None if values is None else values.values[output, home]
        self.executor.memory.keep(plan.tensors[state], Version(self.executor.frames, made_s, home, value))

    def _functions(self, plan: Plan) -> Mapping[str, StageFunction]:
        assert self.stage_fns is not None
        own: Any = self.stage_fns.get(plan.model.name)
        return own if isinstance(own, Mapping) else self.stage_fns  # type: ignore[return-value]

    def _sizes(self) -> Cargo:
        executor = self.executor
        return Sizes(self.plan, executor.payloads, executor.config.payload_jitter, self._normals)

    def _draw(self) -> float:
        """Uniform in [0, 1): the same number whatever is asked first and how often."""
        return (_mixed(self.executor.config.seed, self.frame_id) >> 11) / 2.0**53

    def _normals(self) -> list[float]:
        """Standard normal, by tensor."""
        if self._chance is None:
            rng = np.random.default_rng([self.executor.config.seed, self.frame_id])
            self._chance = rng.standard_normal(len(self.plan.tensors)).tolist()
        return self._chance

    def timeline(self) -> Timeline:
        up = down = 0
        joules = on_air_s = 0.0
        spans = []
        for name, resource, start_s, end_s, size, piece_j in sorted(self.pieces, key=_order):
            joules += piece_j
            if resource in (UPLINK, DOWNLINK):
                on_air_s += end_s - start_s
                if resource == UPLINK:
                    up += size
                else:
                    down += size
            spans.append(new(Span, (name, RESOURCES[resource], start_s, end_s, size)))
        joules += self.executor.config.radio_w * on_air_s
        return Timeline(self.frame_id, self.capture_s, self.ready_s, tuple(spans), self.used_fallback, up, down, joules)


def _order(piece: Piece) -> tuple[float, str, str]:
    return piece[2], RESOURCES[piece[1]], piece[0]


def _mixed(seed: int, frame_id: int) -> int:
    """64 bits by splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): a generator made anew for one number
    would cost more than all else that happens to a frame."""
    z = (seed * 0x9E3779B97F4A7C15 + (frame_id + 1) * 0xD1B54A32D192ED03) & _BITS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _BITS
    return z ^ (z >> 31)
