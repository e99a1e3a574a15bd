"""The search against plain enumeration, and what must hold of any optimum."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scheduling_cases import CAR, EDGE, camera_graph, certain_forecast, computer, node

from scheduling import Busy, ExactPolicy, LinkForecast, ModelVariant, Place, PolicyConfig, Problem, StageGraph, Waits
from scheduling.budget import BYTES_PER_NUMBER
from scheduling.exhaustive import enumerate_all, evaluate, random_forecast, random_problem
from scheduling.planning import Planner
from scheduling.references.enumeration import count_schedules
from scheduling.references.facts import Facts

ROUNDING_S = 1e-12  # sums in another order differ in their last bits


def small_problem(rng, most=200_000):
    """(problem, config): anything that may be asked, small enough to look at every schedule."""
    while True:
        stages, tiers, futures = (int(rng.integers(*ends)) for ends in ((1, 5), (2, 4), (1, 7)))
        problem = random_problem(rng, stages, tiers, futures, models=int(rng.integers(1, 3)))
        config = PolicyConfig(tail_share=float(rng.uniform(0.1, 1.0)), per_byte_s=float(rng.choice([0.0, 1e-7])))
        if count_schedules(problem, config) <= most:
            return problem, config


def net(graph=None, price_s=0.0, name="net"):
    return ModelVariant(name, graph or camera_graph(), price_s)


def problem_of(forecast, deadline_s=0.2, computers=None, models=None, **options):
    tiers = computers or (computer("car", 5e10), computer("edge", 1e12), computer("cloud", 5e12))
    states = tuple(budget.state(0.0) for budget in tiers)
    return Problem(models or (net(),), states, forecast, deadline_s, **options)


def optimum(problem, **options):
    policy = ExactPolicy(PolicyConfig(**options))
    policy.decide(problem)
    return policy.last_objective_s


def test_no_gap_to_plain_enumeration():
    rng = np.random.default_rng(1)
    remote = 0
    for _ in range(400):
        problem, config = small_problem(rng)
        policy = ExactPolicy(config)
        chosen = policy.decide(problem)
        value, mean_s, fits = evaluate(problem, config, chosen)
        assert value - enumerate_all(problem, config)[0] <= ROUNDING_S
        assert policy.last_gap_s == 0.0
        assert policy.last_objective_s == pytest.approx(value, abs=ROUNDING_S)
        assert chosen.expected_latency_s == pytest.approx(mean_s, abs=ROUNDING_S)
        assert fits
        remote += any(place != CAR for place in chosen.place)
    assert 100 < remote < 300  # the instances are not trivial


def test_a_search_cut_short_says_how_far_off_it_can_be():
    rng = np.random.default_rng(8)
    shorter = 0
    for _ in range(150):
        problem, config = small_problem(rng)
        policy = ExactPolicy(replace(config, max_nodes=int(rng.integers(1, 40))))
        value, _, _ = evaluate(problem, config, policy.decide(problem))
        best = enumerate_all(problem, config)[0]
        assert value - best <= policy.last_gap_s + ROUNDING_S
        shorter += policy.last_gap_s > 0.0
    assert shorter > 20


def test_what_is_evaluated_is_what_the_reference_says():
    """Not only of optima: of any schedule, with the previous one's memory homes, queues and loss."""
    rng = np.random.default_rng(2)
    for _ in range(150):
        problem, config = small_problem(rng)
        planner = Planner(config)
        for reading in planner.read(problem):
            choice = rng.integers(0, len(reading.compiled.choices), len(reading.compiled.stages))
            pointer = reading.compiled.arrays.option_pointer
            option = np.array([rng.integers(a, b) for a, b in itertools.pairwise(pointer)])
            estimate = reading.evaluate(choice, option)
            schedule = reading.schedule(choice, option, estimate.latency_s, "random")
            value, mean_s, fits = evaluate(problem, config, schedule)
            assert estimate.objective_s == pytest.approx(value, rel=1e-9, abs=ROUNDING_S)
            assert estimate.latency_s == pytest.approx(mean_s, rel=1e-9)
            assert fits >= estimate.fits  # the reference also lets the pure fallback pass


@pytest.mark.parametrize("length", [1, 2])
def test_twins_lose_nothing(length):
    """Cameras alike, of which the search skips placements that only mirror others: still no gap to looking at all."""
    rng = np.random.default_rng(9 + length)
    split = 0
    for _ in range(60):
        cameras, seed = (3, int(rng.integers(1 << 30))) if length == 1 else (2, int(rng.integers(1 << 30)))
        raw, feature = int(rng.integers(20_000, 200_000)), int(rng.integers(10_000, 200_000))
        flops = [float(f) for f in rng.uniform(1e8, 2e9, length)]
        stages = [
            node(f"s{c}.{j}", (f"t{c}.{j}",), {f"t{c}.{j + 1}": feature}, flops[j])
            for c in range(cameras)
            for j in range(length)
        ]
        merge = tuple(f"t{c}.{length}" for c in range(cameras))
        stages += [node("merge", merge, {"bev": 30_000}, 5e8), node("head", ("bev",), {"path": 80}, 2e8)]
        sources_of = {f"t{c}.0": raw for c in range(cameras)}
        codecs = dict.fromkeys([*sources_of, *merge], ("int8", "fp16")) | {"bev": ("int8",)}
        graph = StageGraph(tuple(stages), sources_of, ("path",), codecs)
        problem = replace(random_problem(np.random.default_rng(seed), 2, 2, 4), models=(net(graph),), fallback=0)
        problem = replace(
            problem, previous=None, payload_bytes={}, state_home={}, deadline_s=float(rng.uniform(0.05, 0.3))
        )
        config = PolicyConfig()
        policy = ExactPolicy(config)
        chosen = policy.decide(problem)
        twins = policy.planner.read(problem)[0].compiled.arrays
        assert (twins.twin_length, twins.twin_count) == (length, cameras)
        best, schedule = enumerate_all(problem, config)
        assert evaluate(problem, config, chosen)[0] - best <= ROUNDING_S
        split += len(set(schedule.place[: cameras * length])) > 1
    assert split > 0


def test_more_bandwidth_and_shorter_delay_never_hurt():
    rng = np.random.default_rng(3)
    for _ in range(60):
        f = random_forecast(rng, 8)
        more = float(rng.uniform(1.0, 3.0))
        better = LinkForecast(
            f.up_bps * more, f.down_bps * more, f.rtt_s / more, f.loss / more,
            wan_rtt_s=f.wan_rtt_s / more, wan_bps=f.wan_bps * more,
        )  # fmt: skip
        deadline_s = float(rng.uniform(0.03, 0.3))
        assert optimum(problem_of(better, deadline_s)) <= optimum(problem_of(f, deadline_s)) + ROUNDING_S


@pytest.mark.parametrize("tier", [0, 1, 2])
def test_a_tighter_budget_never_helps(tier):
    """Less time, memory or power of any computer, a longer queue, a shorter deadline."""
    rng = np.random.default_rng(4 + tier)
    for _ in range(25):
        problem = problem_of(
            random_forecast(rng, 8), float(rng.uniform(0.03, 0.3)), waits=Waits(*np.full((2, 8), 0.002))
        )
        state = problem.computers[tier]
        tighter = [
            replace(state, share_taken=0.6),
            replace(state, budget=replace(state.budget, memory_bytes=state.budget.memory_bytes * 0.2)),
        ]
        value = optimum(problem)
        for worse in tighter:
            computers = tuple(worse if i == tier else other for i, other in enumerate(problem.computers))
            assert optimum(replace(problem, computers=computers)) >= value - ROUNDING_S
        if tier == CAR:  # a lower clock saves joules: what it costs in time is seen where they have no price
            slower = replace(state, budget=replace(state.budget, power_mode_w=4.0))
            capped = replace(problem, computers=(slower, *problem.computers[1:]))
            assert optimum(capped, per_joule_s=0.0) >= optimum(problem, per_joule_s=0.0) - ROUNDING_S
        assert optimum(replace(problem, waits=Waits(*np.full((2, 8), 0.02)))) >= value - ROUNDING_S
        assert optimum(replace(problem, busy=Busy(uplink_s=0.05, edge_s=0.05))) >= value - ROUNDING_S


def test_a_schedule_never_exceeds_memory_or_power():
    rng = np.random.default_rng(5)
    tight = 0
    for _ in range(300):
        problem, config = small_problem(rng, most=1e12)
        chosen = ExactPolicy(config).decide(problem)
        model = next(m for m in problem.models if m.name == chosen.model)
        facts = Facts(problem, config, model)
        if all(place == CAR for place in chosen.place) and model is problem.fallback_model:
            continue  # the last resort is exempt
        runs = list(zip(model.graph.stages, chosen.place, chosen.precisions, strict=True))
        joules = sum(facts.joules(stage, place, precision) for stage, place, precision in runs if place == CAR)
        assert joules <= problem.computers[CAR].budget.power_cap_w * problem.frame_period_s + 1e-9
        for tier, state in enumerate(problem.computers):
            size = sum(s.cost.parameter_bytes * BYTES_PER_NUMBER[p] / 4 for s, q, p in runs if q == tier != CAR)
            assert size <= state.budget.memory_bytes
            tight += state.budget.memory_bytes < 2e8
    assert tight > 50


def test_a_dead_link_keeps_everything_that_matters_in_the_car():
    forecast = LinkForecast(*(np.array([x, x]) for x in (0.0, 0.0, 0.0, 1.0)))
    chosen = ExactPolicy().decide(problem_of(forecast))
    assert set(chosen.place) == {CAR}
    assert chosen.fallback_at_s is None
    assert not chosen.codecs


def test_a_fast_link_moves_the_stages_and_keeps_a_fallback():
    problem = problem_of(certain_forecast(up=2e8, rtt=0.005))
    chosen = ExactPolicy().decide(problem)
    assert EDGE in chosen.place
    critical = [s for s in camera_graph().stages if s.name != "perception_heads"]
    local_s = min(
        sum(problem.computers[CAR].stage_seconds(s.cost, precision) for s in critical)
        for precision in problem.computers[CAR].budget.precisions
    )
    assert chosen.fallback_at_s == pytest.approx(0.2 - local_s - PolicyConfig().margin_s)


def test_cameras_are_placed_one_by_one():
    """With a middling uplink some camera is worth uploading while another is better computed at home."""
    models = (net(camera_graph(3)),)
    seen = set()
    for up in np.geomspace(1e6, 5e7, 40):
        problem = problem_of(certain_forecast(up=float(up), rtt=0.005), 0.3, models=models)
        seen.add(ExactPolicy().decide(problem).place[:3])
    assert any(len(set(cameras)) == 2 for cameras in seen), seen


def test_the_cloud_takes_over_where_the_edge_is_crowded():
    forecast = certain_forecast(up=2e8, rtt=0.005, futures=4)
    models = (net(camera_graph(3)),)
    near = problem_of(forecast, 0.15, models=models, waits=Waits(np.zeros(4), np.zeros(4)))
    assert Place.CLOUD not in ExactPolicy().decide(near).place
    crowded = replace(
        near, waits=Waits(np.full(4, 0.2), np.zeros(4)), forecast=replace(forecast, wan_rtt_s=np.full(4, 0.004))
    )
    chosen = ExactPolicy().decide(crowded).place
    assert Place.CLOUD in chosen
    assert EDGE not in chosen


def test_a_smaller_model_drives_when_the_big_one_would_be_late():
    big, little = net(camera_graph(3), name="big"), net(camera_graph(1), price_s=0.01, name="little")
    fast = certain_forecast(up=5e8, rtt=0.005)
    dead = LinkForecast(*(np.array([x]) for x in (0.0, 0.0, 0.0, 1.0)))
    assert ExactPolicy().decide(problem_of(fast, 0.1, models=(big, little))).model == "big"
    assert ExactPolicy().decide(problem_of(dead, 0.05, models=(big, little))).model == "little"


def test_the_memory_does_not_hop_for_a_trifle():
    """A state that lies at the edge keeps its stage there when the tiers are as good as equal."""
    graph = memory_graph()
    computers = (computer("car", 5e10), computer("edge", 1e12), computer("cloud", 1e12))
    forecast = replace(certain_forecast(up=1e8, rtt=0.005), wan_rtt_s=np.array([1e-4]))
    encoder = [s.name for s in graph.stages].index("bev_encoder")
    for home in (EDGE, Place.CLOUD):
        problem = problem_of(forecast, 0.2, computers, (net(graph),), state_home={"memory": home})
        assert ExactPolicy().decide(problem).place[encoder] == home


def memory_graph(size=400_000):
    stages = camera_graph().stages
    return replace(
        camera_graph(),
        stages=tuple(replace(s, inputs=(*s.inputs, "memory")) if s.name == "bev_encoder" else s for s in stages),
        sources=camera_graph().sources | {"memory": size},
        states={"memory": "bev"},
    )


def test_the_horizon_is_the_best_sequence_of_tiers():
    """Every sequence of homes for the memory, each frame solved with its encoder held there."""
    rng = np.random.default_rng(7)
    encoder = [s.name for s in camera_graph().stages].index("bev_encoder")
    moved = 0
    for _ in range(6):
        ahead = (random_forecast(rng, 6), random_forecast(rng, 6))
        home = Place(int(rng.integers(3)))
        models = (net(memory_graph()),)
        problem = problem_of(random_forecast(rng, 6), 0.2, models=models, state_home={"memory": home})
        planner = Planner(PolicyConfig())

        def cost(forecast, origin, target, problem=problem, planner=planner):
            step = replace(problem, forecast=forecast, state_home={"memory": origin})
            reading = planner.read(step)[0]
            held = reading.allow(stage=lambda node, tier, _: node.name != "bev_encoder" or tier == target)
            return held.search(last_resort=target == CAR).objective_s

        least = min(
            cost(problem.forecast, home, a) + 3 * cost(ahead[0], a, b) + 3 * cost(ahead[1], b, c)
            for a, b, c in itertools.product(Place, repeat=3)
        )
        policy = ExactPolicy()
        chosen = policy.decide(replace(problem, ahead=ahead, ahead_frames=3))
        assert policy.last_objective_s == pytest.approx(least, abs=1e-9)
        moved += chosen.place[encoder] != ExactPolicy().decide(problem).place[encoder]
    assert moved > 0  # looking ahead does make a difference


def test_the_same_problem_twice_is_the_same_schedule():
    rng = np.random.default_rng(6)
    problem, config = small_problem(rng)
    policy = ExactPolicy(config)
    first = policy.decide(problem)
    for _ in range(3):
        other, _ = small_problem(rng)
        policy.decide(other)
    assert policy.decide(problem) == first == ExactPolicy(config).decide(problem)


def test_bad_preferences_are_refused_with_the_value():
    with pytest.raises(ValueError, match="tail_share must lie in"):
        PolicyConfig(tail_share=0.0)
    with pytest.raises(ValueError, match=r"late_weight must not be negative, received -1"):
        PolicyConfig(late_weight=-1.0)
    with pytest.raises(ValueError, match="fallback must name one of 1 models, received 3"):
        problem_of(certain_forecast(), fallback=3)
    with pytest.raises(ValueError, match="one wait a future"):
        problem_of(certain_forecast(), waits=Waits.none(5))
    assert math.isfinite(optimum(problem_of(certain_forecast())))
