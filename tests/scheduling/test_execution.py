"""Execution in virtual time: agreement with the formulation, conservation, and the promise of an answer."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduling_cases import (
    CAR,
    CLOUD,
    DEAD,
    EDGE,
    GOOD,
    camera_graph,
    certain_forecast,
    computer,
    memory_graph,
    node,
    patchy_link,
    sources,
    stage_functions,
)

from scheduling.budget import TenantLoad
from scheduling.codecs import CODECS, nominal_payload_bytes
from scheduling.execution import ExecutorConfig, VirtualExecutor
from scheduling.link.base import LinkTrace
from scheduling.policies import ExactPolicy
from scheduling.problem import Problem
from scheduling.queue import SharedQueue
from scheduling.references.random_problems import random_graph
from scheduling.thermal import ThermalConfig
from scheduling.timeline import perfetto_events, write_perfetto
from scheduling.types import ModelVariant, Place, Schedule, StageGraph

GRAPH, MEMORY = camera_graph(), memory_graph()
FUNCTIONS = stage_functions(GRAPH)
COMPUTERS = ("car", "edge", "cloud")
SERIAL = (*COMPUTERS, "uplink", "downlink")


def tiers(car_flops=5e10, tenants=None, thermal=None):
    return (
        computer("car", car_flops, tenants=tenants, int8_ops=2 * car_flops, thermal=thermal),
        computer("edge", 1e12, int8_ops=2e12),
        computer("cloud", 4e12),
    )


def executor(graph=GRAPH, car_flops=5e10, tenants=None, thermal=None, queues=None, **options):
    return VirtualExecutor(
        (ModelVariant("net", graph),), tiers(car_flops, tenants, thermal), ExecutorConfig(**options), queues=queues
    )


def everything(place, graph=GRAPH, fallback_at_s=None, **options):
    return Schedule((place,) * len(graph.stages), {}, fallback_at_s, 0.0, "by hand", **options)


def random_schedule(rng, graph, fallback_at_s, **options):
    place = tuple(Place(int(p)) for p in rng.choice(3, len(graph.stages), p=[0.4, 0.4, 0.2]))
    codecs = {name: str(rng.choice(names)) for name, names in graph.codecs.items() if rng.random() < 0.9}
    return Schedule(place, codecs, fallback_at_s, 0.0, "random", **options)


def whole_run_s(run, graph, precision="int8"):
    """Of the critical stages on the idle car: what the fallback takes."""
    needed, total = set(graph.sinks), 0.0
    for stage in reversed(graph.stages):
        if needed & set(stage.outputs):
            needed |= set(stage.inputs)
            total += run.computers[CAR].alone_seconds(stage.cost, precision)
    return total


class Oracle:
    """docs/scheduling.md, "Latency of one frame in one future", word for word on dictionaries."""

    def __init__(self, graph, computers, schedule, link, homes, sizes, line):
        self.graph, self.link, self.sizes, self.line = graph, link, sizes, line
        self.free = {CAR: 0.0, EDGE: 0.0, CLOUD: 0.0, "up": 0.0, "down": 0.0}
        self.codecs = {name: CODECS[schedule.codecs.get(name, "raw")] for name in raw_bytes(graph)}
        critical, needed = [], set(graph.sinks)
        for i in reversed(range(len(graph.stages))):
            if needed & set(graph.stages[i].outputs):
                critical.insert(0, i)
                needed |= set(graph.stages[i].inputs)
        self.made = {name: (homes.get(name, CAR), 0.0) for name in graph.sources}  # tensor -> (home, when)
        self.there, self.up = {}, {}  # (tensor, tier) -> arrival; tensor -> end of its uplink
        self.last_car_s = 0.0
        for i in critical:
            stage, place = graph.stages[i], schedule.place[i]
            arrival = max((self.fetch(name, place) for name in stage.inputs), default=0.0)
            seconds = computers[place].alone_seconds(
                stage.cost, schedule.precisions[i] if schedule.precisions else None
            )
            self.free[place] = max(arrival, self.free[place]) + seconds
            if place == CAR:
                self.last_car_s = self.free[CAR]
            self.made |= dict.fromkeys(stage.outputs, (place, self.free[place]))
        self.answer_s = max(self.fetch(name, CAR) for name in graph.sinks)

    def fetch(self, name, place):
        home, made = self.made[name]
        if home == place:
            return made
        if (name, place) not in self.there:
            self.there[name, place] = self.arrival(name, home, place, made)
        return self.there[name, place]

    def arrival(self, name, home, place, made):
        codec, raw = self.codecs[name], raw_bytes(self.graph)[name]
        b, u, d = 8 * self.sizes(name, codec.name), self.link.up_bps, self.link.down_bps
        r, s, g = self.link.rtt_s, self.link.wan_rtt_s, self.link.wan_bps
        x, decode = made + codec.encode_s(raw), codec.decode_s(raw)
        if home == CAR:
            if name not in self.up:
                self.up[name] = self.free["up"] = max(x, self.free["up"]) + b / u
            there = self.up[name] + r / 2 + (b / g + s / 2 if place == CLOUD else 0.0)
            return there + self.line(place, there) + decode
        if place != CAR:
            return x + b / g + s / 2 + self.line(place, x + b / g + s / 2) + decode
        at_edge = x if home == EDGE else x + b / g + s / 2
        self.free["down"] = max(at_edge, self.free["down"]) + b / d
        return self.free["down"] + r / 2 + decode


def raw_bytes(graph):
    return {**graph.sources, **{n: b for stage in graph.stages for n, b in stage.cost.output_bytes.items()}}


@pytest.mark.parametrize("seed", range(150))
def test_prediction_is_execution(seed):
    """Any graph, placement, codecs, precisions, homes of the memory and lines at the servers, on a certain link."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, int(rng.integers(1, 9)))
    link = replace(GOOD, wan_bps=float(rng.choice([1e8, 1e9])))
    queues = {place: SharedQueue(60.0, 0.01, seed=seed) for place in (EDGE, CLOUD) if rng.random() < 0.5}
    run = executor(graph, queues=queues, frame_period_s=1e3, payload_jitter=0.0)
    now_s = 0.0
    if rng.random() < 0.7:  # a frame before, which leaves the memory wherever
        before = random_schedule(rng, graph, 1e3)
        run.run(before, None, {}, link, 0, 0.0)
        now_s = 50.0
    homes = run.state_home(now_s)
    fallback_at_s = 1e3 if seed % 2 else float(rng.uniform(0.0, 0.2))
    schedule = random_schedule(rng, graph, fallback_at_s)
    precisions = tuple(str(rng.choice(run.computers[place].precisions)) for place in schedule.place)
    schedule = replace(schedule, precisions=precisions if rng.random() < 0.7 else ())
    line = lambda place, at_s: queues[place].backlog_at(now_s + at_s) if place in queues else 0.0  # noqa: E731
    sizes = lambda name, codec: round(nominal_payload_bytes(codec, raw_bytes(graph)[name]))  # noqa: E731
    oracle = Oracle(graph, run.computers, schedule, link, homes, sizes, line)
    critical = [p for s, p in zip(graph.stages, schedule.place, strict=True) if set(s.outputs) & _needed(graph)]
    local = all(p == CAR for p in critical) and all(home == CAR for home in homes.values())
    expected_s = oracle.answer_s
    if not local:
        end_s = fallback_at_s + whole_run_s(run, graph)
        lost = oracle.last_car_s > fallback_at_s
        expected_s = end_s if lost else min(oracle.answer_s, end_s)
    timeline = run.run(schedule, None, {}, link, 1, now_s)[1]
    assert timeline.latency_s == pytest.approx(expected_s, abs=1e-9)
    assert timeline.used_fallback == (not local and (lost or end_s < oracle.answer_s))


def _needed(graph):
    needed = set(graph.sinks)
    for stage in reversed(graph.stages):
        if needed & set(stage.outputs):
            needed |= set(stage.inputs)
    return needed


@pytest.mark.parametrize("deadline_s", [0.03, 0.08, 0.4])
def test_the_exact_policy_gets_what_it_expected_on_a_certain_link(deadline_s):
    run = executor(payload_smoothing=1.0)
    policy, forecast, schedule = ExactPolicy(), certain_forecast(futures=4), None
    for i in range(8):  # until every codec it wants has been seen once
        now_s = 10.0 * i
        schedule = policy.decide(
            Problem(
                run.models, run.states(now_s), forecast, deadline_s, previous=schedule,
                payload_bytes=run.payload_bytes, busy=run.busy(now_s), state_home=run.state_home(now_s),
            )
        )  # fmt: skip
        timeline = run.run(schedule, FUNCTIONS, sources(GRAPH), LinkTrace.constant(GOOD), i, now_s)[1]
    assert timeline.latency_s == pytest.approx(schedule.expected_latency_s, abs=1e-9)


def rough_drive(seed, frames=60, graph=GRAPH):
    """Any schedule at all on a patchy link, with other tenants on the car and other cars at the servers."""
    rng = np.random.default_rng(seed)
    queues = {EDGE: SharedQueue(70.0, 0.01, seed=seed), CLOUD: SharedQueue(50.0, 0.01, 1.0, seed=seed)}
    tenants = TenantLoad(0.1, 0.6, mean_quiet_s=1.0, mean_awake_s=1.0, seed=seed)
    run = executor(graph, float(rng.choice([2e10, 1e11])), tenants, queues=queues, seed=seed)
    timelines, schedules, traces = [], [], []
    for i in range(frames):
        now_s = 0.1 * i
        schedules.append(
            random_schedule(
                rng, graph, [None, 0.0, 0.05, 0.15][int(rng.integers(4))], fifo=seed % 4 == 3,
                decided_at=Place(int(rng.choice(3, p=[0.7, 0.2, 0.1]))),
            )
        )  # fmt: skip
        traces.append(patchy_link(rng, now_s))
        busy = run.busy(now_s)
        assert min(busy.car_s, busy.uplink_s, busy.edge_s, busy.downlink_s, busy.cloud_s) >= 0.0
        timelines.append(run.run(schedules[-1], None, {}, traces[-1], i, now_s)[1])
    return run, timelines, schedules, traces


@pytest.mark.parametrize("seed", range(8))
def test_resources_serve_one_job_at_a_time_and_time_never_runs_backwards(seed):
    run, timelines, schedules, _ = rough_drive(seed)
    for resource in SERIAL:
        spans = sorted((s.start_s, s.end_s) for t in timelines for s in t.spans if s.resource == resource)
        assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(spans)), resource
    for timeline, schedule in zip(timelines, schedules, strict=True):
        assert all(timeline.capture_s <= span.start_s <= span.end_s < math.inf for span in timeline.spans)
        assert timeline.ready_s is None or timeline.capture_s <= timeline.ready_s < math.inf
        assert timeline.ready_s is not None or schedule.fallback_at_s is None or not schedule.fifo
    made: dict[tuple[int, str], float] = {}  # by the main run or the car's own, whichever was first
    for timeline in timelines:
        for span in timeline.spans:
            if span.resource in COMPUTERS:
                key = timeline.frame_id, span.stage
                made[key] = min(span.end_s, made.get(key, math.inf))
    maker = {name: stage.name for stage in GRAPH.stages for name in stage.outputs}
    for timeline in timelines:
        for span in timeline.spans:  # nothing is sent before it is made
            if span.resource not in COMPUTERS and span.stage in maker:
                assert span.start_s >= made[timeline.frame_id, maker[span.stage]]
    assert sum(t.ready_s is not None for t in timelines) > 15
    if seed % 4 != 3:  # calendars do not grow; a fifo's line does
        assert all(len(calendar) < 40 for calendar in run.calendars)


@pytest.mark.parametrize("seed", range(6))
def test_bytes_are_conserved(seed):
    _, timelines, _, traces = rough_drive(seed)
    crossed = Counter()
    for timeline, trace in zip(timelines, traces, strict=True):
        air = [span for span in timeline.spans if span.resource in ("uplink", "downlink")]
        for resource, total in (("uplink", timeline.bytes_up), ("downlink", timeline.bytes_down)):
            assert total == sum(span.bytes for span in air if span.resource == resource)
        for span in air:  # the air carried what it says, to the byte, and no tensor twice
            assert span.bytes <= trace.bytes_between(span.start_s, span.end_s, span.resource == "uplink") + 1
            assert trace.bytes_between(span.start_s, span.end_s, span.resource == "uplink") <= span.bytes + 1
            crossed[timeline.frame_id, span.stage, span.resource] += 1
        sent = {span.stage: span for span in air if span.resource == "uplink"}
        arrived = {span.stage: span for span in timeline.spans if span.resource == "wan_up"}
        for name in sent.keys() & arrived.keys():  # what goes on to the cloud has come up before, whole
            assert arrived[name].bytes <= sent[name].bytes
            assert arrived[name].start_s >= sent[name].end_s
    assert set(crossed.values()) == {1}


def test_two_runs_are_equal():
    first, second = (rough_drive(5)[1] for _ in range(2))
    assert first == second
    assert first != rough_drive(6)[1]


def test_cost_only_mode_takes_the_same_time_when_payloads_are_the_same():
    rng = np.random.default_rng(3)
    for seed in range(25):
        real = executor(payload_smoothing=1.0)
        schedule = random_schedule(rng, GRAPH, float(rng.choice([0.02, 1.0])))
        trace = patchy_link(rng, 0.0)
        outputs, timeline = real.run(schedule, FUNCTIONS, sources(GRAPH, seed), trace, seed, 0.0)
        assert set(outputs) >= {"path", "speed_logits"}
        cheap = VirtualExecutor(
            real.models, real.computers, ExecutorConfig(payload_jitter=0.0), payloads=real.payload_bytes
        )
        assert cheap.run(schedule, None, {}, trace, seed, 0.0) == ({}, timeline)


def test_jitter_is_small_the_same_for_a_frame_and_spares_codecs_of_constant_rate():
    schedule = replace(everything(EDGE, fallback_at_s=10.0), codecs={"image[c0]": "jpeg"})
    seen = {"image[c0]": [], "image[c1]": []}
    for frame in range(200):
        timeline = executor().run(schedule, None, {}, GOOD, frame, 0.0)[1]
        assert timeline == executor().run(schedule, None, {}, GOOD, frame, 0.0)[1]
        for span in timeline.spans:
            if span.stage in seen:
                seen[span.stage].append(span.bytes)
    logs = np.log(seen["image[c0]"])
    assert np.std(logs) == pytest.approx(0.03, rel=0.2)
    assert np.exp(np.mean(logs)) == pytest.approx(nominal_payload_bytes("jpeg", 3 * 64 * 128), rel=0.01)
    assert len(set(seen["image[c1]"])) == 1


# The promise of an answer


@settings(max_examples=150, deadline=None)
@given(
    dies_at_s=st.floats(0.0, 0.2),
    lasts_s=st.floats(1e-4, 1.0),
    place=st.sampled_from([EDGE, CLOUD]),
    on_car=st.integers(0, len(MEMORY.stages) - 1),
    memory_home=st.sampled_from([CAR, EDGE, CLOUD]),
)
def test_the_fallback_answers_in_time_however_the_link_dies(dies_at_s, lasts_s, place, on_car, memory_home):
    run = executor(MEMORY, car_flops=6e10)
    run.run(everything(memory_home, MEMORY, 10.0), None, {}, GOOD, 0, 0.0)
    deadline_s, now_s = 0.2, 20.0
    schedule = everything(place, MEMORY, deadline_s - whole_run_s(run, MEMORY) - 0.01)
    schedule = replace(schedule, place=(CAR,) * on_car + schedule.place[on_car:])
    trace = LinkTrace((now_s - 1.0, now_s + dies_at_s, now_s + dies_at_s + lasts_s), (GOOD, DEAD, GOOD))
    timeline = run.run(schedule, None, {}, trace, 1, now_s)[1]
    assert timeline.latency_s <= deadline_s
    assert all(span.end_s < math.inf for span in timeline.spans)


@pytest.mark.parametrize("dies_at_s", [0.0, 0.003, 0.02])
def test_the_fallback_computes_what_the_car_alone_would(dies_at_s):
    calls = Counter()
    functions = {name: lambda *x, n=name: calls.update([n]) or FUNCTIONS[n](*x) for name in FUNCTIONS}
    trace = LinkTrace((1.0, 1.0 + dies_at_s + 1e-9), (GOOD, DEAD))
    place = tuple(CAR if stage.name == "image_backbone[c0]" else EDGE for stage in GRAPH.stages)
    schedule = replace(everything(EDGE, fallback_at_s=0.1), place=place)
    outputs, timeline = executor().run(schedule, functions, sources(GRAPH), trace, 0, 1.0)
    assert timeline.used_fallback
    expected, _ = executor().run(everything(CAR), FUNCTIONS, sources(GRAPH), GOOD, 0, 1.0)
    assert {name: value.tobytes() for name, value in outputs.items()} == {n: v.tobytes() for n, v in expected.items()}
    if dies_at_s == 0.0:  # what the car had computed already is not computed again
        assert set(calls.values()) == {1}


def test_without_a_fallback_a_frame_may_end_without_an_answer():
    lossy = replace(GOOD, loss=1.0)
    dies = LinkTrace((0.0, 0.004), (GOOD, DEAD))
    for truth in (lossy, DEAD, dies):
        run = executor()
        outputs, timeline = run.run(everything(EDGE), FUNCTIONS, sources(GRAPH), truth, 0, 0.0)
        assert (outputs, timeline.ready_s, timeline.used_fallback) == ({}, None, False)
        assert all(span.end_s < math.inf for span in timeline.spans)
        assert run.run(everything(EDGE), None, {}, GOOD, 1, 0.2)[1].ready_s is not None  # and the air is free again
    assert executor().run(everything(EDGE, fallback_at_s=0.1), None, {}, lossy, 0, 0.0)[1].used_fallback


def test_of_a_lost_frame_nothing_arrives_and_frames_are_lost_as_often_as_the_link_says():
    run, lost = executor(car_flops=1e12), 0
    for i in range(1000):
        timeline = run.run(everything(EDGE, fallback_at_s=0.08), None, {}, replace(GOOD, loss=0.1), i, 0.1 * i)[1]
        lost += timeline.used_fallback
        assert timeline.bytes_up > 0
        assert timeline.used_fallback != any(span.resource == "edge" for span in timeline.spans)
    assert 70 < lost < 130  # five standard deviations are 47


def test_speculation_starts_the_car_at_once_and_the_first_answer_cancels_the_rest():
    run = executor(car_flops=5e10)
    timeline = run.run(everything(EDGE, fallback_at_s=0.0), None, {}, replace(GOOD, up_bps=1e9), 0, 0.0)[1]
    assert not timeline.used_fallback
    own = [span for span in timeline.spans if span.resource == "car"]
    assert own[0].start_s == 0.0
    assert own[-1].end_s == timeline.ready_s
    busy_s = sum(span.end_s - span.start_s for span in own)
    air_s = sum(span.end_s - span.start_s for span in timeline.spans if span.resource in ("uplink", "downlink"))
    assert timeline.car_j == pytest.approx(10.0 * busy_s + run.config.radio_w * air_s)  # cut spans pro rata
    assert run.busy(timeline.ready_s).car_s == 0.0


def test_cancelled_work_frees_its_resources():
    run = executor()
    slow = replace(GOOD, up_bps=1e4)
    first = run.run(everything(EDGE, fallback_at_s=0.02), None, {}, slow, 0, 0.0)[1]
    assert first.used_fallback
    assert all(span.end_s <= first.ready_s or span.resource == "car" for span in first.spans)
    later = first.ready_s + 0.1
    second = run.run(everything(EDGE, fallback_at_s=10.0), None, {}, GOOD, 1, later)[1]
    fresh = executor().run(everything(EDGE, fallback_at_s=10.0), None, {}, GOOD, 1, later)[1]
    assert second == fresh


# Overload


def test_a_fifo_grows_without_bound_where_the_latest_wins():
    """A local run of 2.3 frame periods."""
    slow = 3.5e9 / 0.23
    latest, fifo = executor(car_flops=slow), executor(car_flops=slow)
    kept = [latest.run(everything(CAR), None, {}, GOOD, i, 0.1 * i)[1] for i in range(60)]
    line = [fifo.run(everything(CAR, fifo=True), None, {}, GOOD, i, 0.1 * i)[1] for i in range(60)]
    answered = [t for t in kept if t.ready_s is not None]
    assert 0.3 < len(answered) / len(kept) < 0.6
    for timeline in answered:
        assert min(span.start_s for span in timeline.spans) - timeline.capture_s < 0.1
    assert all(not t.spans for t in kept if t.ready_s is None)
    waits = np.diff([t.latency_s for t in line])
    assert waits.min() > 0.1
    assert waits.max() == pytest.approx(waits.min())


def test_the_same_holds_on_the_air():
    thin = replace(GOOD, up_bps=8 * 2 * 3 * 64 * 128 / 0.25)  # two raw pictures in 0.25 s
    latest, fifo = executor(), executor()
    kept = [latest.run(everything(EDGE), None, {}, thin, i, 0.1 * i)[1].latency_s for i in range(40)]
    line = [fifo.run(everything(EDGE, fifo=True), None, {}, thin, i, 0.1 * i)[1].latency_s for i in range(40)]
    assert max(latency for latency in kept if latency is not None) < 0.6
    assert line[-1] > 5.0


def test_the_same_holds_at_a_server_with_other_cars_before_it():
    slow = (computer("car", 5e10), computer("edge", 3.5e9 / 0.23), computer("cloud", 1e12))
    queue = SharedQueue(60.0, 0.01, seed=1)
    run = VirtualExecutor((ModelVariant("net", GRAPH),), slow, queues={EDGE: queue})
    latencies = [run.run(everything(EDGE), None, {}, GOOD, i, 0.1 * i)[1].latency_s for i in range(100)]
    answered = [latency for latency in latencies if latency is not None]
    assert 0.3 < len(answered) / len(latencies) < 0.6
    longest_s = max(queue.backlog_at(0.1 * i) for i in range(100))
    assert max(answered) < 0.23 + 0.1 + 0.06 + longest_s


def test_work_that_waits_for_a_link_is_superseded_and_a_fifos_waits():
    gap = LinkTrace((0.0, 0.5), (DEAD, GOOD))
    assert executor().run(everything(EDGE), None, {}, gap, 0, 0.0)[1].ready_s is None
    assert executor().run(everything(EDGE, fifo=True), None, {}, gap, 0, 0.0)[1].ready_s > 0.5
    short = LinkTrace((0.0, 0.05), (DEAD, GOOD))
    late, usual = (executor().run(everything(EDGE), None, {}, truth, 0, 0.0)[1] for truth in (short, GOOD))
    encode_s = CODECS["raw"].encode_s(3 * 64 * 128)
    assert late.latency_s == pytest.approx(usual.latency_s + 0.05 - encode_s, abs=1e-9)


# The memory


def counting():
    """Every stage adds up its inputs; the encoder counts: its memory holds how many frames it has seen."""
    one = np.ones((1, 1024), np.float32)
    return {
        "backbone": lambda image: (0.0 * one,),
        "encoder": lambda feature, memory: (feature + memory + 1.0,),
        "head": lambda bev: (bev[:, :64],),
        "decoder": lambda bev: (bev[:, :20],),
    }


def frames_seen(outputs):
    return float(np.asarray(outputs["path"]).mean())


START = {"image": np.zeros((1, 3, 64, 100), np.uint8), "memory": np.zeros((1, 1024), np.float32)}


def test_the_memory_follows_the_stage_that_makes_it():
    run = executor(MEMORY)
    for i, place in enumerate((CAR, EDGE, EDGE, CLOUD, CAR, CLOUD, EDGE)):
        before = run.state_home(float(i)).get("memory", CAR)
        outputs, timeline = run.run(everything(place, MEMORY, 0.9), counting(), START, GOOD, i, float(i))
        assert frames_seen(outputs) == i + 1
        crossed = {span.resource for span in timeline.spans if span.stage == "memory"}
        radio = {"uplink"} if before == CAR and place != CAR else {"downlink"} if place == CAR != before else set()
        wide = {"wan_up"} if place == CLOUD != before else {"wan_down"} if before == CLOUD != place else set()
        assert crossed == radio | wide
        assert run.state_home(i + 1.0) == {"memory": place}


def test_a_frame_works_with_the_memory_that_exists_when_it_is_captured():
    run = executor(MEMORY, car_flops=1e11)
    slow = replace(GOOD, rtt_s=0.25)  # answers come after the next frame's capture
    seen = [frames_seen(run.run(everything(EDGE, MEMORY), counting(), START, slow, i, 0.1 * i)[0]) for i in range(6)]
    assert seen == [1, 1, 2, 2, 3, 3]


def test_the_fallback_answers_from_the_cars_own_memory_which_is_then_the_newest():
    run = executor(MEMORY, car_flops=1e11)
    schedule = everything(EDGE, MEMORY, 0.1)
    run.run(everything(CAR, MEMORY), counting(), START, GOOD, 0, 0.0)
    for i in (1, 2, 3):
        outputs = run.run(schedule, counting(), START, GOOD, i, float(i))[0]
    assert frames_seen(outputs) == 4
    outputs, timeline = run.run(schedule, counting(), START, DEAD, 4, 4.0)
    assert timeline.used_fallback
    assert frames_seen(outputs) == 2  # one that the car saw before, and this one
    assert run.state_home(5.0) == {"memory": CAR}


@pytest.mark.parametrize("fallback_at_s", [None, 0.1])
def test_a_car_whose_memory_is_away_never_waits_for_it(fallback_at_s):
    run = executor(MEMORY, car_flops=1e11)
    run.run(everything(EDGE, MEMORY, 10.0), counting(), START, GOOD, 0, 0.0)
    outputs, timeline = run.run(everything(CAR, MEMORY, fallback_at_s), counting(), START, DEAD, 1, 1.0)
    assert frames_seen(outputs) == 1
    assert {span.resource for span in timeline.spans} == {"car"}
    assert run.state_home(2.0) == {"memory": CAR}


# Sizes of the model, precisions, controllers, computers


def two_sizes():
    small = StageGraph((node("tiny", ("image",), {"path": 80}, 1e8),), {"image": 20_000}, ("path",))
    big = replace(MEMORY, sources={"image": 40_000, "memory": 4096})
    return VirtualExecutor((ModelVariant("big", big), ModelVariant("small", small, 0.02)), tiers()), big


def test_the_fallback_may_be_another_model():
    run, big = two_sizes()
    functions = {"big": counting(), "small": {"tiny": lambda image: (np.full((1, 20), 7.0, np.float32),)}}
    schedule = everything(EDGE, big, 0.05, model="big")
    outputs, timeline = run.run(schedule, functions, START, DEAD, 0, 0.0)
    assert timeline.latency_s == pytest.approx(
        0.05 + run.computers[CAR].alone_seconds(run.models[1].graph.stages[0].cost, "int8")
    )
    assert frames_seen(outputs) == 7.0
    outputs, _ = run.run(schedule, functions, START, GOOD, 1, 1.0)
    assert frames_seen(outputs) == 1.0
    assert "big/image" in run.payload_bytes  # two models, two sizes of one tensor
    assert "path" in run.payload_bytes
    with pytest.raises(ValueError, match="big, small"):
        run.run(everything(EDGE, big, 0.05), functions, START, GOOD, 2, 2.0)


def test_a_remote_controller_costs_its_round_trip():
    near, far = ((EDGE, GOOD.rtt_s), (CLOUD, GOOD.rtt_s + GOOD.wan_rtt_s))
    usual = executor().run(everything(EDGE), None, {}, GOOD, 0, 0.0)[1]
    for where, delay_s in (near, far):
        timeline = executor().run(everything(EDGE, decided_at=where), None, {}, GOOD, 0, 0.0)[1]
        assert timeline.latency_s == pytest.approx(usual.latency_s + delay_s)
        assert min(span.start_s for span in timeline.spans) >= delay_s
        assert executor().run(everything(EDGE, decided_at=where), None, {}, DEAD, 0, 0.0)[1].ready_s is None
        saved = executor().run(everything(CAR, fallback_at_s=0.05, decided_at=where), None, {}, DEAD, 0, 0.0)[1]
        assert saved.used_fallback


def test_heat_slows_the_car_down():
    hot = ThermalConfig(resistance_k_per_w=12.0, capacity_j_per_k=0.1, throttle_c=(60.0,), clocks=(0.5,))
    run = executor(car_flops=5e10, thermal=hot)
    latencies = [run.run(everything(CAR), None, {}, GOOD, i, 0.1 * i)[1].latency_s for i in range(60)]
    assert latencies[0] == pytest.approx(whole_run_s(run, GRAPH, "fp16"))
    assert run.clock == 0.5
    assert run.car_state(6.0).clock == 0.5
    assert latencies[-1] > 1.8 * latencies[0]
    cool = executor(car_flops=5e10)
    for i in range(60):
        cool.run(everything(CAR), None, {}, GOOD, i, 0.1 * i)
    assert cool.car_state(6.0).clock == 1.0


def test_auxiliary_stages_follow_their_first_input_after_the_answer():
    for place, rtt_s in itertools.product((CAR, EDGE, CLOUD), (0.03, 0.5)):
        schedule = replace(
            everything(place, MEMORY, 10.0), place=tuple(CAR if s.name == "head" else place for s in MEMORY.stages)
        )
        timeline = executor(MEMORY).run(schedule, None, {}, replace(GOOD, rtt_s=rtt_s), 0, 0.0)[1]
        (head,) = (span for span in timeline.spans if span.stage == "head")
        assert head.resource == place.name.lower()
        assert head.start_s >= timeline.ready_s


def test_fixed_latency_is_exact_whatever_runs_where():
    truth = LinkTrace((0.0,), (GOOD,), answer_delay_s=2.0)
    run = executor(MEMORY)
    for i, place in enumerate((EDGE, CAR)):
        outputs, timeline = run.run(everything(place, MEMORY, 0.1), counting(), START, truth, i, 3.0 * i)
        assert timeline.ready_s == timeline.capture_s + 2.0
        assert frames_seen(outputs) == i + 1


def test_torch_tensors_stay_torch_tensors_through_codecs():
    functions = {name: lambda *x, f=f: tuple(map(torch.from_numpy, f(*x))) for name, f in FUNCTIONS.items()}
    inputs = {name: torch.from_numpy(value) for name, value in sources(GRAPH).items()}
    place = tuple(EDGE if stage.name != "decision" else CAR for stage in GRAPH.stages)
    schedule = Schedule(place, {"image[c0]": "jpeg", "bev": "int4"}, 10.0, 0.0, "by hand")
    outputs, timeline = executor().run(schedule, functions, inputs, GOOD, 0, 0.0)
    assert set(outputs) == {"path", "speed_logits", "segmentation"}
    assert timeline.bytes_down > 0
    assert all(isinstance(value, torch.Tensor) for value in outputs.values())


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        (Schedule((EDGE,), {}, 0.1, 0.0, "short"), "7 stages"),
        (replace(everything(EDGE), codecs={"image[c0]": "mp3"}), "mp3"),
        (replace(everything(EDGE), precisions=("fp16",)), "7 precisions"),
        (replace(everything(EDGE), precisions=("fp8",) * 7), "fp8"),
    ],
)
def test_a_schedule_that_cannot_run_is_told_in_one_line(schedule, told):
    with pytest.raises(ValueError, match=told):
        executor().run(schedule, FUNCTIONS, sources(GRAPH), GOOD, 0, 0.0)


# Other cars' jobs


def test_our_jobs_wait_behind_other_cars_jobs():
    queue = SharedQueue(80.0, 0.01, seed=2)
    now_s = next(t for t in np.arange(0.0, 100.0, 0.1) if queue.backlog_at(t) > 0.12)
    run = executor(queues={EDGE: queue})
    timeline = run.run(everything(EDGE, fallback_at_s=10.0), None, {}, GOOD, 0, now_s)[1]
    first = min((s for s in timeline.spans if s.resource == "uplink"), key=lambda span: span.end_s)
    there_s = first.end_s + GOOD.rtt_s / 2
    decode_s = CODECS["raw"].decode_s(raw_bytes(GRAPH)[first.stage])
    begins_s = min(s.start_s for s in timeline.spans if s.resource == "edge")
    assert begins_s == pytest.approx(there_s + queue.backlog_at(there_s) + decode_s, abs=1e-9)
    waits = run.waits(16, now_s, np.random.default_rng(0))
    assert waits.edge_s.shape == (16,)
    assert not waits.cloud_s.any()


# Export


def test_perfetto_file(tmp_path):
    _, timelines, schedules, _ = rough_drive(1, graph=GRAPH)
    write_perfetto(tmp_path / "a.json", timelines, dict(enumerate(schedules)))
    write_perfetto(tmp_path / "b.json", timelines, dict(enumerate(schedules)))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]
    events = json.loads((tmp_path / "a.json").read_text())["traceEvents"]
    names = {e["args"]["name"]: e["tid"] for e in events if e["name"] == "thread_name"}
    assert set(names) == {"frames", *SERIAL, "wan_up", "wan_down"}
    spans = [span for t in timelines for span in t.spans]
    wide = [span for span in spans if span.resource in ("wan_up", "wan_down")]
    assert wide
    assert sum(e["ph"] == "X" for e in events) == len(spans) - len(wide)
    begun = {(e["cat"], e["id"]): e for e in events if e["ph"] == "b"}
    ended = {(e["cat"], e["id"]): e for e in events if e["ph"] == "e"}
    assert begun.keys() == ended.keys()
    assert len(begun) == len(wide) + sum(t.ready_s is not None for t in timelines)
    assert all(begun[key]["ts"] <= ended[key]["ts"] for key in begun)
    assert len(perfetto_events(timelines)) == len(events)
    assert all(math.isfinite(e["ts"]) for e in events if "ts" in e)
