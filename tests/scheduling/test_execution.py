"""Execution in virtual time: agreement with the prediction, conservation, and the promise of an answer."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scheduling_cases import CAR, EDGE, camera_graph, certain_forecast, computer, sources, stage_functions

from scheduling import (
    EdgeOnlyPolicy,
    ExactPolicy,
    ExecutorConfig,
    FixedLink,
    LinkGeometry,
    LinkState,
    LinkTrace,
    LocalOnlyPolicy,
    OffLink,
    Place,
    PolicyConfig,
    RadioConfig,
    RadioLink,
    Schedule,
    TenantLoad,
    VirtualExecutor,
    perfetto_events,
    write_perfetto,
)
from scheduling.exhaustive import Exhaustive

GRAPH = camera_graph()
FUNCTIONS = stage_functions(GRAPH)
GOOD = LinkState(up_bps=4e7, down_bps=8e7, rtt_s=0.03, loss=0.0, rsu=0)


def executor(car_flops=5e10, tenants=None, **options):
    return VirtualExecutor(
        GRAPH, computer("car", car_flops, tenants=tenants), computer("edge", 1e12), ExecutorConfig(**options)
    )


def drive(policy, link, frames=60, seed=0, car_flops=5e10, deadline_s=0.25):
    """Frames every 0.1 s past a roadside unit, with a tenant that wakes up now and then."""
    rng = np.random.default_rng(seed)
    tenants = TenantLoad(0.2, 0.7, mean_quiet_s=1.5, mean_awake_s=1.0, seed=seed)
    run = executor(car_flops, tenants, seed=seed)
    previous, timelines = None, []
    for i in range(frames):
        now_s = 0.1 * i
        distance_m = abs(3.0 * i - 60.0) + 5.0
        link.step(LinkGeometry(int(i > 35), distance_m, bool(rng.random() < 0.7), int(rng.integers(2))), now_s, 0.1)
        previous = policy.decide(
            GRAPH, run.car.state(now_s), run.edge.state(now_s), link.forecast(policy.config.futures), deadline_s,
            previous, payload_bytes=run.payload_bytes, busy=run.busy(now_s),
        )  # fmt: skip
        timelines.append(run.run(previous, FUNCTIONS, sources(GRAPH, i), link.truth(), i, now_s)[1])
    return timelines


def test_prediction_is_execution_for_every_kind_of_placement():
    rng = np.random.default_rng(0)
    for trial in range(80):
        place = tuple(Place(int(x)) for x in rng.integers(0, 2, len(GRAPH.stages)))
        codecs = {name: str(rng.choice(names)) for name, names in GRAPH.codecs.items()}
        run = executor(payload_smoothing=1.0)
        schedule = Schedule(place, codecs, 10.0, 0.0, "random")
        _, timeline = run.run(schedule, FUNCTIONS, sources(GRAPH, trial), GOOD, 0, 0.0)
        forecast = certain_forecast(GOOD.up_bps, GOOD.down_bps, GOOD.rtt_s)
        reference = Exhaustive(
            GRAPH, run.car.state(0), run.edge.state(0), forecast, 10.0, PolicyConfig(), None, run.payload_bytes
        )
        codecs |= {name: "raw" for name in reference.tensors if name not in codecs}
        where = {stage.name: p for stage, p in zip(GRAPH.stages, place, strict=True)}
        assert timeline.latency_s == pytest.approx(reference.latency(where, codecs, 0)[0], abs=1e-12)


@pytest.mark.parametrize("policy", [ExactPolicy(), EdgeOnlyPolicy(), LocalOnlyPolicy()])
@pytest.mark.parametrize("deadline_s", [0.03, 0.12, 0.4])
def test_a_policy_gets_what_it_expected_on_a_certain_link(policy, deadline_s):
    payload, forecast = {}, certain_forecast(GOOD.up_bps, GOOD.down_bps, GOOD.rtt_s, futures=4)
    for _ in range(6):  # until every codec it wants has been seen once
        run = executor(payload_smoothing=1.0)
        run.payload_bytes.update(payload)
        schedule = policy.decide(
            GRAPH, run.car.state(0), run.edge.state(0), forecast, deadline_s, payload_bytes=run.payload_bytes
        )
        timeline = run.run(schedule, FUNCTIONS, sources(GRAPH), GOOD, 0, 0.0)[1]
        payload = run.payload_bytes
    assert timeline.latency_s == pytest.approx(schedule.expected_latency_s, abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("policy", [ExactPolicy(), EdgeOnlyPolicy(), LocalOnlyPolicy()])
def test_resources_serve_one_job_at_a_time_and_bytes_are_conserved(policy, seed):
    timelines = drive(policy, RadioLink(RadioConfig(seed=seed)), seed=seed, car_flops=3e10)
    for resource in ("car", "uplink", "edge", "downlink"):
        spans = sorted((s.start_s, s.end_s) for t in timelines for s in t.spans if s.resource == resource)
        assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(spans)), resource
    for timeline in timelines:
        assert all(timeline.capture_s <= span.start_s <= span.end_s < np.inf for span in timeline.spans)
        for resource, total in (("uplink", timeline.bytes_up), ("downlink", timeline.bytes_down)):
            assert total == sum(span.bytes for span in timeline.spans if span.resource == resource)
    answered = [t.ready_s for t in timelines if t.ready_s is not None]
    assert len(answered) > len(timelines) // 4
    assert np.diff(answered).max() < 0.7  # the car is never left without news


def test_two_runs_are_equal():
    first, second = (drive(ExactPolicy(), RadioLink(RadioConfig(seed=5)), seed=5) for _ in range(2))
    assert first == second
    assert first != drive(ExactPolicy(), RadioLink(RadioConfig(seed=6)), seed=5)


def test_stages_hop_as_link_and_tenants_change():
    places = Counter()
    for seed in range(3):
        for timeline in drive(ExactPolicy(), RadioLink(RadioConfig(seed=seed)), seed=seed, car_flops=1e11):
            places["edge" if any(span.resource == "edge" for span in timeline.spans) else "car"] += 1
    assert min(places.values()) > 20, places


@pytest.mark.parametrize("dies_at_s", [0.0, 0.003, 0.01, 0.02])
def test_the_fallback_answers_in_time_when_the_link_dies_mid_frame(dies_at_s):
    calls = Counter()

    def counted(name):
        return lambda *inputs: calls.update([name]) or FUNCTIONS[name](*inputs)

    dead = LinkState(0.0, 0.0, 0.0, 1.0, -1, available=False)
    trace = LinkTrace((1.0, 1.0 + dies_at_s + 1e-9), (GOOD, dead))
    run = executor()
    deadline_s = 0.2
    forecast = certain_forecast(GOOD.up_bps, GOOD.down_bps, GOOD.rtt_s)
    schedule = EdgeOnlyPolicy().decide(GRAPH, run.car.state(1), run.edge.state(1), forecast, deadline_s)
    functions = {name: counted(name) for name in FUNCTIONS}
    outputs, timeline = run.run(schedule, functions, sources(GRAPH), trace, 0, 1.0)
    assert timeline.used_fallback
    assert timeline.latency_s <= deadline_s
    local = VirtualExecutor(GRAPH, run.car, run.edge)
    alone = Schedule((CAR,) * len(GRAPH.stages), {}, None, 0.0, "local")
    expected, _ = local.run(alone, FUNCTIONS, sources(GRAPH), GOOD, 0, 1.0)
    assert {name: value.tobytes() for name, value in outputs.items()} == {n: v.tobytes() for n, v in expected.items()}
    if dies_at_s == 0.0:  # nothing ever reached the edge: nothing was computed twice
        assert set(calls.values()) == {1}
    assert all(span.end_s < np.inf for span in timeline.spans)


def test_lost_messages_are_answered_by_the_fallback():
    run = executor()
    schedule = EdgeOnlyPolicy().decide(GRAPH, run.car.state(0), run.edge.state(0), certain_forecast(), 0.2)
    lossy = LinkState(GOOD.up_bps, GOOD.down_bps, GOOD.rtt_s, loss=1.0, rsu=0)
    _, timeline = run.run(schedule, FUNCTIONS, sources(GRAPH), lossy, 0, 0.0)
    assert timeline.used_fallback
    assert timeline.bytes_up > 0


def test_latest_wins_when_the_car_is_too_slow():
    """A local run of 2.3 frame periods: every frame waits less than one period, older waiting ones are dropped."""
    run = executor(car_flops=3.5e9 / 0.23 * 1.0)
    schedule = Schedule((CAR,) * len(GRAPH.stages), {}, None, 0.0, "local")
    timelines = [run.run(schedule, FUNCTIONS, sources(GRAPH), GOOD, i, 0.1 * i)[1] for i in range(30)]
    kept = [t for t in timelines if t.ready_s is not None]
    assert 0.3 < len(kept) / len(timelines) < 0.6
    for timeline in kept:
        assert min(span.start_s for span in timeline.spans) - timeline.capture_s < 0.1
    assert all(not t.spans for t in timelines if t.ready_s is None)


def test_fixed_latency_is_exact_whatever_runs_where():
    link = FixedLink.configured(latency_s=2.0)
    for policy in (ExactPolicy(), LocalOnlyPolicy()):
        for timeline in drive(policy, link, frames=4):
            assert timeline.ready_s == timeline.capture_s + 2.0


def test_without_radio_nothing_leaves_the_car():
    for timeline in drive(ExactPolicy(), OffLink(), frames=20):
        assert {span.resource for span in timeline.spans} <= {"car"}
        assert timeline.bytes_up == 0


def test_torch_tensors_stay_torch_tensors_through_codecs():
    run = executor()
    functions = {name: lambda *x, f=f: tuple(map(torch.from_numpy, f(*x))) for name, f in FUNCTIONS.items()}
    inputs = {name: torch.from_numpy(value) for name, value in sources(GRAPH).items()}
    place = tuple(EDGE if stage.name != "decision" else CAR for stage in GRAPH.stages)
    schedule = Schedule(place, {"image[c0]": "jpeg", "bev": "int8"}, 10.0, 0.0, "by hand")
    outputs, timeline = run.run(schedule, functions, inputs, GOOD, 0, 0.0)
    assert set(outputs) == {"path", "speed_logits", "segmentation"}
    assert timeline.bytes_down > 0
    assert all(isinstance(value, torch.Tensor) for value in outputs.values())


def test_perfetto_file(tmp_path):
    timelines = drive(ExactPolicy(), RadioLink(), frames=20)
    events = perfetto_events(timelines)
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert names == {"frames", "car", "uplink", "edge", "downlink"}
    assert sum(e["ph"] == "X" for e in events) == sum(len(t.spans) for t in timelines)
    write_perfetto(tmp_path / "a.json", timelines)
    write_perfetto(tmp_path / "b.json", timelines)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]
