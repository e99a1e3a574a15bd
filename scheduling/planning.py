"""From a `Problem` to the arrays of the solver and back: what every policy stands on.

`Planner` keeps the compiled graphs; `Planner.read(problem)` gives one `Reading` a size of the model, which can search
for the best schedule, evaluate any, and name it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduling.budget import ComputeBudget
from scheduling.compiled import CompiledGraph, Ints
from scheduling.preferences import PolicyConfig
from scheduling.problem import Floats, Problem
from scheduling.search import search
from scheduling.solver import (
    AIR_ROWS,
    BYTES,
    CAR,
    CAR_TO_CLOUD,
    CAR_TO_EDGE,
    CLOUD_TO_EDGE,
    CLOUD_TO_EDGE_SITE,
    DOWN_S,
    EDGE_TO_CAR,
    EDGE_TO_CLOUD,
    LONGEST_S_PER_BYTE,
    LOSS,
    PRICE,
    UP_S,
    WAN_S,
    Situation,
    Weights,
    evaluate,
)
from scheduling.types import ModelVariant, Place, Schedule, StageNode
from scheduling.workspace import Workspace, make_workspace

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """What a schedule is worth on the futures. fits: within memory and power. local: needs no link."""

    objective_s: float
    latency_s: float  # mean
    fallback_share: float  # of frames that the fallback answers
    local: bool
    fits: bool


@dataclass(frozen=True)
class Found:
    """Result of a search. better: something below the limit exists and follows. bound_s: nothing that was not looked
    at has an objective below it (inf: everything was looked at)."""

    better: bool
    choice: Ints
    option: Ints
    objective_s: float
    latency_s: float
    bound_s: float
    nodes: int


@dataclass(frozen=True)
class FallbackRun:
    """The car's own complete run: choice number of its precision, seconds, joules, bytes of parameters."""

    choice: int
    seconds: float
    joules: float
    parameter_bytes: float


class Planner:
    """Compiled graphs for the models and computers that problems keep naming."""

    def __init__(self, config: PolicyConfig) -> None:
        self.config = config
        self.weights = Weights(
            config.mean_weight, config.late_weight, config.tail_weight, config.tail_share, config.per_joule_s,
            config.per_switch_s,
        )  # fmt: skip
        self._compiled: dict[tuple[int, ...], tuple[tuple[object, ...], CompiledModel]] = {}

    def compiled(self, model: ModelVariant, computers: tuple[ComputeBudget, ...]) -> CompiledModel:
        key = (id(model.graph), *(id(budget) for budget in computers))
        kept = self._compiled.get(key)
        if kept is None:
            if len(self._compiled) > 32:
                self._compiled.clear()
            # What the identities stand for is kept alive beside the result, so that they cannot be taken by others.
            kept = (model.graph, computers), CompiledModel(model, computers, self.config)
            self._compiled[key] = kept
        return kept[1]

    def read(self, problem: Problem) -> list[Reading]:
        """One reading a model, in the problem's order."""
        computers = tuple(state.budget for state in problem.computers)
        models = [self.compiled(model, computers) for model in problem.models]
        run = models[problem.fallback].fallback_run(problem)
        shared = _Shared(problem, run, self.config)
        fallback = problem.fallback_model
        return [
            Reading(compiled, shared.situation(compiled, model, model is fallback), self, problem, run)
            for compiled, model in zip(models, problem.models, strict=True)
        ]


class CompiledModel(CompiledGraph):
    """A compiled graph with the prices of precisions."""

    def __init__(self, model: ModelVariant, computers: tuple[ComputeBudget, ...], config: PolicyConfig) -> None:
        super().__init__(model.graph, computers)
        flops = np.array([stage.cost.flops for stage in self.stages])
        flops[self.n_critical :] = 0.0
        share = flops / max(float(flops.sum()), 1.0)
        price = np.array([config.precision_price_s.get(precision, 0.0) for _, precision in self.choices])
        self.stage_price = share[:, None] * price
        self.car_choices = [c for c, (tier, _) in enumerate(self.choices) if tier == Place.CAR]
        self.state_tensors = [(self.number[name], name) for name in self.graph.states if name in self.number]
        self.critical_bytes = self.memory[: self.n_critical].sum(axis=0)
        self._memory_beside: dict[int, Floats] = {}
        self._workspaces: dict[int, Workspace] = {}

    def memory_beside(self, choice: int) -> Floats:
        """`memory` when the critical stages at that choice lie on the car for the fallback anyway."""
        if choice not in self._memory_beside:
            memory = self.memory.copy()
            memory[: self.n_critical, choice] = 0.0
            self._memory_beside[choice] = memory
        return self._memory_beside[choice]

    def workspace(self, futures: int) -> Workspace:
        """The same one every time: nothing is remembered in it, and one search runs at a time."""
        if futures not in self._workspaces:
            self._workspaces[futures] = make_workspace(self.arrays, len(self.computers), futures)
        return self._workspaces[futures]

    def fallback_run(self, problem: Problem) -> FallbackRun:
        """At the precision with which the car is quickest."""
        seconds, joules = self.seconds(problem.computers)
        n = self.n_critical
        total = {c: float(seconds[:n, c].sum()) for c in self.car_choices}
        choice = min(total, key=total.__getitem__)
        return FallbackRun(
            choice, total[choice], float(joules[:n, choice].sum()), float(self.critical_bytes[choice])
        )


class _Shared:
    """What the readings of one problem have in common."""

    def __init__(self, problem: Problem, run: FallbackRun, config: PolicyConfig) -> None:
        self.problem, self.run, self.config = problem, run, config
        self.air = _air(problem)
        self.fallback_at_s = max(0.0, problem.deadline_s - run.seconds - config.margin_s)
        budgets = [state.budget for state in problem.computers]
        self.memory_limit = np.array([budget.memory_bytes for budget in budgets])
        self.memory_limit[CAR] -= run.parameter_bytes
        self.joule_limit = budgets[CAR].power_cap_w * problem.frame_period_s

    def situation(self, compiled: CompiledModel, model: ModelVariant, is_fallback: bool) -> Situation:
        problem, config, run = self.problem, self.config, self.run
        seconds, joules = compiled.seconds(problem.computers)
        home = np.zeros(len(compiled.tensors), np.int64)
        for number, name in compiled.state_tensors:
            home[number] = int(problem.state_home.get(name, Place.CAR))
        options = compiled.option_table.copy()
        size = options[:, BYTES]
        for number, payload in compiled.seen_bytes(problem.payload_bytes):
            size[number] = payload
        options[:, PRICE] += config.per_byte_s * size
        return Situation(
            stage_s=seconds,
            stage_j=joules,
            stage_price=compiled.stage_price,
            # the fallback's weights lie on the car anyway
            memory=compiled.memory_beside(run.choice) if is_fallback else compiled.memory,
            working=compiled.working,
            options=options,
            air=self.air,
            home=home,
            memory_limit=self.memory_limit,
            joule_limit=self.joule_limit,
            deadline_s=problem.deadline_s,
            fallback_start_s=max(self.fallback_at_s, problem.busy.car_s),
            fallback_s=run.seconds,
            fallback_j=run.joules,
            fallback_penalty_s=max(0.0, problem.fallback_model.quality_price_s - model.quality_price_s),
            quality_price_s=model.quality_price_s,
        )


def _air(problem: Problem) -> Floats:
    forecast, busy, waits = problem.forecast, problem.busy, problem.waits
    air = np.zeros((AIR_ROWS, len(forecast)))
    air[:5] = np.array([busy.car_s, busy.edge_s, busy.cloud_s, busy.uplink_s, busy.downlink_s])[:, None]
    slowest_bps = 8.0 / LONGEST_S_PER_BYTE
    for row, bps in ((UP_S, forecast.up_bps), (DOWN_S, forecast.down_bps), (WAN_S, forecast.wan_bps)):
        np.divide(8.0, np.maximum(bps, slowest_bps), out=air[row])
    np.multiply(0.5, forecast.rtt_s, out=air[EDGE_TO_CAR])
    np.multiply(0.5, forecast.wan_rtt_s, out=air[CLOUD_TO_EDGE_SITE])
    air[CAR_TO_EDGE] = air[EDGE_TO_CAR]
    air[EDGE_TO_CLOUD] = air[CLOUD_TO_EDGE] = air[CLOUD_TO_EDGE_SITE]
    if waits is not None:
        air[CAR_TO_EDGE] += waits.edge_s
        air[CLOUD_TO_EDGE] += waits.edge_s
        air[EDGE_TO_CLOUD] += waits.cloud_s
    np.add(air[EDGE_TO_CAR], air[EDGE_TO_CLOUD], out=air[CAR_TO_CLOUD])
    air[LOSS] = forecast.loss
    return air


class Reading:
    """One model in one situation."""

    def __init__(
        self, compiled: CompiledModel, situation: Situation, planner: Planner, problem: Problem, run: FallbackRun
    ) -> None:
        self.compiled, self.situation, self.planner, self.problem = compiled, situation, planner, problem
        self.fallback = run
        self.model = next(m for m in problem.models if m.graph is compiled.graph)

    @property
    def is_fallback(self) -> bool:
        return self.model is self.problem.fallback_model

    def evaluate(self, choice: Ints, option: Ints) -> Estimate:
        """choice: one a position (auxiliary ones are set); option: one a tensor (-1 where it stays)."""
        tracks = self.compiled.workspace(self.situation.air.shape[1]).tracks
        return Estimate(*evaluate(self.compiled.arrays, self.situation, self.planner.weights, choice, option, tracks))

    def uniform(self, tier: Place, choice: int | None = None) -> Ints:
        """Everything in one tier, at its default precision or at a given choice."""
        c = int(self.compiled.arrays.default_choice[tier]) if choice is None else choice
        return np.full(len(self.compiled.stages), c, np.int64)

    def no_options(self) -> Ints:
        return np.full(len(self.compiled.tensors), -1, np.int64)

    def allow(
        self,
        stage: Callable[[StageNode, Place, str], bool] | None = None,
        codec: Callable[[str, str], bool] | None = None,
    ) -> Reading:
        """The same problem with fewer candidates: stage(node, tier, precision), codec(tensor, codec name) say which."""
        compiled, s = self.compiled, self.situation
        memory, options = s.memory.copy(), s.options.copy()
        if stage is not None:
            for i, node in enumerate(compiled.stages[: compiled.n_critical]):
                for c, (tier, precision) in enumerate(compiled.choices):
                    if not stage(node, tier, precision):
                        memory[i, c] = math.inf  # fits nowhere
        if codec is not None:
            for o, (t, name) in enumerate(compiled.options):
                if not codec(compiled.tensors[t], name):
                    options[o, PRICE] = math.inf
        limited = s._replace(memory=memory, options=options)
        return Reading(compiled, limited, self.planner, self.problem, self.fallback)

    def search(self, limit: float = math.inf, previous: tuple[Ints, Ints] | None = None, *, last_resort: bool = True) -> Found:
        """The best schedule within memory and power whose objective is below `limit`. last_resort: the fallback model
        alone on the car counts as one whatever memory and power say."""
        compiled = self.compiled
        stages, tensors = len(compiled.stages), len(compiled.tensors)
        before = previous or (np.full(stages, -1, np.int64), np.full(tensors, -1, np.int64))
        choice, option = np.full(stages, -1, np.int64), np.full(tensors, -1, np.int64)
        value, mean_s, unexplored, nodes = search(
            compiled.arrays, self.situation, self.planner.weights,
            self.fallback.choice if last_resort and self.is_fallback else -1, *before, choice, option, limit,
            self.planner.config.max_nodes, compiled.workspace(self.situation.air.shape[1]),
        )  # fmt: skip
        return Found(bool(choice[0] >= 0), choice, option, value, mean_s, unexplored, nodes)

    def schedule(
        self, choice: Ints, option: Ints, latency_s: float, policy: str, *, fallback_at_s: float | None | str = "auto"
    ) -> Schedule:
        """In names. fallback_at_s "auto": just in time for the deadline, None for a local schedule."""
        compiled, problem = self.compiled, self.problem
        if fallback_at_s == "auto":
            local = all(compiled.choices[c][0] == Place.CAR for c in choice[: compiled.n_critical].tolist())
            local = local and not any(problem.state_home.get(name) for _, name in compiled.state_tensors)
            in_time = max(0.0, problem.deadline_s - self.fallback.seconds - self.planner.config.margin_s)
            fallback_at_s = None if local else in_time
        chosen = [compiled.choices[c] for c in choice.tolist()]
        ordered = [chosen[i] for i in compiled.graph_positions]
        return Schedule(
            place=tuple(place for place, _ in ordered),
            codecs={compiled.tensors[t]: compiled.options[o][1] for t, o in enumerate(option.tolist()) if o >= 0},
            fallback_at_s=fallback_at_s,  # type: ignore[arg-type]
            expected_latency_s=float(latency_s),
            policy=policy,
            model=self.model.name,
            precisions=tuple(precision for _, precision in ordered),
        )

    def numbers(self, schedule: Schedule) -> tuple[Ints, Ints] | None:
        """The inverse of `schedule`; None when it is another model's or these computers cannot run it."""
        compiled = self.compiled
        if schedule.model not in ("", self.model.name) or len(schedule.place) != len(compiled.stages):
            return None
        precisions = schedule.precisions or tuple(compiled.computers[p].precision for p in schedule.place)
        choice = np.empty(len(compiled.stages), np.int64)
        for i, pair in zip(compiled.graph_positions, zip(schedule.place, precisions, strict=True), strict=True):
            number = compiled.choice_number.get(pair)
            if number is None:
                return None
            choice[i] = number
        option = self.no_options()
        for tensor, codec in schedule.codecs.items():
            number = compiled.option_number.get((tensor, codec))
            if number is not None:
                option[compiled.number[tensor]] = number
        return choice, option
