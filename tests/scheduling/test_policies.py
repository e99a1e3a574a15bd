"""Every policy against the formulation, its own paper's rule by brute force, and along simulated drives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scheduling_cases import CAR, EDGE, computer, memory_graph, patchy_link

from e2e_drive import config_dir
from e2e_drive.bench import policies as bench
from e2e_drive.bench.policies import BLOCK, block_indices, dominates, measures
from e2e_drive.errors import UserError
from scheduling.budget import TenantLoad
from scheduling.codecs import CODECS
from scheduling.execution import VirtualExecutor
from scheduling.exhaustive import Exhaustive, random_problem
from scheduling.link import LinkForecast, LinkModel, LinkTrace, RadioLink, drive_geometry
from scheduling.policies import POLICIES, BaselinePolicy, ExactPolicy, OraclePolicy, Policy
from scheduling.policies.baseline import certain
from scheduling.policies.cuts import best_cut, minimum_cut
from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem, Waits
from scheduling.queue import SharedQueue
from scheduling.references.facts import Facts
from scheduling.simulation import VALID_S, Drive, Frames, record_drive, simulate, true_forecast
from scheduling.types import LinkGeometry, LinkState, ModelVariant, Place, Schedule

COMPUTERS = (
    computer("car", 1e11, tenants=TenantLoad(0.0, 0.5, 2.0, 2.0, seed=1)),
    computer("edge", 1e13),
    computer("cloud", 5e13),
)
MODELS = (ModelVariant("whole", memory_graph()),)


def problems(seed: int, count: int, **options: int) -> Iterator[Problem]:
    rng = np.random.default_rng(seed)
    for i in range(count):
        yield random_problem(rng, int(rng.integers(2, 6)), tiers=2 + i % 2, models=1 + i % 3, **options)


def planned(policy: Policy, problem: Problem) -> tuple[Schedule, float, bool]:
    """(its schedule, objective as if it had the fallback, whether it keeps the limits)"""
    schedule = policy.decide(problem)
    reading = next(r for r in ExactPolicy(policy.config).planner.read(problem) if r.model.name == schedule.model)
    numbers = reading.numbers(schedule)
    assert numbers is not None, f"{policy.name}: these computers cannot run {schedule}"
    found = reading.evaluate(*numbers)
    return schedule, found.objective_s, found.fits


@pytest.mark.parametrize("name", POLICIES)
def test_schedules_are_valid(name: str) -> None:
    policy = POLICIES[name]()
    for problem in problems(3, 25):
        schedule, _, _ = planned(policy, problem)
        model = next(m for m in problem.models if m.name == schedule.model)
        facts = Facts(problem, policy.config, model)
        where = {s.name: place for s, place in zip(model.graph.stages, schedule.place, strict=True)}
        assert set(schedule.codecs) == set(facts.crossing(facts.complete(where)))
        assert all(codec in facts.codecs(tensor) for tensor, codec in schedule.codecs.items())
        assert schedule.fallback_at_s is None or schedule.fallback_at_s >= 0.0
        assert schedule.policy == name
        executor = VirtualExecutor(
            problem.models, tuple(s.budget for s in problem.computers), fallback=problem.fallback
        )
        _, timeline = executor.run(schedule, None, {}, problem.forecast[0], 0, 0.0)
        assert timeline.ready_s is None or timeline.ready_s >= 0.0


def test_ours_is_never_worse_than_a_baseline() -> None:
    """In the modelled objective, every baseline given the fallback."""
    exact, compared = ExactPolicy(), 0
    baselines = [c(fallback=True) for c in POLICIES.values() if issubclass(c, BaselinePolicy)]
    assert len(baselines) == 11
    for problem in problems(4, 30):
        exact.decide(problem)
        assert exact.last_gap_s == 0.0
        for policy in baselines:
            _, objective_s, fits = planned(policy, problem)
            if fits:
                compared += 1
                assert exact.last_objective_s <= objective_s + 1e-9, policy.name
    assert compared > 200


def test_knowing_the_future_never_hurts_on_average() -> None:
    """Mean over futures of the optimum of each <= optimum over all of them (a tail is never below the mean)."""
    exact, oracle, gained = ExactPolicy(), OraclePolicy(), 0
    for problem in problems(5, 20, futures=5):
        exact.decide(problem)
        objectives = []
        for m in range(len(problem.forecast)):
            waits = problem.waits
            one = None if waits is None else Waits(waits.edge_s[m : m + 1], waits.cloud_s[m : m + 1])
            oracle.decide(replace(problem, forecast=future(problem.forecast, m), waits=one))
            objectives.append(oracle.last_objective_s)
        assert np.mean(objectives) <= exact.last_objective_s + 1e-9
        gained += np.mean(objectives) < exact.last_objective_s - 1e-6
    assert gained > 5


def future(forecast: LinkForecast, m: int) -> LinkForecast:
    columns = {f.name: getattr(forecast, f.name)[m : m + 1] for f in fields(forecast) if f.name != "rsu"}
    return LinkForecast(**columns)


class SerialCosts:
    """One certain future by name, written from the papers' rules and not from the policies' code."""

    def __init__(self, problem: Problem, config: PolicyConfig) -> None:
        mean = {
            f.name: np.array([getattr(problem.forecast, f.name).mean()])
            for f in fields(LinkForecast) if f.name not in ("rsu", "loss")
        }  # fmt: skip
        waits = problem.waits or Waits.none(len(problem.forecast))
        self.waits = Waits(np.array([waits.edge_s.mean()]), np.array([waits.cloud_s.mean()]))
        self.link = LinkForecast(loss=np.zeros(1), **mean)
        self.problem = replace(problem, forecast=self.link, waits=self.waits)
        self.facts = Facts(self.problem, config, problem.models[0])
        self.precision = {place: self._precision(place) for place in (CAR, EDGE)}

    def _precision(self, place: Place) -> str:
        facts = self.facts
        cost = {
            p: sum(facts.seconds(s, place, p) + facts.precision_price_s(s, p) for s in facts.critical)
            for p in facts.precisions(place)
        }
        return min(cost, key=cost.__getitem__)

    def transfer(self, tensor: str, origin: Place, target: Place) -> tuple[float, str]:
        rate = {"up": self.link.up_bps[0], "down": self.link.down_bps[0], "wan": self.link.wan_bps[0]}
        hops = ["wan"] if Place.CLOUD in (origin, target) else []
        hops += ["up"] if origin == CAR else ["down"] if target == CAR else []
        found = []
        for name in self.facts.codecs(tensor):
            size, raw = self.facts.payload_bytes(tensor, name), self.facts.raw[tensor]
            seconds = (
                sum(8.0 * size / rate[hop] for hop in hops) + CODECS[name].encode_s(raw) + CODECS[name].decode_s(raw)
            )
            found.append((seconds + self.facts.crossing_price_s(tensor, name), name))
        return min(found)

    def crossings(self, where: dict[str, Place], *, critical: bool) -> list[tuple[str, Place, Place]]:
        facts = self.facts
        where = facts.complete(where)
        readers = [(s, t) for s in (facts.critical if critical else facts.order) for t in s.inputs]
        found = [(t, facts.home(t, where), where[s.name]) for s, t in readers]
        found += [(t, facts.home(t, where), CAR) for t in facts.graph.sinks]
        return [pair for pair in dict.fromkeys(found) if pair[1] != pair[2]]

    def serial_s(self, where: dict[str, Place]) -> float:
        total = sum(self.facts.seconds(s, where[s.name], self.precision[where[s.name]]) for s in self.facts.critical)
        total += sum(self.transfer(*pair)[0] for pair in self.crossings(where, critical=True))
        return total + (self.link.rtt_s[0] + self.waits.edge_s[0] if EDGE in where.values() else 0.0)

    def schedule(self, where: dict[str, Place]) -> Schedule:
        complete = self.facts.complete(where)
        codecs = {}
        for pair in self.crossings(where, critical=False):
            codecs.setdefault(pair[0], self.transfer(*pair)[1])
        stages = self.facts.graph.stages
        places = tuple(complete[s.name] for s in stages)
        precisions = tuple(self.precision.get(p, self.facts.default_precision(p)) for p in places)
        return Schedule(places, codecs, None, 0.0, "brute force", self.facts.model.name, precisions)

    def answer_s(self, where: dict[str, Place]) -> float:
        reference = Exhaustive(self.problem, self.facts.config)
        return reference.answer(reference.choice(self.schedule(where)), 0)[0]


def rates_above_zero(count: int) -> Iterator[Problem]:
    """With states on the car or the edge: a cut in two knows no third side."""
    for problem in problems(6, count):
        forecast = problem.forecast
        alive = replace(forecast, up_bps=forecast.up_bps + 1e6, down_bps=forecast.down_bps + 1e6)
        home = {name: min(place, EDGE) for name, place in problem.state_home.items()}
        yield replace(problem, forecast=alive, state_home=home)


def test_neurosurgeon_finds_the_best_cut() -> None:
    policy, inner = POLICIES["neurosurgeon"](), 0
    for problem in rates_above_zero(30):
        costs = SerialCosts(problem, policy.config)
        names = [s.name for s in costs.facts.critical]
        cuts = [{n: CAR if i < k else EDGE for i, n in enumerate(names)} for k in range(len(names) + 1)]
        best_s = min(costs.answer_s(where) for where in cuts)
        found_s, _ = best_cut(certain(policy.planner, problem)[0])  # type: ignore[attr-defined]
        assert found_s == pytest.approx(best_s, rel=1e-9)
        schedule = policy.decide(problem)
        place = dict(zip((s.name for s in costs.facts.graph.stages), schedule.place, strict=True))
        chosen = [place[name] for name in names]
        assert chosen == sorted(chosen)
        inner += 0 < chosen.count(CAR) < len(chosen)
        assert schedule.fallback_at_s is None
    assert inner > 0


def test_dads_finds_the_minimum_sum() -> None:
    policy, inner = POLICIES["dads"](), 0
    for problem in rates_above_zero(30):
        costs = SerialCosts(problem, policy.config)
        names = [s.name for s in costs.facts.critical]
        sums = [
            costs.serial_s(dict(zip(names, places, strict=True)))
            for places in itertools.product((CAR, EDGE), repeat=len(names))
        ]
        found_s, (choice, _) = minimum_cut(certain(policy.planner, problem)[0])  # type: ignore[attr-defined]
        assert found_s == pytest.approx(min(sums), rel=1e-9)
        inner += len(set(choice[: len(names)].tolist())) > 1
    assert inner > 0


# Drives


def short_drive(frames: int = 60, seed: int = 0) -> Drive:
    queues = {Place.EDGE: SharedQueue(40.0, 0.01, 0.5, seed=seed)}
    geometry = drive_geometry(seed, "tunnel")
    return record_drive(RadioLink.configured(seed=seed), geometry, lambda v: 0.15, frames, queues=queues, futures=8)


@pytest.mark.parametrize("name", POLICIES)
def test_two_runs_are_equal(name: str) -> None:
    first, second = (simulate(POLICIES[name](), MODELS, COMPUTERS, short_drive()) for _ in range(2))
    for field in fields(Frames):
        if field.name not in ("decide_s", "schedules", "timelines"):
            np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))
    assert len(first.capture_s) == 60


class Witness(OraclePolicy):
    """Remembers what it was told."""

    def __init__(self, sees_truth: bool) -> None:
        super().__init__()
        self.sees_truth, self.told = sees_truth, []  # type: ignore[misc]

    def decide(self, problem: Problem) -> Schedule:
        self.told.append(problem)
        return super().decide(problem)


def test_only_the_oracle_is_told_the_truth() -> None:
    drive = short_drive(20)
    for sees_truth in (True, False):
        witness = Witness(sees_truth)
        simulate(witness, MODELS, COMPUTERS, drive)
        for problem, moment in zip(witness.told, drive.moments, strict=True):
            assert problem.forecast is (moment.true_forecast if sees_truth else moment.forecast)
            assert problem.waits is (moment.true_waits if sees_truth else moment.waits)
            if sees_truth:
                assert problem.waits is not None
                assert problem.waits.edge_s[0] == drive.queues[Place.EDGE].backlog_at(moment.time_s + 0.03)


def test_the_truth_of_a_frame_is_what_fits_through_the_air() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        trace = patchy_link(rng, 1.0)
        one = true_forecast(trace, 1.0, 0.1)
        for bps, is_up in ((one.up_bps[0], True), (one.down_bps[0], False)):
            assert bps * 0.1 / 8.0 == pytest.approx(trace.bytes_between(1.0, 1.1, is_up))
        assert (one.loss[0] == 1.0) == (one.up_bps[0] == 0.0)


class MortalLink(LinkModel):
    """Comes and goes; its forecast believes that the present stays."""

    def __init__(self, seed: int) -> None:
        self.rng, self.trace, self.now_s = (
            np.random.default_rng(seed),
            LinkTrace.constant(LinkState(0, 0, 0, 1, -1)),
            0.0,
        )

    def step(self, geometry: LinkGeometry, time_s: float, delta_s: float) -> LinkState:
        self.now_s, self.trace = time_s, patchy_link(self.rng, time_s)
        return self.trace.at(time_s)

    def truth(self) -> LinkTrace:
        return self.trace

    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        return LinkForecast.repeat(self.trace.at(self.now_s), n)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), deadline_s=st.floats(0.02, 0.3))
def test_ours_always_has_a_trajectory(seed: int, deadline_s: float) -> None:
    geometry = itertools.repeat(LinkGeometry(0, 50.0, True, 0))
    drive = record_drive(MortalLink(seed), geometry, lambda v: deadline_s, 40, futures=2, seed=seed)
    frames = simulate(ExactPolicy(), MODELS, COMPUTERS, drive)
    assert not frames.is_without_trajectory().any()


def test_what_counts_as_a_frame_without_a_trajectory() -> None:
    """The second frame never comes, but the third is there 0.4 s after the second's capture; after 0.3 s nothing comes
    until 1.05 s, which leaves the frames of 0.3, 0.4 and 0.5 s without."""
    never = np.inf
    frames = results(np.array([0.05, never, 0.3, *[never] * 7, *[0.05] * 7]))
    without = frames.is_without_trajectory(VALID_S)
    assert np.flatnonzero(without).tolist() == [3, 4, 5]
    assert len(without) == 12  # the last half second is not judged
    assert frames.is_late.sum() == 9


def results(latency_s: np.ndarray, joules: float = 1.0) -> Frames:
    n = len(latency_s)
    some = np.zeros(n)
    return Frames(
        0.1 * np.arange(n), np.full(n, 0.2), latency_s, some > 0, some > 0, some, some, np.full(n, joules), some, some,
        some,
    )  # fmt: skip


def test_dominance_asks_for_all_measures_and_for_more_than_noise() -> None:
    rng = np.random.default_rng(0)
    latency_s = rng.uniform(0.05, 0.25, 10 * BLOCK)
    ours = results(latency_s)
    others = {"same": ours, "thrifty": results(latency_s, 0.9), "slow and thrifty": results(2.0 * latency_s, 0.9)}
    noisy = latency_s.copy()
    noisy[0] = 0.0 if latency_s[0] > 0.2 else 0.3
    others["one frame"] = results(noisy)
    every = {"exact": ours, **others}
    blocks = block_indices([ours], rng)
    assert sorted(set(blocks.ravel().tolist())) == list(range(10 * BLOCK))
    samples = {name: measures(frames, blocks) for name, frames in every.items()}
    points = {name: measures(frames, np.arange(10 * BLOCK)[None])[0] for name, frames in every.items()}
    for sense in bench.DOMINANCE:
        assert [name for name in others if dominates(name, points, samples, sense)] == ["thrifty"]


def test_senses_of_dominance_differ_in_what_they_ask() -> None:
    """Clearly thriftier; in quality better on average because of a single block, or worse by a hair."""
    always, rarely = np.full((100, 4), [0.1, 0.1, 1.0, 0.02]), np.full((100, 4), [0.1, 0.1, 0.9, 0.021])
    rarely[:60, 3] = 0.01
    for quality_s, senses in ((0.019, ["point", "tolerant"]), (0.0201, ["tolerant"])):
        points = {"exact": np.array([0.1, 0.1, 1.0, 0.02]), "other": np.array([0.1, 0.1, 0.9, quality_s])}
        samples = {"exact": always, "other": rarely}
        assert [sense for sense in bench.DOMINANCE if dominates("other", points, samples, sense)] == senses


def test_rows_metrics_and_figures_of_the_benchmark(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names = ("exact", "edge_only", "cloud_central", "oracle")
    config = bench.PoliciesBenchConfig(
        conditions=("good", "tunnel"), socs=("xavier@10",), sizes=("little",), policies=names, drives=1, frames=40,
        futures=8, processes=1,
    )  # fmt: skip
    result = bench.run(config, tmp_path)
    rows, metrics = result["rows"], result["metrics"]
    assert [(row["condition"], row["policy"]) for row in rows] == list(itertools.product(("good", "tunnel"), names))
    for row in rows:
        assert 0.0 <= row["miss_low_pct"] <= row["miss_pct"] <= row["miss_high_pct"] <= 100.0
        finite = [row[f"latency_p{q}_ms"] for q in (50, 95, 99) if row[f"latency_p{q}_ms"] is not None]
        assert finite == sorted(finite)
    ours, truth = (next(r for r in rows if r["policy"] == name and r["condition"] == "good") for name in names[::3])
    assert metrics["ours_miss_over_oracle_good"] == pytest.approx(ours["miss_pct"] - truth["miss_pct"])
    assert metrics["ours_p95_ms_good"] == ours["latency_p95_ms"]
    assert metrics["ours_frames_without_trajectory"] == max(r["without_trajectory"] for r in rows[::4])
    for name in ("policies.png", "policies.svg", "placement.png", "placement.svg"):
        assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"socs": ("abacus",)}, "soc must be one of .*orin_nx.*, received 'abacus'"),
        ({"socs": ("xavier@little",)}, "NAME or NAME@WATTS, received 'xavier@little'"),
        ({"conditions": ("space",)}, r"conditions must be some of good, .*, received \['space'\]"),
        ({"policies": ("exact",)}, "policies must contain exact and oracle, received"),
        ({"drives": 0}, "drives must be at least 1, received 0"),
    ],
)
def test_the_benchmark_refuses_what_it_cannot_run(options: dict[str, Any], message: str) -> None:
    with pytest.raises((UserError, ValueError), match=message):
        bench.run(bench.PoliciesBenchConfig(**options))


@pytest.mark.parametrize("name", POLICIES)
def test_configurations_say_what_they_are(name: str) -> None:
    policy = instantiate(OmegaConf.load(config_dir() / "scheduler" / f"{name}.yaml"))
    assert type(policy) is POLICIES[name]
    assert policy.config == PolicyConfig()
