"""Enumeration, MILP and CP-SAT were written apart from each other: where they agree, the formulation is understood."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from scheduling.budget import BudgetState, ComputeBudget
from scheduling.codecs import CODECS, nominal_payload_bytes
from scheduling.exhaustive import Exhaustive, enumerate_all, evaluate, random_problem
from scheduling.link.base import LinkForecast
from scheduling.preferences import PolicyConfig
from scheduling.problem import Busy, Problem
from scheduling.references import cpsat, milp, mincut
from scheduling.references.enumeration import count_schedules
from scheduling.references.facts import Facts
from scheduling.types import ModelVariant, Place, Schedule, StageCost, StageGraph, StageNode

CAR, EDGE, CLOUD = Place.CAR, Place.EDGE, Place.CLOUD


def random_cases(seed, count, most):
    """(problem, config) with at most so many schedules, all kinds of objectives among them."""
    rng = np.random.default_rng(seed)
    while count:
        stages, tiers, futures = (int(rng.integers(*ends)) for ends in ((1, 5), (2, 4), (1, 6)))
        problem = random_problem(rng, stages, tiers, futures, models=int(rng.integers(1, 3)))
        config = PolicyConfig(
            tail_share=float(rng.uniform(0.1, 1.0)),
            per_byte_s=float(rng.choice([0.0, 1e-7])),
            per_joule_s=float(rng.choice([0.0, 0.05])),
            precision_price_s={"fp16": 1e-3, "int8": float(rng.uniform(0.0, 0.02))},
        )
        if count_schedules(problem, config) <= most:
            count -= 1
            yield problem, config


def test_compiled_enumeration_means_what_the_readable_one_says():
    remote = 0
    for problem, config in random_cases(1, 60, 3000):
        readable = Exhaustive(problem, config)
        value, schedule = readable.best()
        found, chosen = enumerate_all(problem, config)
        assert found == pytest.approx(value, abs=1e-12)
        assert readable.objective(chosen) == pytest.approx((value, chosen.expected_latency_s), abs=1e-12)
        assert readable.feasible(chosen)
        assert evaluate(problem, config, schedule) == pytest.approx((*readable.objective(schedule), True), abs=1e-12)
        remote += chosen.fallback_at_s is not None
    assert 10 < remote < 50  # the instances are not trivial


def test_both_enumerations_judge_any_schedule_alike():
    """Not only the best: a bad schedule must cost the same, and one that does not fit must fit in neither."""
    rng, unfit = np.random.default_rng(2), 0
    for problem, config in random_cases(3, 150, math.inf):
        readable = Exhaustive(problem, config)
        facts = list(readable.sizes.values())[int(rng.integers(len(problem.models)))]
        where = facts.complete({s.name: facts.tiers[int(rng.integers(len(facts.tiers)))] for s in facts.critical})
        precision = {s.name: str(rng.choice(facts.precisions(where[s.name]))) for s in facts.critical}
        precision |= {s.name: facts.default_precision(where[s.name]) for s in facts.auxiliary}
        schedule = Schedule(
            place=tuple(where[s.name] for s in facts.graph.stages),
            codecs={t: str(rng.choice(facts.codecs(t))) for t in facts.crossing(where)},
            fallback_at_s=None,
            expected_latency_s=0.0,
            policy="random",
            model=facts.model.name,
            precisions=tuple(precision[s.name] for s in facts.graph.stages),
        )
        value, mean_s, fits = evaluate(problem, config, schedule)
        assert (value, mean_s) == pytest.approx(readable.objective(schedule), abs=1e-12)
        assert fits == readable.feasible(schedule)
        unfit += not fits
    assert 15 < unfit < 135


@pytest.mark.parametrize(("solver", "count"), [(milp, 40), (cpsat, 40)])
def test_exact_reformulations_reach_the_optimum(solver, count):
    for problem, config in random_cases(4, count, 3000):
        readable = Exhaustive(problem, config)
        best = readable.best()[0]
        result = solver.solve(problem, config, 60.0)
        assert result.proven
        assert result.objective == pytest.approx(best, abs=1e-6)
        if readable.feasible(result.schedule):  # else it is a hair's breadth outside a limit, as tolerances allow
            assert readable.objective(result.schedule)[0] == pytest.approx(best, abs=1e-6)


def computer(name, flops):
    return BudgetState(
        ComputeBudget(
            name=name, fp32_flops=flops, fp16_flops=0.0, int8_ops=0.0, bandwidth_bps=1e15, memory_bytes=1e9,
            power_w=10.0, compute_efficiency=1.0, memory_efficiency=1.0, kernel_s=0.0, precision="fp32",
        ),
        0.0,
    )  # fmt: skip


def two_stages():
    """source -> a -> b -> sink; 0.02 s each on the car, 0.002 s on the edge, 0.001 s in the cloud."""
    nodes = (
        StageNode("a", ("source",), ("middle",), StageCost(1e9, 0.0, 4e6, {"middle": 40_000})),
        StageNode("b", ("middle",), ("sink",), StageCost(1e9, 0.0, 4e6, {"sink": 400})),
    )
    return StageGraph(nodes, {"source": 100_000}, ("sink",))


def two_stage_problem(**changes):
    forecast = LinkForecast(*(np.array([x]) for x in (8e7, 1e8, 0.01, 0.1)), wan_rtt_s=np.array([0.02]))
    problem = Problem(
        models=(ModelVariant("only", two_stages()),),
        computers=(computer("car", 5e10), computer("edge", 5e11), computer("cloud", 1e12)),
        forecast=forecast,
        deadline_s=0.08,
        busy=Busy(uplink_s=0.002),
    )
    return replace(problem, **changes)


def schedule(place, **codecs):
    return Schedule(place, codecs, None, 0.0, "by hand")


def test_latency_by_hand():
    problem, config = two_stage_problem(), PolicyConfig(margin_s=0.01)

    def air(tensor, raw, rate):
        return 8.0 * nominal_payload_bytes("raw", raw) / rate

    def coding(raw):
        return CODECS["raw"].encode_s(raw), CODECS["raw"].decode_s(raw)

    # Everything at the edge: the busy uplink, half a round trip, two stages, and the answer comes down.
    encode, decode = coding(100_000)
    arrived = 0.002 + air("source", 100_000, 8e7) + 0.005 + decode  # encoded long before the uplink is free
    assert encode < 0.002
    down_encode, down_decode = coding(400)
    main = arrived + 0.004 + down_encode + air("sink", 400, 1e8) + 0.005 + down_decode
    fallback_end = (0.08 - 0.04 - 0.01) + 0.04
    mean = 0.9 * main + 0.1 * fallback_end
    found = Exhaustive(problem, config).objective(schedule((EDGE, EDGE), source="raw", sink="raw"))
    assert found[1] == pytest.approx(mean, abs=1e-12)
    # Energy: the fallback's 0.04 s at 10 W, if the answer is lost; the main answer comes before it has started.
    assert main < 0.03
    spent = 0.1 * 0.4
    per_byte = config.per_byte_s * (nominal_payload_bytes("raw", 100_000) + nominal_payload_bytes("raw", 400))
    assert found[0] == pytest.approx(mean + config.per_joule_s * spent + per_byte, abs=1e-12)
    # First stage on the car, second in the cloud: the wide-area network comes on top, both ways.
    encode, decode = coding(40_000)
    wide = 0.01 + air("middle", 40_000, 1e9)
    arrived = 0.02 + encode + air("middle", 40_000, 8e7) + 0.005 + wide + decode
    at_antenna = arrived + 0.001 + down_encode + 0.01 + air("sink", 400, 1e9)
    main = at_antenna + air("sink", 400, 1e8) + 0.005 + down_decode
    found = Exhaustive(problem, config).objective(schedule((CAR, CLOUD), middle="raw", sink="raw"))
    assert found[1] == pytest.approx(0.9 * min(main, fallback_end) + 0.1 * fallback_end, abs=1e-12)


def test_a_main_run_that_needs_the_car_too_late_is_lost():
    """Deadline 0.055: the fallback starts at 0.005, when stage a still runs on the car."""
    found = Exhaustive(two_stage_problem(deadline_s=0.055), PolicyConfig(margin_s=0.01))
    assert found.objective(schedule((CAR, EDGE), middle="raw", sink="raw"))[1] == pytest.approx(0.045, abs=1e-12)


def test_the_pure_fallback_is_a_candidate_where_nothing_fits():
    small = replace(computer("car", 5e10).budget, memory_bytes=1.0)
    problem = two_stage_problem(computers=(BudgetState(small, 0.0), computer("edge", 5e11)))
    _, chosen = Exhaustive(problem, PolicyConfig()).best()
    assert chosen.place == (CAR, CAR)
    assert not Exhaustive(problem, PolicyConfig()).feasible(schedule((EDGE, EDGE), source="raw", sink="raw"))


def test_min_cut_is_the_smallest_sum_with_a_fan_out_charged_once():
    rng = np.random.default_rng(5)
    mixed = 0
    for _ in range(40):
        problem = random_problem(rng, int(rng.integers(2, 7)), 2, 3)
        facts = Facts(problem, PolicyConfig(), problem.models[0])
        up_bps, down_bps, delay_s = (
            float(x.mean()) for x in (problem.forecast.up_bps, problem.forecast.down_bps, 0.5 * problem.forecast.rtt_s)
        )

        def transfer(tensor, rate, facts=facts, delay_s=delay_s):
            raw = facts.raw[tensor]
            return min(
                CODECS[c].encode_s(raw) + CODECS[c].decode_s(raw) + delay_s + facts.crossing_price_s(tensor, c)
                + (8.0 * facts.payload_bytes(tensor, c) / rate if rate > 0.0 else 1e6)
                for c in facts.codecs(tensor)
            )  # fmt: skip

        def total(where, facts=facts, up_bps=up_bps, down_bps=down_bps):
            cost = sum(
                min(
                    facts.seconds(s, where[s.name], p)
                    + facts.config.per_joule_s * facts.joules(s, where[s.name], p)
                    + facts.precision_price_s(s, p)
                    for p in facts.precisions(where[s.name])
                )
                for s in facts.critical
            )
            for tensor in facts.tensors:
                home = (
                    facts.home(tensor, where) if facts.maker.get(tensor, facts.critical[0]) in facts.critical else CAR
                )
                readers = [where[s.name] for s in facts.critical if tensor in s.inputs]
                readers += [CAR] if tensor in facts.graph.sinks else []
                if any(place != home for place in readers):
                    cost += transfer(tensor, up_bps if home == CAR else down_bps)
            return cost

        choices = itertools.product((CAR, EDGE), repeat=len(facts.critical))
        names = [s.name for s in facts.critical]
        best = min(total(facts.complete(dict(zip(names, places, strict=True)))) for places in choices)
        result = mincut.solve(problem, PolicyConfig())
        assert result.objective == pytest.approx(best, rel=1e-9)
        where = dict(zip([s.name for s in facts.graph.stages], result.schedule.place, strict=True))
        assert total(where) == pytest.approx(best, rel=1e-9)
        mixed += len(set(result.schedule.place)) == 2
    assert mixed > 3
