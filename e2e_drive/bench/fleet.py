"""One to ten thousand cars on the same cells and edge servers: cost of deciding, latency, misses, fairness, and what
deciding without a centre costs.

`decide_us` is CPU time of one thread, a car and frame, of the whole decision path: sampling the car's futures from what
it measured and from what its cell and server posted, choosing from the menu, and every resource's price update.
Simulating the world and serving the jobs are not in it. So that it measures work and not the overhead of a call into
compiled code, all frames of a fleet are decided in one call, about the same number of decisions at every size; sizes
are interleaved over `repeats` rounds and the median is taken. `one_call_us` is the other extreme: one call a frame, as
a process that serves this fleet would do it, again a car.

`cost_growth_1_to_10000` = decide_us at the largest size over decide_us at the smallest; `cost_growth_inverse` its
inverse: neither may exceed 2. Misses are frames answered after their deadline, counted from the very first frame, while
prices still have to find their level; all other figures leave out the warm-up. `unpriced` rows are the same fleet with
all prices at 0: every car for itself.

`price_of_decentralisation` = objective reached by prices / objective of HiGHS - 1 on one-round instances (frozen radio,
every car picks one entry, capacities bind), both made feasible by the same rounding; the mean over instances, `_worst`
the largest, `_bound` the mean against HiGHS's proven lower bound (it may run out of time before it proves its optimum:
`highs_proven_share`). As the objective contains what every car pays anyway, `saving_captured` is the harder figure: of
what HiGHS saves against everybody on the car, the share that prices save, too. `bound_gap_10000` compares the prices'
objective of one round of the largest fleet, too large for HiGHS here, with the Lagrangian lower bound at those prices.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from e2e_drive.study import driving_graph
from planner import DrivingModel, ModelConfig
from scheduling import ComputeBudget
from scheduling.fleet import CellConfig, Fleet, FleetConfig, FleetReport, Menu, RiskConfig, build_menu
from scheduling.fleet.decision import new_draws
from scheduling.fleet.optimum import admit, one_round, solve_by_prices, solve_centrally
from scheduling.fleet.prices import new_board
from scheduling.types import ModelVariant


@dataclass(frozen=True)
class FleetBenchConfig:
    """little_price_s: what driving by the configured model instead of its bigger sister is worth, in seconds of
    latency (a preference, not a measurement)."""

    sizes: tuple[int, ...] = (1, 10, 100, 1000, 10000)
    decisions: int = 200_000  # at least so many a size
    least_frames: int = 120
    warm_up: int = 60  # frames until prices have found their level
    repeats: int = 3
    little_price_s: float = 0.01
    # (cars, columns, rows) of one-round instances; one edge server a block of 2 x 2 cells
    instances: tuple[tuple[int, int, int], ...] = field(default=((50, 2, 2), (75, 2, 2), (100, 4, 2), (100, 2, 2)))
    instance_seeds: int = 4
    time_limit_s: float = 15.0  # of HiGHS, an instance

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        object.__setattr__(self, "instances", tuple(tuple(item) for item in self.instances))
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)) or self.sizes[0] < 1:
            raise ValueError(f"fleet bench: sizes must increase from at least 1, received {self.sizes}")
        if not 0 <= self.warm_up < self.least_frames:
            raise ValueError(f"fleet bench: warm_up must be less than least_frames, received {self}")
        if min(self.repeats, self.decisions, self.instance_seeds) < 1:
            raise ValueError(f"fleet bench: repeats, decisions and instance_seeds must be positive, received {self}")


def bigger_sister(config: ModelConfig) -> ModelConfig:
    """Twice as wide and deep, with a backbone four times as large: what an edge server can afford."""
    return replace(
        config, backbone="regnetx_016", image_channels=2 * config.image_channels, width=2 * config.width,
        fine_channels=2 * config.fine_channels, encoder_layers=2 * config.encoder_layers,
        decision_layers=2 * config.decision_layers, trajectory_layers=2 * config.trajectory_layers,
    )  # fmt: skip


def fleet_menu(
    config: ModelConfig, computers: Sequence[ComputeBudget], bench: FleetBenchConfig, risk: RiskConfig
) -> Menu:
    models = [
        ModelVariant("big", driving_graph(DrivingModel(bigger_sister(config)).eval())),
        ModelVariant("little", driving_graph(DrivingModel(config).eval()), bench.little_price_s),
    ]
    return build_menu(models, computers, risk=risk)


@dataclass
class _Size:
    """One fleet under way: its drive is simulated once and decided several times."""

    fleet: Fleet
    cars: int
    frames: int
    decide_us: list[float]
    keep_history: bool = False

    def __post_init__(self) -> None:
        self.drive = self.fleet.drive(self.cars, self.frames)

    def time(self) -> None:
        start_s = time.thread_time()
        self.decisions = self.fleet.decide(self.drive, keep_history=self.keep_history)
        self.decide_us.append(1e6 * (time.thread_time() - start_s) / (self.cars * self.frames))

    def one_call_us(self) -> float:
        """A call a frame, as many as make 20 to 2,000 calls."""
        calls = max(20, min(2000, 20_000 // self.cars))
        frame = self.drive.first(1)
        start_s = time.thread_time()
        for _ in range(calls):
            self.fleet.decide(frame)
        return 1e6 * (time.thread_time() - start_s) / (calls * self.cars)

    def report(self, warm_up: int) -> FleetReport:
        outcome = self.fleet.serve(self.drive, self.decisions.choice)
        return self.fleet.report(self.drive, self.decisions.choice, outcome, warm_up)


def measure_sizes(
    menu: Menu, config: FleetConfig, bench: FleetBenchConfig, progress: tqdm
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """A row a size with prices, then one without for those sizes that reach the infrastructure's capacity; and how the
    prices of the largest fleet settle."""
    priced = Fleet(config, menu)
    selfish = Fleet(replace(config, prices=replace(config.prices, enabled=False)), menu)
    for fleet in (priced, selfish):  # compile
        fleet.run(2, 3)
    frames = {cars: max(bench.least_frames, -(-bench.decisions // cars)) for cars in bench.sizes}
    sizes = [_Size(priced, cars, frames[cars], [], cars == bench.sizes[-1]) for cars in bench.sizes]
    sizes += [_Size(selfish, cars, frames[cars], []) for cars in bench.sizes if cars >= 1000]
    for _ in range(bench.repeats):
        for size in sizes:
            if size.fleet is priced or not size.decide_us:
                size.time()
            progress.update()
    rows = []
    for size in sizes:
        report = size.report(bench.warm_up)
        rows.append({
            "cars": size.cars, "prices": "posted" if size.fleet is priced else "unpriced",
            "decide_us": float(np.median(size.decide_us)), "one_call_us": size.one_call_us(),
            **{f"{key[:-2]}_ms" if key.endswith("_s") else key: 1e3 * value if key.endswith("_s") else value
               for key, value in asdict(report).items() if key != "cars"},
        })  # fmt: skip
        progress.update()
    return rows, settling(sizes[len(bench.sizes) - 1].decisions.prices, config.period_s)


def settling(prices: np.ndarray, period_s: float) -> dict[str, float]:
    """prices: (F, R) as posted. price_settle_s: until the mean price stays within 10 % of its mean over the last
    quarter. price_ripple: standard deviation over mean of a price in the last quarter, averaged over the resources that
    ask one: flapping would show here."""
    mean, tail = prices.mean(axis=1), prices[-max(1, len(prices) // 4) :]
    level = tail.mean()
    away = np.flatnonzero(np.abs(mean - level) > 0.1 * level)
    asked = tail.mean(axis=0) > 0.01
    ripple = tail.std(axis=0)[asked] / tail.mean(axis=0)[asked]
    return {
        "price_settle_s": period_s * float(away[-1] + 1 if len(away) else 0),
        "price_ripple": float(ripple.mean()) if asked.any() else 0.0,
    }


def against_optimum(menu: Menu, config: FleetConfig, bench: FleetBenchConfig, progress: tqdm) -> dict[str, float]:
    """Prices and HiGHS on the same one-round instances."""
    costs: list[float] = []
    savings: list[float] = []
    price_s: list[float] = []
    highs_s: list[float] = []
    bounds: list[float] = []
    proven: list[bool] = []
    arrays = menu.arrays
    for cars, columns, rows in bench.instances:
        for k in range(bench.instance_seeds):
            cells: CellConfig = replace(config.cells, columns=columns, rows=rows)
            small = replace(config, cells=cells, seed=config.seed + k)
            drive = Fleet(small, menu).drive(cars, 1)
            problem = one_round(small, arrays, drive, new_draws(small), new_board(small))
            if not costs:
                admit(problem, solve_by_prices(small, problem).choice)  # compile
            start_s = time.thread_time()
            reached = problem.total(admit(problem, solve_by_prices(small, problem).choice))
            price_s.append(time.thread_time() - start_s)
            start_s = time.perf_counter()
            choice, _, bound = solve_centrally(problem, bench.time_limit_s)
            highs_s.append(time.perf_counter() - start_s)
            optimum = problem.total(admit(problem, choice))
            local = problem.total(np.zeros(cars, np.int64))
            costs.append(reached / optimum - 1.0)
            savings.append((local - reached) / (local - optimum) if local > optimum else 1.0)
            bounds.append(reached / bound - 1.0)
            proven.append(optimum <= bound * (1.0 + 1e-6))
            progress.update()
    return {
        "price_of_decentralisation": float(np.mean(costs)),
        "price_of_decentralisation_worst": float(np.max(costs)),
        "price_of_decentralisation_bound": float(np.mean(bounds)),
        "saving_captured": float(np.mean(savings)),
        "saving_captured_worst": float(np.min(savings)),
        "one_round_instances": len(costs),
        "highs_proven_share": float(np.mean(proven)),
        "highs_seconds_p50": float(np.median(highs_s)),
        "price_seconds_p50": float(np.median(price_s)),
    }


def bound_gap(menu: Menu, config: FleetConfig, cars: int) -> float:
    """One round of a fleet of any size: objective reached by prices over the Lagrangian bound, minus 1."""
    problem = one_round(config, menu.arrays, Fleet(config, menu).drive(cars, 1), new_draws(config), new_board(config))
    settled = solve_by_prices(config, problem)
    return problem.total(admit(problem, settled.choice)) / problem.lower_bound(settled.price) - 1.0


def run(
    config: ModelConfig,
    computers: Sequence[ComputeBudget],
    fleet: FleetConfig | None = None,
    bench: FleetBenchConfig | None = None,
) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": [...]}. computers: car, edge and perhaps cloud."""
    fleet, bench = fleet or FleetConfig(), bench or FleetBenchConfig()
    return measure(fleet_menu(config, computers, bench, fleet.risk), fleet, bench)


def measure(menu: Menu, fleet: FleetConfig, bench: FleetBenchConfig) -> dict[str, Any]:
    """The benchmark with any menu."""
    sizes = len(bench.sizes) + sum(cars >= 1000 for cars in bench.sizes)
    steps = sizes * (bench.repeats + 1) + len(bench.instances) * bench.instance_seeds + 1
    with tqdm(total=steps, desc="fleet", unit="step") as progress:
        rows, metrics = measure_sizes(menu, fleet, bench, progress)
        metrics |= against_optimum(menu, fleet, bench, progress)
        last, first = bench.sizes[-1], bench.sizes[0]
        metrics[f"bound_gap_{last}"] = bound_gap(menu, fleet, last)
        progress.update()
    posted = {row["cars"]: row for row in rows if row["prices"] == "posted"}
    growth = posted[last]["decide_us"] / posted[first]["decide_us"]
    metrics |= {f"cost_growth_{first}_to_{last}": growth, "cost_growth_inverse": 1.0 / growth}
    metrics[f"misses_at_{last}"] = posted[last]["misses"]
    metrics["frames_without_trajectory"] = sum(row["unanswered"] for row in posted.values())
    for cars, row in posted.items():
        metrics |= {f"decide_us_{cars}": row["decide_us"], f"latency_p95_ms_{cars}": row["latency_p95_ms"]}
    metrics["menu_entries"] = len(menu.entries)
    return {"metrics": metrics, "rows": rows}
