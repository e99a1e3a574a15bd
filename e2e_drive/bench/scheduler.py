"""How long a scheduling decision takes, against general solvers on the same instances, and whether it is exact.

Instances are moments of a drive past roadside units: the radio link with line of sight coming and going, deadlines as
a scene sets them, tenants that come and go, queues behind other cars' jobs. The graphs are study models traced without
weights: 12 stages (4 cameras) and 20 stages (6 cameras with necks of their own), 3 tiers, 4 codecs for a large tensor,
every precision that a computer supports.

Times are wall-clock times of one thread on this machine. A decision's is that of the whole `decide(problem)`, reading
the problem included; of HiGHS, CP-SAT and the min cut only the solver's own time counts, not the building of its
model. A solver that its time limit stops counts with the time it ran: its speed-up is then "at least". The gap is
measured against plain enumeration of every schedule on random small problems.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from tqdm import tqdm

from e2e_drive.bench.policies import component, computers_of
from e2e_drive.errors import UserError
from e2e_drive.study import study_graph
from planner.study import StudyConfig
from scheduling import ComputeBudget, ExactPolicy, LinkModel, PolicyConfig
from scheduling.exhaustive import enumerate_all, evaluate, random_problem
from scheduling.link.drive import drive_geometry
from scheduling.problem import Busy, Problem, Waits
from scheduling.references import milp, mincut
from scheduling.references.enumeration import count_schedules
from scheduling.references.result import Result
from scheduling.types import ModelVariant, Place, Schedule, StageGraph

SIZES: dict[int, dict[str, Any]] = {
    12: {"cameras": 4},
    20: {"cameras": 6, "split_neck": True},
}  # stages -> fields of StudyConfig
_WARM_UP = 20  # decisions before the clock starts: compiling, caches
_ENUMERABLE = 20_000  # schedules of a random problem, at most
_PERIOD_S = 0.1


@dataclass(frozen=True)
class SchedulerBenchConfig:
    decisions: int = 1000  # timed, of each size
    drive_limit_s: float = 90.0  # of deciding, of each size; then it must do with fewer decisions
    gap_instances: int = 10_000  # random small problems against enumeration
    compared: int = 2  # moments of the drive at which HiGHS and CP-SAT run too
    highs_limit_s: float = 15.0  # a moment
    cpsat_limit_s: float = 15.0
    few_futures: int = 4  # of the first of these moments, for a comparison that the solvers can finish ...
    few_limit_s: float = 30.0  # ... in this time
    min_cuts: int = 30
    futures: int = 64
    backbone: str = "convnext_base"  # heavy enough for a car's computer that the answer is not always "all on the car"
    condition: str = "urban"  # of link and street: `configs/link`, `scheduling.link.drive`
    soc: str = "xavier"
    edge: str = "l40s"
    cloud: str = "a100"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("decisions", "gap_instances", "compared", "few_futures", "min_cuts", "futures"):
            if getattr(self, name) < 1:
                raise ValueError(f"scheduler bench: {name} must be at least 1, received {getattr(self, name)}")
        for name in ("drive_limit_s", "highs_limit_s", "cpsat_limit_s", "few_limit_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"scheduler bench: {name} must be positive, received {getattr(self, name)}")


Moment = tuple[Problem, float, float]  # problem, seconds of our decision, its objective


def moments(
    graph: StageGraph, computers: Sequence[ComputeBudget], config: SchedulerBenchConfig
) -> Iterator[tuple[Problem, Callable[[Schedule], None]]]:
    """(problem, what to call with the decision) every 0.1 s of a drive. The memory lies where the last decision put
    its stage; waits, deadlines and what is still in flight are drawn."""
    rng = np.random.default_rng([config.seed, len(graph.stages)])
    link: LinkModel = component("link", config.condition, config.seed)
    model = ModelVariant("study", graph)
    makers = {
        state: next(i for i, stage in enumerate(graph.stages) if output in stage.outputs)
        for state, output in graph.states.items()
    }
    previous: Schedule | None = None

    def decided(schedule: Schedule) -> None:
        nonlocal previous
        previous = schedule

    deadline_s = 0.2
    for i, geometry in enumerate(drive_geometry(config.seed, config.condition, _PERIOD_S)):
        link.step(geometry, _PERIOD_S * i, _PERIOD_S)
        deadline_s = float(np.clip(deadline_s + rng.normal(0.0, 0.02), 0.08, 0.4))
        waits = Waits(rng.exponential(0.004, config.futures), rng.exponential(0.002, config.futures))
        home = {} if previous is None else {state: previous.place[v] for state, v in makers.items()}
        yield (
            Problem(
                models=(model,),
                computers=tuple(computer.state(_PERIOD_S * i) for computer in computers),
                forecast=link.forecast(config.futures),
                deadline_s=deadline_s,
                previous=previous,
                busy=Busy(*(rng.exponential(0.003, 5) * (rng.random(5) < 0.3)).tolist()),
                waits=waits,
                state_home=home,
                frame_period_s=_PERIOD_S,
            ),
            decided,
        )


@dataclass(frozen=True)
class Drive:
    """What was decided along the drive."""

    times_s: list[float]
    gaps_s: list[float]  # proven bounds
    remote: float  # share of decisions that send something
    kept: list[Moment]  # for the other solvers


def drive(graph: StageGraph, computers: Sequence[ComputeBudget], config: SchedulerBenchConfig) -> Drive:
    policy = ExactPolicy(PolicyConfig(futures=config.futures))
    times, gaps, remote, kept = [], [], 0, []
    every = max(1, config.decisions // config.min_cuts)
    stages = len(graph.stages)
    with tqdm(total=config.decisions, desc=f"{stages} stages", unit="decision", leave=False) as bar:
        for i, (problem, decided) in enumerate(moments(graph, computers, config)):
            start_ns = time.perf_counter_ns()
            schedule = policy.decide(problem)
            seconds = (time.perf_counter_ns() - start_ns) * 1e-9
            decided(schedule)
            if i < _WARM_UP:
                continue
            times.append(seconds)
            gaps.append(policy.last_gap_s)
            remote += any(place != Place.CAR for place in schedule.place)
            if len(times) % every == 1 or every == 1:
                kept.append((problem, seconds, evaluate(problem, policy.config, schedule)[0]))
            bar.update()
            if len(times) == config.decisions or sum(times) > config.drive_limit_s:
                return Drive(times, gaps, remote / len(times), kept)
    raise AssertionError("a drive has no end")


def max_gap(instances: int, seed: int) -> tuple[float, int]:
    """(largest objective of the solver's choice minus the optimum by plain enumeration, remote optima among them).
    inf if a choice breaks a limit. Random graphs of 1 to 5 stages, 2 or 3 tiers, 1 or 2 sizes of the model."""
    rng = np.random.default_rng(seed)
    worst, remote, done = 0.0, 0, 0
    with tqdm(total=instances, desc="against enumeration", unit="problem", leave=False) as bar:
        while done < instances:
            stages, tiers, futures, models = (int(rng.integers(*ends)) for ends in ((1, 6), (2, 4), (1, 7), (1, 3)))
            problem = random_problem(rng, stages, tiers, futures, models=models)
            config = PolicyConfig(
                tail_share=float(rng.uniform(0.05, 1.0)),
                per_byte_s=float(rng.choice([0.0, 1e-7])),
                per_joule_s=float(rng.choice([0.0, 0.02])),
                precision_price_s={"fp16": 1e-3, "int8": float(rng.uniform(0.0, 0.02))},
            )
            if count_schedules(problem, config) > _ENUMERABLE:
                continue
            best, schedule = enumerate_all(problem, config)
            value, _, fits = evaluate(problem, config, ExactPolicy(config).decide(problem))
            worst = max(worst, value - best if fits else math.inf)
            remote += schedule.fallback_at_s is not None
            done += 1
            bar.update()
    return worst, remote


@dataclass(frozen=True)
class Comparison:
    """One reference solver on the moments kept of a drive."""

    seconds: list[float]
    ours_s: list[float]  # of our decisions on the same moments
    differences: list[float]  # its objective minus ours
    proven: int

    def row(self, solver: str, stages: int, futures: int) -> dict[str, Any]:
        stopped = self.proven < len(self.seconds)
        return {
            "solver": solver,
            "stages": stages,
            "futures": futures,
            "instances": len(self.seconds),
            "median_ms": 1e3 * float(np.median(self.seconds)),
            "speedup": ("at least " if stopped else "") + f"{self.speedup:.0f}",
            "proven": f"{self.proven}/{len(self.seconds)}",
            "objective_minus_ours_s": f"{min(self.differences):+.2e} to {max(self.differences):+.2e}",
        }

    @property
    def speedup(self) -> float:
        return float(np.median(self.seconds) / np.median(self.ours_s))


def with_fewer_futures(moment: Moment, futures: int) -> Moment:
    """The same moment and our decision with the first few of its futures."""
    problem, policy = moment[0], ExactPolicy()
    names = ("up_bps", "down_bps", "rtt_s", "loss", "wan_rtt_s", "wan_bps")
    forecast = replace(problem.forecast, **{name: getattr(problem.forecast, name)[:futures] for name in names})
    waits = problem.waits and Waits(problem.waits.edge_s[:futures], problem.waits.cloud_s[:futures])
    problem = replace(problem, forecast=forecast, waits=waits)
    start_ns = time.perf_counter_ns()
    schedule = policy.decide(problem)
    return problem, (time.perf_counter_ns() - start_ns) * 1e-9, evaluate(problem, policy.config, schedule)[0]


def compare(name: str, solve: Callable[[Problem], Result], kept: Sequence[Moment]) -> Comparison:
    seconds, differences, proven = [], [], 0
    config = PolicyConfig()
    for problem, _, ours in tqdm(kept, desc=name, unit="problem", leave=False):
        result = solve(problem)
        seconds.append(result.seconds)
        proven += result.proven
        reached = math.inf
        if result.schedule is not None:  # judged by enumeration's own arithmetic, whoever found it
            value, _, fits = evaluate(problem, config, result.schedule)
            reached = value if fits else math.inf
        differences.append(reached - ours)
    return Comparison(seconds, [ours_s for _, ours_s, _ in kept], differences, proven)


def _cpsat() -> ModuleType:
    """OR-Tools is large and belongs to the benchmarks' extra alone."""
    try:
        return importlib.import_module("scheduling.references.cpsat")
    except ModuleNotFoundError as error:
        raise UserError(f"bench scheduler compares with CP-SAT: {error}; pip install 'e2e-drive[bench]'") from error


def against_general_solvers(
    stages: int, kept: Sequence[Moment], config: SchedulerBenchConfig
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """HiGHS and CP-SAT on moments of the drive with all futures, and on one with few, which they can finish."""
    cpsat = _cpsat()
    metrics, rows = {}, []
    some = kept[:: max(1, len(kept) // config.compared)][: config.compared]
    few = [with_fewer_futures(some[0], config.few_futures)]
    for key, name, solve, limit_s in (
        ("highs", "HiGHS", milp.solve, config.highs_limit_s),
        ("cpsat", "CP-SAT", cpsat.solve, config.cpsat_limit_s),
    ):
        found = compare(f"{name}, {stages} stages", partial(solve, config=PolicyConfig(), time_limit_s=limit_s), some)
        rows.append(found.row(f"{name}, limit {limit_s:.0f} s", stages, config.futures))
        metrics[f"{key}_ms_{stages}"] = 1e3 * float(np.median(found.seconds))
        metrics[f"speedup_vs_{key}"] = found.speedup
        metrics[f"speedup_vs_{key}_is_a_lower_bound"] = float(found.proven < len(found.seconds))
        metrics[f"{key}_best_minus_ours_s"] = min(found.differences)  # below 0: it found something better
        less = partial(solve, config=PolicyConfig(), time_limit_s=config.few_limit_s)
        found = compare(f"{name}, {config.few_futures} futures", less, few)
        rows.append(found.row(f"{name}, limit {config.few_limit_s:.0f} s", stages, config.few_futures))
        if found.proven:
            metrics[f"{key}_proven_minus_ours_s"] = max(map(abs, found.differences))
    return metrics, rows


def run(config: SchedulerBenchConfig | None = None) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": [...]}"""
    config = config or SchedulerBenchConfig()
    _cpsat()  # a missing package is told at once, not after minutes
    computers = computers_of(config.soc, config.edge, config.cloud, config.seed)
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for stages, shape in SIZES.items():
        graph = study_graph(StudyConfig(backbone=config.backbone, **shape))
        driven = drive(graph, computers, config)
        metrics[f"decide_us_p50_{stages}"] = 1e6 * float(np.percentile(driven.times_s, 50))
        metrics[f"decide_us_p99_{stages}"] = 1e6 * float(np.percentile(driven.times_s, 99))
        metrics[f"proven_share_{stages}"] = float(np.mean(np.array(driven.gaps_s) == 0.0))
        metrics[f"worst_bound_gap_s_{stages}"] = max(driven.gaps_s)
        metrics[f"remote_share_{stages}"] = driven.remote
        rows.append(
            {
                "solver": "ours",
                "stages": stages,
                "futures": config.futures,
                "instances": len(driven.times_s),
                "median_ms": 1e3 * float(np.median(driven.times_s)),
                "speedup": "1",
                "proven": f"{sum(gap == 0.0 for gap in driven.gaps_s)}/{len(driven.gaps_s)}",
                "objective_minus_ours_s": "0",
            }
        )
        cut = compare("min cut", partial(mincut.solve, config=PolicyConfig()), driven.kept)
        row = cut.row("min cut (a sum only)", stages, config.futures)
        rows.append(row | {"proven": "the sum"})
        metrics[f"mincut_us_{stages}"] = 1e6 * float(np.median(cut.seconds))
        metrics[f"mincut_regret_s_{stages}"] = float(np.median([d for d in cut.differences if math.isfinite(d)] or [0]))
        if stages == min(SIZES):
            found, more = against_general_solvers(stages, driven.kept, config)
            metrics |= found
            rows += more
    metrics["max_gap"], remote = max_gap(config.gap_instances, config.seed)
    metrics["max_gap_instances"] = config.gap_instances
    metrics["max_gap_remote_share"] = remote / config.gap_instances
    return {"metrics": metrics, "rows": rows}
