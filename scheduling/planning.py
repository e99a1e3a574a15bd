"""From a `Problem` to the arrays of the solver and back: what every policy stands on.

`Planner` keeps the compiled graphs; `Planner.read(problem)` gives one `Reading` a size of the model, which can search
for the best schedule, evaluate any, and name it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from scheduling.budget import ComputeBudget
from scheduling.compiled import CompiledGraph, Ints
from scheduling.preferences import PolicyConfig
from scheduling.problem import Floats, Problem, Waits
from scheduling.search import search
from scheduling.solver import AIR_ROWS, BYTES, CAR, PRICE, Situation, Weights, evaluate, fill_air
from scheduling.types import ModelVariant, Place, Schedule, StageNode
from scheduling.workspace import Workspace, make_box, make_workspace


class Estimate(NamedTuple):
    """What a schedule is worth on the futures. fits: within memory and power. local: needs no link."""

    objective_s: float
    latency_s: float  # mean
    fallback_share: float  # of frames that the fallback answers
    local: bool
    fits: bool


class Found(NamedTuple):
    """Result of a search. better: something below the limit exists and follows. bound_s: nothing that was not looked
    at has an objective below it (inf: everything was looked at)."""

    better: bool
    choice: Ints
    option: Ints
    objective_s: float
    latency_s: float
    bound_s: float
    nodes: int


class FallbackRun(NamedTuple):
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
        computers = tuple([state.budget for state in problem.computers])
        models = [self.compiled(model, computers) for model in problem.models]
        costs = [compiled.seconds(problem.computers) for compiled in models]
        run = models[problem.fallback].fallback_run(*costs[problem.fallback][:2])
        shared = _Shared(problem, run, self.config)
        return [
            Reading(compiled, model, shared.situation(compiled, model, *cost), self, problem, run)
            for compiled, model, cost in zip(models, problem.models, costs, strict=True)
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
        self.priced_options = self.option_table.copy()  # at nominal payloads
        self.priced_options[:, PRICE] += config.per_byte_s * self.option_table[:, BYTES]
        self._homes: dict[tuple[int, ...], Ints] = {}
        self._memory_beside: dict[int, tuple[Floats, Floats, float]] = {}
        self._workspaces: dict[int, tuple[Workspace, Any]] = {}
        self._runs: dict[int, tuple[Floats, FallbackRun]] = {}
        self._names: dict[bytes, tuple[tuple[Place, ...], tuple[str, ...], dict[str, str]]] = {}
        self._none = np.full(len(self.stages), -1, np.int64), np.full(len(self.tensors), -1, np.int64)

    def homes(self, state_home: Mapping[str, Place]) -> Ints:
        """(tensor,) the tier where a source lies."""
        key = tuple([int(state_home.get(name, Place.CAR)) for _, name in self.state_tensors])
        if key not in self._homes:
            home = np.zeros(len(self.tensors), np.int64)
            for (number, _), tier in zip(self.state_tensors, key, strict=True):
                home[number] = tier
            self._homes[key] = home
        return self._homes[key]

    def memory_beside(self, choice: int) -> tuple[Floats, Floats, float]:
        """`memory` when the critical stages at that choice lie on the car for the fallback anyway (-1: none does), and
        its bundle."""
        if choice not in self._memory_beside:
            memory = self.memory.copy()
            if choice >= 0:
                memory[: self.n_critical, choice] = 0.0
            self._memory_beside[choice] = (memory, *self.bundle(memory))
        return self._memory_beside[choice]

    def workspace(self, futures: int) -> tuple[Workspace, Any]:
        """It and the box that it comes in. The same one every time: nothing is remembered in it, and one search runs
        at a time."""
        if futures not in self._workspaces:
            space = make_workspace(self.arrays, len(self.computers), futures)
            self._workspaces[futures] = space, make_box(self.arrays, space)
        return self._workspaces[futures]

    def nothing(self) -> tuple[Ints, Ints]:
        """No choice (position) and no option (tensor): -1 throughout."""
        return self._none[0].copy(), self._none[1].copy()

    def names_of(self, choice: Ints, option: Ints) -> tuple[tuple[Place, ...], tuple[str, ...], dict[str, str]]:
        """(places, precisions, codecs) in graph order and by name."""
        key = choice.tobytes() + option.tobytes()
        if key not in self._names:
            if len(self._names) > 4096:
                self._names.clear()
            chosen = [self.choices[c] for c in choice.tolist()]
            ordered = [chosen[i] for i in self.graph_positions]
            codecs = {self.tensors[t]: self.options[o][1] for t, o in enumerate(option.tolist()) if o >= 0}
            self._names[key] = tuple(place for place, _ in ordered), tuple(name for _, name in ordered), codecs
        places, precisions, codecs = self._names[key]
        return places, precisions, dict(codecs)

    def fallback_run(self, seconds: Floats, joules: Floats) -> FallbackRun:
        """At the precision with which the car is quickest. seconds, joules: (position, choice), as of `seconds`."""
        kept = self._runs.get(id(seconds))
        if kept is None:
            if len(self._runs) > 64:
                self._runs.clear()
            kept = self._runs[id(seconds)] = seconds, self._fallback_run(seconds, joules)  # kept alive: see `compiled`
        return kept[1]

    def _fallback_run(self, seconds: Floats, joules: Floats) -> FallbackRun:
        total = seconds[: self.n_critical].sum(axis=0).tolist()
        choice = min(self.car_choices, key=total.__getitem__)
        joules_sum = float(joules[: self.n_critical, choice].sum())
        return FallbackRun(choice, total[choice], joules_sum, float(self.critical_bytes[choice]))


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

    def situation(
        self,
        compiled: CompiledModel,
        model: ModelVariant,
        seconds: Floats,
        joules: Floats,
        bundle: tuple[Floats, float],
    ) -> Situation:
        problem, config, run = self.problem, self.config, self.run
        is_fallback = model is problem.fallback_model
        options = compiled.priced_options
        if problem.payload_bytes:
            options = options.copy()
            for number, payload in compiled.seen_bytes(problem.payload_bytes):
                options[number, BYTES] = payload
                options[number, PRICE] = compiled.option_table[number, PRICE] + config.per_byte_s * payload
        memory, bundle_memory, loose_memory = compiled.memory_beside(run.choice if is_fallback else -1)
        return Situation(
            stage_s=seconds,
            stage_j=joules,
            stage_price=compiled.stage_price,
            bundle_j=bundle[0],
            bundle_memory=bundle_memory,
            memory=memory,
            working=compiled.working,
            options=options,
            air=self.air,
            home=compiled.homes(problem.state_home),
            memory_limit=self.memory_limit,
            joule_limit=self.joule_limit,
            loose_j=bundle[1],
            loose_memory=loose_memory,
            deadline_s=problem.deadline_s,
            fallback_start_s=max(self.fallback_at_s, problem.busy.car_s),
            fallback_s=run.seconds,
            fallback_j=run.joules,
            fallback_penalty_s=max(0.0, problem.fallback_model.quality_price_s - model.quality_price_s),
            quality_price_s=model.quality_price_s,
        )


def _air(problem: Problem) -> Floats:
    f, busy = problem.forecast, problem.busy
    waits = problem.waits or Waits.none(len(f))
    air = np.empty((AIR_ROWS, len(f)))
    fill_air(
        air, f.up_bps, f.down_bps, f.wan_bps, f.rtt_s, f.wan_rtt_s, f.loss, waits.edge_s, waits.cloud_s,
        (float(busy.car_s), float(busy.edge_s), float(busy.cloud_s), float(busy.uplink_s), float(busy.downlink_s)),
    )  # fmt: skip
    return air


class Reading:
    """One model in one situation."""

    def __init__(
        self, compiled: CompiledModel, model: ModelVariant, situation: Situation, planner: Planner, problem: Problem,
        run: FallbackRun,
    ) -> None:  # fmt: skip
        self.compiled, self.model, self.situation = compiled, model, situation
        self.planner, self.problem, self.fallback = planner, problem, run

    @property
    def is_fallback(self) -> bool:
        return self.model is self.problem.fallback_model

    def evaluate(self, choice: Ints, option: Ints) -> Estimate:
        """choice: one a position (auxiliary ones are set); option: one a tensor (-1 where it stays)."""
        tracks = self.compiled.workspace(self.situation.air.shape[1])[0].tracks
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
        return Reading(compiled, self.model, limited, self.planner, self.problem, self.fallback)

    def ending(self, price_s: Floats) -> Reading:
        """The same problem with a price (tier,) on where the recurrent states end up. They must all have one maker."""
        makers = {m for m in self.compiled.arrays.state_maker.tolist() if m >= 0}
        if len(makers) > 1:
            names = sorted(self.compiled.stages[m].name for m in makers)
            raise ValueError(f"a horizon needs all states to be made by one stage; received {', '.join(names)}")
        table = self.situation.stage_price.copy()
        for maker in makers:
            table[maker] += price_s[self.compiled.arrays.choice_tier]
        priced = self.situation._replace(stage_price=table)
        return Reading(self.compiled, self.model, priced, self.planner, self.problem, self.fallback)

    def search(
        self, limit: float = math.inf, previous: tuple[Ints, Ints] | None = None, *, last_resort: bool = True
    ) -> Found:
        """The best schedule within memory and power whose objective is below `limit`. last_resort: the fallback model
        alone on the car counts as one whatever memory and power say."""
        compiled = self.compiled
        choice, option = compiled.nothing()
        value, mean_s, unexplored, nodes = search(
            compiled.workspace(self.situation.air.shape[1])[1], self.situation, self.planner.weights,
            self.fallback.choice if last_resort and self.is_fallback else -1, *(previous or compiled.nothing()),
            choice, option, limit, self.planner.config.max_nodes,
        )  # fmt: skip
        return Found(bool(choice[0] >= 0), choice, option, value, mean_s, unexplored, nodes)

    def schedule(
        self, choice: Ints, option: Ints, latency_s: float, policy: str, *, fallback_at_s: float | str | None = "auto"
    ) -> Schedule:
        """In names. fallback_at_s "auto": just in time for the deadline, None for a local schedule."""
        compiled, problem = self.compiled, self.problem
        place, precisions, codecs = compiled.names_of(choice, option)
        if fallback_at_s == "auto":
            local = not any(place) and not any(problem.state_home.get(name) for _, name in compiled.state_tensors)
            in_time = max(0.0, problem.deadline_s - self.fallback.seconds - self.planner.config.margin_s)
            fallback_at_s = None if local else in_time
        return Schedule(
            place=place,
            codecs=codecs,
            fallback_at_s=fallback_at_s,  # type: ignore[arg-type]
            expected_latency_s=float(latency_s),
            policy=policy,
            model=self.model.name,
            precisions=precisions,
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
