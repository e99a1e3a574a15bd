"""The solver against plain enumeration, and what must hold of any optimum."""

from dataclasses import replace

import numpy as np
import pytest
from scheduling_cases import CAR, EDGE, camera_graph, certain_forecast, computer

from scheduling import (
    Busy,
    EdgeOnlyPolicy,
    ExactPolicy,
    LinkForecast,
    LocalOnlyPolicy,
    Place,
    PolicyConfig,
)
from scheduling.compiled import CompiledGraph
from scheduling.exhaustive import Exhaustive, random_forecast, random_graph
from scheduling.policies.base import make_situation
from scheduling.solver import all_masks, solve

CAR_NOW = computer("car", 5e10).state(0.0)
EDGE_NOW = computer("edge", 1e12).state(0.0)

DEFAULT = PolicyConfig()


def objective(graph, forecast, deadline_s, car=CAR_NOW, edge=EDGE_NOW, config=DEFAULT):
    compiled = CompiledGraph(graph)
    situation = make_situation(compiled, car, edge, forecast, deadline_s, config.margin_s, None, None, None)
    return solve(compiled.arrays, situation, config.weights, all_masks(len(graph.stages)))[2]


def test_no_gap_to_plain_enumeration_on_random_graphs():
    rng = np.random.default_rng(1)
    hopped = 0
    for _ in range(200):
        graph = random_graph(rng, int(rng.integers(1, 5)))
        forecast = random_forecast(rng, int(rng.integers(1, 7)))
        deadline_s = float(rng.uniform(0.02, 0.4))
        config = PolicyConfig(tail_share=float(rng.uniform(0.1, 1.0)), per_byte_s=float(rng.choice([0.0, 1e-7])))
        policy = ExactPolicy(config)
        before = policy.decide(graph, CAR_NOW, EDGE_NOW, random_forecast(rng, 3), deadline_s)
        previous = before if rng.random() < 0.5 else None
        payload = {"s0": {"raw": 12_345.0}} if rng.random() < 0.5 else None
        busy = Busy(*rng.uniform(0.0, 0.05, 4)) if rng.random() < 0.5 else None
        chosen = policy.decide(
            graph, CAR_NOW, EDGE_NOW, forecast, deadline_s, previous, payload_bytes=payload, busy=busy
        )
        reference = Exhaustive(graph, CAR_NOW, EDGE_NOW, forecast, deadline_s, config, previous, payload, busy)
        value, mean_s = reference.objective(chosen.place, chosen.codecs)
        assert value - reference.best() == 0.0
        assert chosen.expected_latency_s == pytest.approx(mean_s, abs=1e-12)
        hopped += EDGE in chosen.place
    assert 20 < hopped < 180  # the instances are not trivial


def test_more_bandwidth_and_shorter_delay_never_hurt():
    rng = np.random.default_rng(2)
    graph = camera_graph()
    for _ in range(60):
        forecast = random_forecast(rng, 8)
        more = float(rng.uniform(1.0, 3.0))
        better = LinkForecast(
            forecast.up_bps * more, forecast.down_bps * more, forecast.rtt_s / more, forecast.loss / more
        )
        deadline_s = float(rng.uniform(0.03, 0.3))
        assert objective(graph, better, deadline_s) <= objective(graph, forecast, deadline_s) + 1e-12


def test_a_busier_computer_never_helps():
    forecast = random_forecast(np.random.default_rng(3), 16)
    for deadline_s in (0.05, 0.15, 0.4):
        for which in (0, 1):
            values = []
            for share in (0.0, 0.3, 0.6, 0.9):
                budgets = [CAR_NOW, EDGE_NOW]
                budgets[which] = replace(budgets[which], share_taken=share)
                values.append(objective(camera_graph(), forecast, deadline_s, *budgets))
            assert values == sorted(values)


def test_a_dead_link_keeps_everything_that_matters_in_the_car():
    forecast = LinkForecast(*(np.array([x, x]) for x in (0.0, 0.0, 0.0, 1.0)))
    chosen = ExactPolicy().decide(camera_graph(), CAR_NOW, EDGE_NOW, forecast, 0.2)
    assert set(chosen.place) == {CAR}
    assert chosen.fallback_at_s is None
    assert not chosen.codecs


def test_a_fast_link_moves_the_stages_and_keeps_a_fallback():
    chosen = ExactPolicy().decide(camera_graph(), CAR_NOW, EDGE_NOW, certain_forecast(up=2e8, rtt=0.005), 0.2)
    assert EDGE in chosen.place
    local_s = sum(CAR_NOW.stage_seconds(s.cost) for s in camera_graph().stages if s.name != "perception_heads")
    assert chosen.fallback_at_s == pytest.approx(0.2 - local_s - PolicyConfig().margin_s)


def test_cameras_are_placed_one_by_one():
    """With a middling uplink some camera is worth uploading while another is better computed at home."""
    graph = camera_graph(3)
    seen = set()
    for up in np.geomspace(1e6, 5e7, 40):
        place = ExactPolicy().decide(graph, CAR_NOW, EDGE_NOW, certain_forecast(up=float(up), rtt=0.005), 0.3).place
        seen.add(tuple(place[:3]))
    assert any(len(set(cameras)) == 2 for cameras in seen), seen


def test_baselines_stay_where_they_belong():
    args = (camera_graph(), CAR_NOW, EDGE_NOW, certain_forecast(), 0.2)
    assert set(LocalOnlyPolicy().decide(*args).place) == {Place.CAR}
    remote = EdgeOnlyPolicy().decide(*args)
    assert set(remote.place) == {Place.EDGE}
    assert remote.fallback_at_s is not None
    assert remote.codecs["image[c0]"] == "jpeg"


def test_too_many_stages_are_refused():
    with pytest.raises(ValueError, match="received 17"):
        all_masks(17)
