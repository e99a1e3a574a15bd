"""Clocks, power, heat and precisions of computers, and the calibration of the Orin profiles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy.integrate import solve_ivp

from scheduling.budget import BYTES_PER_NUMBER, ComputeBudget, TenantLoad
from scheduling.thermal import Thermal, ThermalConfig, clock_at_power, power_at_clock
from scheduling.types import StageCost

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PROFILES = sorted(p.relative_to(CONFIGS) for g in ("soc", "edge", "cloud") for p in (CONFIGS / g).glob("*.yaml"))
HOT = ThermalConfig(0.5, 40.0, 25.0, throttle_c=(60.0, 70.0), clocks=(0.7, 0.4), hysteresis_k=5.0)


def load(path: Path) -> ComputeBudget:
    return instantiate(OmegaConf.load(CONFIGS / path))


def orin(**changes) -> ComputeBudget:
    return replace(load(Path("soc/agx_orin.yaml")), tenants=TenantLoad(), **changes)


costs = st.builds(
    StageCost,
    flops=st.floats(0.0, 1e13),
    bytes_moved=st.floats(1.0, 1e10),
    parameter_bytes=st.just(0.0),
    output_bytes=st.just({}),
    kernels=st.integers(1, 500),
)


@given(costs, st.floats(0.05, 1.0), st.floats(0.05, 1.0))
def test_a_slower_clock_never_helps_and_memory_keeps_its_own(cost, one, other):
    budget, (slow, fast) = orin(), sorted((one, other))
    for precision in budget.precisions:
        assert budget.alone_seconds(cost, precision, slow) >= budget.alone_seconds(cost, precision, fast)
        # At most as much longer as the clock is slower: what waits for memory does not wait longer.
        longest = budget.alone_seconds(cost, precision, fast) * fast / slow
        assert budget.alone_seconds(cost, precision, slow) <= longest * (1.0 + 1e-12)


@given(costs, st.floats(9.5, 100.0), st.floats(9.5, 100.0))
def test_a_tighter_power_mode_never_helps_and_is_kept(cost, one, other):
    tight, loose = (orin(power_mode_w=w) for w in sorted((one, other)))
    assert tight.alone_seconds(cost) >= loose.alone_seconds(cost)
    for budget in (tight, loose):
        assert budget.busy_w() <= budget.power_cap_w + 1e-9
        assert budget.power_cap_w <= 60.0
        assert budget.joules(cost) == pytest.approx(budget.busy_w() * budget.alone_seconds(cost))


@given(costs)
def test_the_roofline_is_touched_by_its_two_lines(cost):
    """Never faster than arithmetic or memory alone allow, never slower than both and the launches in turn."""
    budget = orin()
    for precision in budget.precisions:
        rate = {"fp32": budget.fp32_flops, "fp16": budget.fp16_flops, "int8": budget.int8_ops}[precision]
        arithmetic = cost.flops / (budget.efficiency(precision) * rate)
        share = BYTES_PER_NUMBER[precision] / 4
        memory = cost.bytes_moved * share / (budget.memory_efficiency * budget.bandwidth_bps)
        launches = cost.kernels * budget.kernel_s
        seconds = budget.alone_seconds(cost, precision)
        assert max(arithmetic, memory) + launches <= seconds * (1 + 1e-12)
        assert seconds <= (arithmetic + memory + launches) * (1 + 1e-12)


def test_state_and_time_agree():
    budget = load(Path("soc/agx_orin.yaml"))
    cost = StageCost(1e11, 1e8, 0.0, {}, 50)
    for time_s in np.arange(0.0, 100.0, 7.0):
        state = budget.state(float(time_s), clock=0.6)
        assert state.stage_seconds(cost, "int8") == budget.stage_seconds(cost, float(time_s), "int8", clock=0.6)
        assert state.stage_joules(cost, "int8") == budget.joules(cost, "int8", 0.6)  # other tenants' slices are theirs
    assert budget.alone_seconds(cost) == budget.alone_seconds(cost, budget.precision)


@given(st.floats(0.0, 50.0), st.floats(51.0, 500.0), st.floats(0.0, 1.0))
def test_clock_and_power_are_inverse(idle_w, busy_w, share):
    cap_w = idle_w + share * (busy_w - idle_w)
    clock = clock_at_power(idle_w, busy_w, cap_w)
    assert 0.0 <= clock <= 1.0
    assert power_at_clock(idle_w, busy_w, clock) == pytest.approx(cap_w, abs=1e-6)


def test_heat_follows_its_differential_equation():
    """Against numerical integration of C dT/dt = P - (T - Ta) / R with power that changes every second."""
    config = ThermalConfig(0.9, 50.0, 20.0, throttle_c=(), clocks=())
    powers = np.random.default_rng(3).uniform(0.0, 80.0, 60)
    thermal, numeric = Thermal(config), 20.0
    for power in powers:
        thermal.advance(power * 1.0, 1.0)
        solved = solve_ivp(lambda t, y, p=power: (p - (y - 20.0) / 0.9) / 50.0, (0.0, 1.0), [numeric], rtol=1e-10)
        numeric = float(solved.y[0, -1])
        assert thermal.temperature_c == pytest.approx(numeric, abs=1e-6)


@given(st.floats(0.0, 200.0), st.lists(st.floats(0.01, 30.0), min_size=1, max_size=20))
def test_many_small_steps_are_one_large_one(power_w, steps):
    config = ThermalConfig(0.5, 40.0, throttle_c=(), clocks=())
    many, one = Thermal(config), Thermal(config)
    for dt in steps:
        many.advance(power_w * dt, dt)
    one.advance(power_w * sum(steps), sum(steps))
    assert many.temperature_c == pytest.approx(one.temperature_c, abs=1e-9)


def test_throttling_comes_in_steps_and_goes_with_hysteresis():
    thermal = Thermal(HOT)
    assert thermal.clock == 1.0
    clocks, temperatures = [], []
    for power_w in (120.0,) * 40 + (0.0,) * 60:
        clocks.append(thermal.advance(power_w, 1.0))
        temperatures.append(thermal.temperature_c)
    assert sorted(set(clocks)) == [0.4, 0.7, 1.0]
    for before, clock, temperature in zip(clocks, clocks[1:], temperatures[1:], strict=False):
        if clock < before:
            assert temperature >= 60.0
        if clock > before:
            assert temperature < 65.0
        if 65.0 <= temperature < 70.0 and clock == 0.4:
            assert before == 0.4  # not yet five degrees below
    assert thermal.clock == 1.0


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_hotter_never_runs_faster(seed):
    """Of two equal computers, the one that drew more at every step has the lower clock."""
    rng = np.random.default_rng(seed)
    cool, hot = Thermal(HOT), Thermal(HOT)
    for _ in range(100):
        dt, power = rng.uniform(0.1, 5.0), rng.uniform(0.0, 150.0)
        assert hot.advance(power * dt * rng.uniform(1.0, 1.5), dt) <= cool.advance(power * dt, dt)


@pytest.mark.parametrize("path", PROFILES, ids=str)
def test_profiles_are_sourced_and_keep_to_what_is_published(path):
    """A comment at every number. FP16 over FP32 1.3 to 2.0 times (tensor cores), INT8 over FP16 1.27 to 1.55 times
    on real networks and at most the ratio of the peaks."""
    budget = load(path)
    lines = (CONFIGS / path).read_text().splitlines()
    for i, line in enumerate(lines):
        key, _, value = line.partition(":")
        if key in ("fp32_flops", "fp16_flops", "int8_ops", "bandwidth_bps", "memory_bytes", "power_w", "idle_w"):
            assert "#" in value or lines[i - 1].startswith("#"), f"{path}: {line}"
    assert budget.precision in budget.precisions
    assert budget.memory_bytes >= 4e9
    cost = StageCost(2.37e11, 2.3e9, 0.0, {}, 79)  # BEVDet's image stage
    if "int8" in budget.precisions and "fp16" in budget.precisions:
        assert 1.0 <= budget.alone_seconds(cost, "fp16") / budget.alone_seconds(cost, "int8") <= 2.05


def test_orin_profiles_are_what_the_calibration_gives():
    from e2e_drive.bench.budget import fit, machines
    from e2e_drive.bench.published import FIGURES, published_costs

    base = machines()
    fitted = fit([figure for figure in FIGURES if figure.fitted], published_costs(), base)
    for machine in base.values():
        calibrated = fitted.apply(machine)
        for name in ("fp32_efficiency", "fp16_efficiency", "int8_efficiency", "memory_efficiency", "kernel_s"):
            assert getattr(machine, name) == pytest.approx(getattr(calibrated, name), rel=0.01), (machine.name, name)


def test_a_figure_is_predicted_without_itself():
    from e2e_drive.bench.budget import held_out
    from e2e_drive.bench.published import FIGURES

    for figure in FIGURES:
        seen = held_out(figure)
        assert figure not in seen
        if figure.what == "total":
            assert not any(f.machine == figure.machine and set(f.parts) <= set(figure.parts) for f in seen)
        else:
            assert len(seen) >= sum(f.fitted for f in FIGURES) - 1


@pytest.mark.slow
def test_published_latencies_are_predicted():
    from e2e_drive.bench.budget import run

    result = run()
    assert len(result["rows"]) == result["metrics"]["figures"] > 30
    assert result["metrics"]["parameters"] < result["metrics"]["figures_fitted"] / 4
    for name in ("median_abs_error", "median_abs_error_network_out", "median_abs_error_fp16_agx_and_drive"):
        assert result["metrics"][name] < 0.20, name


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"power_mode_w": 5.0}, r"idle_w must lie below .* 9\.0, 60\.0 and 5\.0"),
        ({"kernel_s": -1.0}, r"kernel_s must not be negative, received -1\.0"),
        ({"bandwidth_bps": 0.0}, "bandwidth_bps must be positive"),
        ({"int8_efficiency": 1.5}, r"int8_efficiency must lie in \(0, 1\], received 1\.5"),
        ({"precision": "fp8"}, "'fp8'"),
    ],
)
def test_bad_budgets_are_told_in_one_line(changes, told):
    with pytest.raises(ValueError, match=told) as error:
        orin(**changes)
    assert "\n" not in str(error.value)


def test_bad_questions_are_told_in_one_line():
    cost = StageCost(1.0, 1.0, 0.0, {})
    journey = load(Path("soc/journey5.yaml"))
    with pytest.raises(ValueError, match="Journey 5 supports int8; received precision 'fp16'"):
        journey.alone_seconds(cost, "fp16")
    with pytest.raises(ValueError, match=r"received 0\.0"):
        journey.alone_seconds(cost, clock=0.0)
    for arguments in ({"resistance_k_per_w": 0.0, "capacity_j_per_k": 1.0}, {"throttle_c": (90.0, 80.0)}):
        with pytest.raises(ValueError, match="received"):
            ThermalConfig(**{"resistance_k_per_w": 1.0, "capacity_j_per_k": 1.0, **arguments})
    with pytest.raises(ValueError, match="no time"):
        Thermal(HOT).advance(1.0, 0.0)
