"""The menu of a fleet's car: what it lists, what it leaves out; and the fleet's configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from scheduling.budget import ComputeBudget
from scheduling.codecs import nominal_payload_bytes
from scheduling.fleet import CellConfig, FleetConfig, Menu, MenuEntry, RiskConfig, build_menu
from scheduling.fleet.decision import Futures, choose, prepare, risk_numbers
from scheduling.fleet.menu import all_entries
from scheduling.fleet.world import radio_numbers
from scheduling.types import ModelVariant, Place, StageCost, StageGraph, StageNode

CITY = Path(__file__).resolve().parents[2] / "configs" / "fleet" / "city.yaml"


def computer(name: str, flops: float, **more: float) -> ComputeBudget:
    return ComputeBudget(
        name=name, fp32_flops=flops, fp16_flops=2 * flops, int8_ops=4 * flops, bandwidth_bps=1e12,
        memory_bytes=more.get("memory_bytes", 4e9), power_w=more.get("power_w", 10.0), compute_efficiency=1.0,
        memory_efficiency=1.0, kernel_s=1e-4,
    )  # fmt: skip


def chain() -> StageGraph:
    def node(name: str, inputs: tuple[str, ...], output: str, size: int, flops: float) -> StageNode:
        return StageNode(name, inputs, (output,), StageCost(flops, 0.0, 1e6, {output: size}, 1, 1e6))

    stages = (
        node("backbone", ("image",), "feature", 200_000, 2e9),
        node("encoder", ("feature",), "bev", 400_000, 1e9),
        node("decoder", ("bev", "speed"), "path", 80, 5e8),
        node("explainer", ("bev",), "words", 400, 9e9),
    )
    codecs = {"image": ("jpeg", "raw"), "feature": ("int8", "fp16", "raw"), "bev": ("int8", "fp16", "raw")}
    return StageGraph(stages, {"image": 600_000, "speed": 4}, ("path",), codecs)


CAR, EDGE, CLOUD = computer("car", 1e11), computer("edge", 4e12), computer("cloud", 2e13)


def test_entries_are_sums_over_the_graph() -> None:
    graph = chain()
    menu = build_menu([ModelVariant("m", graph)], [CAR, EDGE, CLOUD])
    critical = graph.stages[:3]
    first = menu.entries[0]
    assert first.tier is Place.CAR
    assert first.car_s == pytest.approx(sum(CAR.alone_seconds(s.cost, "int8") for s in critical))
    (remote,) = [e for e in menu.entries if e.name == "m: all at the edge (fp16), jpeg"]
    assert remote.car_s == remote.car_j == 0.0
    assert remote.remote_s == pytest.approx(sum(EDGE.alone_seconds(s.cost, "fp16") for s in critical))
    assert remote.up_bytes == nominal_payload_bytes("jpeg", 600_000) + nominal_payload_bytes("raw", 4)
    assert remote.down_bytes == nominal_payload_bytes("raw", 80)
    cuts = [e for e in menu.entries if "after backbone" in e.name and e.tier is Place.EDGE]
    assert cuts
    for e in cuts:
        codec = e.name.split(", ")[-1].split("+")[-1]
        assert e.up_bytes == nominal_payload_bytes(codec, 200_000) + nominal_payload_bytes("raw", 4)
        assert e.car_s == min(CAR.alone_seconds(critical[0].cost, p) for p in CAR.precisions if f"({p}) at" in e.name)
    assert {e.tier for e in menu.entries} == set(Place)
    assert not any("explainer" in e.name for e in menu.entries)


def beats(a: MenuEntry, b: MenuEntry) -> bool:
    risk = RiskConfig()
    return a.tier is b.tier and all(x <= y for x, y in zip(a.burdens(risk), b.burdens(risk), strict=True))


def test_no_entry_is_beaten_by_another() -> None:
    entries = build_menu([ModelVariant("m", chain())], [CAR, EDGE, CLOUD]).entries
    assert len({e.name for e in entries}) == len(entries)
    for e in entries[1:]:
        assert not any(beats(other, e) for other in entries if other is not e)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_the_menu_leaves_out_nobody_would_choose(seed: int) -> None:
    """The best of all schedules, at random radio, tenants and prices, is as good as the best of the menu."""
    rng = np.random.default_rng(seed)
    models, computers = [ModelVariant("m", chain()), ModelVariant("s", chain(), 0.005)], [CAR, EDGE, CLOUD]
    menu, everything = build_menu(models, computers), Menu(tuple(all_entries(models, computers)))
    assert len(everything.entries) > 2 * len(menu.entries)
    futures = Futures(*rng.uniform(1e-9, 3e-7, (2, 16)), *rng.uniform(0.0, 0.04, (3, 16)), rng.uniform(0.0, 0.1, 16))
    risk, radio = risk_numbers(FleetConfig()), radio_numbers(CellConfig())
    prices, speed, slowdown = rng.uniform(0.0, 8.0, 3), rng.uniform(2.0, 14.0), rng.uniform(1.0, 1.6)
    least = []
    for listed in (menu, everything):
        car = prepare(listed.arrays, risk, speed, slowdown)
        least.append(choose(listed.arrays, risk, car, radio, futures, *prices, -1, 0.1, np.zeros(2))[1])
    assert least[0] == pytest.approx(least[1], rel=1e-12)


def test_schedules_beyond_memory_or_power_are_left_out() -> None:
    models = [ModelVariant("m", chain())]
    poor = build_menu(models, [CAR, replace(EDGE, memory_bytes=2.5e6)])
    assert {e.name.split(" at the edge")[0].split(" (")[0] for e in poor.entries if e.tier is Place.EDGE} == {
        "m: after encoder"
    }
    weak = computer("car", 1e11, power_w=10.0)
    period_s = 1.2 * weak.joules(chain().stages[0].cost, "int8") / 10.0
    frugal = build_menu(models, [weak, EDGE], period_s=period_s)
    assert all(e.car_s == 0.0 for e in frugal.entries if e.tier is not Place.CAR)
    with pytest.raises(ValueError, match="needs more memory than"):
        build_menu(models, [replace(CAR, memory_bytes=1e6), EDGE])


def test_recurrent_tensors_are_refused_in_one_line() -> None:
    graph = chain()
    stages = (replace(graph.stages[0], inputs=("image", "memory")), *graph.stages[1:])
    looped = StageGraph(stages, {**graph.sources, "memory": 10}, graph.sinks, graph.codecs, {"memory": "feature"})
    with pytest.raises(ValueError, match=r"knows no recurrent tensors.*\['memory'\]"):
        build_menu([ModelVariant("m", looped)], [CAR, EDGE])


def test_a_menu_starts_with_the_last_resort() -> None:
    away = MenuEntry("all at the edge", Place.EDGE, 0.0, 0.0, 1e4, 100.0, 0.01, 0.0, 0.0)
    with pytest.raises(ValueError, match="starts with the fallback's complete run"):
        Menu((away,))


def test_the_city_is_the_default_and_unknown_keys_are_refused() -> None:
    composed = OmegaConf.create({"fleet": OmegaConf.load(CITY)})  # as a group: ${seed} is the application's
    values = OmegaConf.to_container(composed.fleet, resolve=True)
    assert isinstance(values, dict)
    assert values.pop("_target_") == "scheduling.fleet.FleetConfig.configured"
    assert FleetConfig.configured(**values) == FleetConfig()
    with pytest.raises(ValueError, match=r"cells: unknown keys \['column'\]; known are columns"):
        FleetConfig.configured(cells={"column": 3})
    with pytest.raises(ValueError, match="must divide into blocks"):
        FleetConfig.configured(cells={"columns": 3})
