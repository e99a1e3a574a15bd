"""A fleet's decisions against a brute-force reference, its prices, its execution and its optimum."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.fleet import (
    CellConfig,
    Fleet,
    FleetConfig,
    Menu,
    MenuEntry,
    PriceConfig,
    RiskConfig,
    TrafficConfig,
    jain,
)
from scheduling.fleet.decision import Car, Futures, allowed, choose, new_draws, risk_numbers, usage
from scheduling.fleet.execution import BY_EDGE, BY_FALLBACK, LOCAL
from scheduling.fleet.optimum import Round, admit, one_round, solve_by_prices, solve_centrally
from scheduling.fleet.prices import move_prices, new_board, rule_of, server_of
from scheduling.fleet.world import radio_numbers
from scheduling.link.channel import spectral_efficiency
from scheduling.link.moments import spectral_efficiency_of
from scheduling.types import Place

SMALL = FleetConfig(cells=CellConfig(columns=2, rows=2))
RADIO = radio_numbers(SMALL.cells)


def entry(name: str, tier: Place, car: float, up: float = 0.0, remote: float = 0.0, joules: float = 0.0,
          quality: float = 0.0, fallback_quality: float = 0.0, codec: float = 0.0) -> MenuEntry:  # fmt: skip
    return MenuEntry(name, tier, car, codec, up, 200.0 if up else 0.0, remote, joules, quality, fallback_quality)


MENU = Menu((
    entry("local", Place.CAR, 0.04, joules=0.5, quality=0.01),
    entry("better local", Place.CAR, 0.05, joules=0.6),
    entry("all at the edge", Place.EDGE, 0.0, 6e4, 0.006, quality=0.003, fallback_quality=0.007, codec=0.004),
    entry("cut at the edge", Place.EDGE, 0.012, 2.5e4, 0.004, 0.2, 0.004, 0.006, 0.002),
    entry("all in the cloud", Place.CLOUD, 0.0, 6e4, 0.003, quality=0.003, fallback_quality=0.007, codec=0.004),
))  # fmt: skip


def random_problem(rng: np.random.Generator) -> tuple[Menu, Car, Futures]:
    """A menu of random entries, a random car and random futures with outages, losses and long waits."""
    entries = [entry("local", Place.CAR, float(rng.uniform(0.02, 0.06)), joules=rng.uniform(), quality=0.01)]
    for k in range(int(rng.integers(1, 9))):
        tier = Place(int(rng.integers(0, 3)))
        up = 0.0 if tier is Place.CAR else float(rng.uniform(1e3, 2e5))
        entries.append(
            entry(f"e{k}", tier, float(rng.uniform(0.0, 0.05)), up, rng.uniform(0.0, 0.01) * (up > 0), rng.uniform(),
                  rng.uniform(0.0, 0.01), rng.uniform(0.0, 0.01), rng.uniform(0.0, 0.005))
        )  # fmt: skip
    slowdown, deadline = float(rng.uniform(1.0, 1.6)), float(rng.uniform(0.08, 0.2))
    local = entries[0].car_s * slowdown
    car = Car(deadline, slowdown, local, entries[0].car_j, max(0.0, deadline - local - 0.01))
    m = int(rng.integers(1, 17))
    out = rng.random(m) < 0.15
    up_s = np.where(out, np.inf, 1.0 / rng.uniform(3e6, 1e8, m))
    futures = Futures(
        up_s, up_s / 3.0, rng.uniform(0.01, 0.1, m), rng.exponential(0.01, m) * (rng.random(m) < 0.5),
        rng.exponential(0.01, m) * (rng.random(m) < 0.5), np.where(out, 1.0, rng.uniform(0.0, 0.2, m)),
    )  # fmt: skip
    return Menu(tuple(entries)), car, futures


def reference_objective(e: MenuEntry, r: RiskConfig, car: Car, f: Futures) -> float:
    """J of docs/scheduling.md, written down again in plain Python."""
    fixed = e.quality_s + r.per_joule_s * e.car_j + r.per_byte_s * (e.up_bytes + e.down_bytes)
    if e.tier is Place.CAR:
        seconds = e.car_s * car.slowdown
        return fixed + seconds + (r.late_weight + r.tail_weight) * max(0.0, seconds - car.deadline_s)
    end_f = car.fallback_at_s + car.local_s
    latency, late, joules, fallback = [], [], [], []
    for m in range(len(f.up_s)):
        main = e.car_s * car.slowdown + e.codec_s + 8 * e.up_bytes * f.up_s[m] + f.up_wait_s[m] + e.remote_s
        main += 8 * e.down_bytes * f.down_s[m] + f.delay_s[m]
        if e.tier is Place.EDGE:
            main += f.edge_wait_s[m]
        else:
            main += RADIO.wan_rtt_s + 8 * (e.up_bytes + e.down_bytes) / RADIO.wan_bps
        first, loss = min(main, end_f), f.loss[m]
        latency.append((1 - loss) * first + loss * end_f)
        late.append((1 - loss) * max(0, first - car.deadline_s) + loss * max(0, end_f - car.deadline_s))
        joules.append(car.local_j * ((1 - loss) * max(0, first - car.fallback_at_s) / car.local_s + loss))
        fallback.append(loss + (1 - loss) * (main > end_f))
    worst = sorted(late, reverse=True)[: max(1, math.ceil(r.tail_share * r.futures))]
    tail = sum(worst) / max(1, math.ceil(r.tail_share * r.futures))
    return float(
        fixed + np.mean(latency) + r.late_weight * np.mean(late) + r.tail_weight * tail
        + r.per_joule_s * np.mean(joules) + np.mean(fallback) * e.fallback_quality_s
    )  # fmt: skip


def priced_choice(menu: Menu, car: Car, f: Futures, prices: tuple[float, float, float], previous: int = -1) -> tuple:
    config = replace(SMALL, risk=replace(SMALL.risk, futures=len(f.up_s)))
    worst = np.zeros(max(1, math.ceil(config.risk.tail_share * len(f.up_s))))
    return choose(menu.arrays, risk_numbers(config), car, RADIO, f, *prices, previous, 0.1, worst)


@given(st.integers(0, 2**32), st.lists(st.floats(0, 10), min_size=3, max_size=3), st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_kernel_finds_what_brute_force_finds(seed: int, prices: list[float], stays: bool) -> None:
    rng = np.random.default_rng(seed)
    menu, car, f = random_problem(rng)
    previous = int(rng.integers(len(menu.entries))) if stays else -1
    risk = replace(SMALL.risk, futures=len(f.up_s))
    costs = []
    for j, e in enumerate(menu.entries):
        use = usage(menu.arrays, j, car, f)
        candidate = allowed(menu.arrays, j, car, 0.1) and np.isfinite(use[0])
        moved = risk.inertia_s * (previous >= 0 and menu.entries[previous].tier is not e.tier)
        priced = reference_objective(e, risk, car, f) + moved if candidate else np.inf
        costs.append(priced + (float(np.dot(prices, use)) if candidate else 0.0))
    j, value, *use = priced_choice(menu, car, f, tuple(prices), previous)
    assert value == pytest.approx(min(costs), rel=1e-12)
    assert costs[j] == pytest.approx(min(costs), rel=1e-12)
    assert tuple(use) == usage(menu.arrays, j, car, f)


@given(st.integers(0, 2**32), st.lists(st.floats(0, 10), min_size=6, max_size=6))
@settings(max_examples=200, deadline=None)
def test_dearer_resources_bring_no_car_out_of_its_own_computer(seed: int, prices: list[float]) -> None:
    menu, car, f = random_problem(np.random.default_rng(seed))
    low, rise = prices[:3], prices[3:]
    before = priced_choice(menu, car, f, tuple(low))[0]
    after = priced_choice(menu, car, f, tuple(a + b for a, b in zip(low, rise, strict=True)))[0]
    if menu.entries[before].tier is Place.CAR:
        assert after == before


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60))
@settings(deadline=None)
def test_prices_are_never_negative_and_end_at_zero_when_nobody_asks(demands: list[float]) -> None:
    board, rule = new_board(SMALL), rule_of(SMALL)
    for demand in [*demands, *[0.0] * 400]:
        board.demand_s[:] = demand
        board.demand_squares[:] = demand**2
        move_prices(board, rule)
        assert (board.price >= 0.0).all()
        assert (board.wait_s >= 0.0).all()
        assert (board.load <= rule.target).all()
    assert (board.price == 0.0).all()


def test_with_capacity_for_all_every_car_has_its_solo_optimum() -> None:
    config = replace(SMALL, capacity=np.inf, risk=RiskConfig(inertia_s=0.0))
    fleet = Fleet(config, MENU)
    drive = fleet.drive(50, 30)
    decisions = fleet.decide(drive, keep_history=True)
    assert (decisions.prices == 0.0).all()
    assert len(np.unique(MENU.arrays.tier[decisions.choice])) > 1
    for frame in (0, 17, 29):
        alone = one_round(config, MENU.arrays, drive, new_draws(config), new_board(config), frame)
        np.testing.assert_array_equal(decisions.choice[frame], alone.objective.argmin(axis=1))


@pytest.mark.parametrize("enabled", [True, False])
def test_less_capacity_never_means_more_remote_frames_nor_a_missing_answer(enabled: bool) -> None:
    remote = []
    for capacity in (4.0, 1.0, 0.25, 0.06, 0.01):
        config = replace(SMALL, capacity=capacity, prices=PriceConfig(enabled=enabled))
        fleet = Fleet(config, MENU)
        report = fleet.run(80, 200, 60)
        assert report.unanswered == 0
        assert report.misses == 0
        remote.append(report.edge_share + report.cloud_share)
    assert remote == sorted(remote, reverse=True)
    assert remote[0] > 2.0 * remote[-1]


def test_resources_serve_no_longer_than_time_passes() -> None:
    config = replace(SMALL, capacity=0.3, prices=PriceConfig(enabled=False))
    fleet = Fleet(config, MENU)
    drive = fleet.drive(120, 80)
    outcome = fleet.serve(drive, np.full((80, 120), 2), watch=True)
    longest = 0.2 / config.capacity  # a job may begin at the very end of a period
    total = np.concatenate([np.zeros((1, outcome.taken_s.shape[1])), outcome.taken_s[:-1].cumsum(axis=0)])
    assert total.max() > 7.0  # saturated
    for start in range(80):
        passed = config.period_s * np.arange(1, 81 - start)
        assert (total[start + 1 :] - total[start] <= passed[:, None] + longest + 1e-9).all()
    alone = Fleet(replace(config, capacity=1.0), MENU).serve(drive, np.full((80, 120), 2))
    assert (outcome.source == BY_EDGE).sum() < (alone.source == BY_EDGE).sum()


def test_a_lone_car_gets_its_answer_when_the_parts_add_up_to() -> None:
    config = replace(SMALL, cells=replace(SMALL.cells, message_loss=0.0))
    fleet = Fleet(config, MENU)
    d = fleet.drive(1, 300)
    outcome = fleet.serve(d, np.full((300, 1), 3))
    cut = MENU.entries[3]
    sent = np.maximum(cut.car_s * d.slowdown + cut.codec_s, d.gap_s)
    with np.errstate(divide="ignore"):
        expected = sent + 8 * cut.up_bytes / d.up_bps + 8 * cut.down_bytes / d.down_bps + d.rtt_s + cut.remote_s
    deadline = np.clip(0.8 / np.maximum(d.speed_mps, 0.1), 0.08, 0.2)
    first = np.minimum(expected, deadline - 0.01)
    quiet = (expected < deadline - 0.01 - MENU.local_s * d.slowdown) & (np.abs(d.slowdown - 1.25) < 1e-9)
    assert quiet.sum() > 50
    np.testing.assert_allclose(outcome.latency_s[quiet], first[quiet], rtol=1e-9)
    assert (outcome.latency_s <= np.maximum(deadline - 0.01, MENU.local_s * d.slowdown) + 1e-9).all()


def test_frames_without_radio_end_with_the_cars_own_answer() -> None:
    config = replace(SMALL, cells=replace(SMALL.cells, car_power_dbm=-150.0))
    fleet = Fleet(config, MENU)
    drive = fleet.drive(20, 40)
    assert set(MENU.arrays.tier[fleet.decide(drive).choice].ravel()) == {int(Place.CAR)}
    outcome = fleet.serve(drive, np.full((40, 20), 2))  # forced out all the same
    assert (outcome.source == BY_FALLBACK).all()
    assert not outcome.late.any()
    assert (fleet.serve(drive, np.zeros((40, 20), np.int64)).source == LOCAL).all()


def test_two_runs_are_equal_and_another_seed_is_not() -> None:
    first, second = (Fleet(SMALL, MENU).run(40, 60, 20) for _ in range(2))
    assert first == second
    assert first != Fleet(replace(SMALL, seed=1), MENU).run(40, 60, 20)


def test_a_car_too_slow_for_its_own_fallback_is_refused() -> None:
    slow = Menu((entry("local", Place.CAR, 0.07), *MENU.entries[1:]))
    with pytest.raises(ValueError, match=r"local takes 0\.117 s .* longer than the period of 0\.1 s"):
        Fleet(SMALL, slow)


def random_round(rng: np.random.Generator, cars: int) -> Round:
    objective = rng.uniform(0.02, 0.08, (cars, 4))
    use = rng.uniform(0.0, 0.03, (cars, 4, 3))
    use[:, 0] = 0.0
    objective[:, 1:][rng.random((cars, 3)) < 0.2] = np.inf
    cell = rng.integers(0, 4, cars)
    return Round(objective, use, np.stack([cell, 4 + cell, np.full(cars, 8)], axis=1), rng.uniform(0.02, 0.1, 9))


@pytest.mark.parametrize("seed", range(12))
def test_the_central_optimum_is_no_worse_than_prices_and_no_better_than_the_bound(seed: int) -> None:
    problem = random_round(np.random.default_rng(seed), 14)
    settled = solve_by_prices(SMALL, problem)
    reached = admit(problem, settled.choice)
    choice, optimum, bound = solve_centrally(problem)
    for feasible in (reached, choice, admit(problem, choice)):
        assert (problem.demand_s(feasible) <= problem.available_s * (1 + 1e-6)).all()
    assert optimum <= problem.total(reached) + 1e-9
    assert bound == pytest.approx(optimum, rel=1e-6)
    for prices in (settled.price, np.random.default_rng(seed).uniform(0.0, 2.0, 9), np.zeros(9)):
        assert problem.lower_bound(prices) <= optimum + 1e-9


def test_the_central_optimum_is_that_of_enumeration() -> None:
    problem = random_round(np.random.default_rng(3), 6)
    best = np.inf
    for code in range(4**6):
        choice = np.array([code // 4**i % 4 for i in range(6)])
        if (problem.demand_s(choice) <= problem.available_s + 1e-12).all():
            best = min(best, problem.total(choice))
    assert solve_centrally(problem)[1] == pytest.approx(best, rel=1e-9)


def test_prices_settle_where_capacity_binds() -> None:
    config = replace(SMALL, seed=2)
    drive = Fleet(config, MENU).drive(100, 1)
    problem = one_round(config, MENU.arrays, drive, new_draws(config), new_board(config))
    settled = solve_by_prices(config, problem)
    assert settled.price.max() > 0.0
    assert settled.changes[:20].sum() > settled.changes[-20:].sum()
    wanted = problem.objective.argmin(axis=1)
    asked, now = problem.demand_s(wanted), problem.demand_s(settled.choice)
    full = asked > 1.5 * problem.available_s
    assert full.any()
    assert (now[full] < 1.25 * problem.available_s[full]).all()


def test_fairness_is_one_for_equals_and_least_when_one_has_everything() -> None:
    assert jain(np.full(7, 0.3)) == pytest.approx(1.0)
    assert jain(np.array([0.0, 0.0, 5.0, 0.0])) == pytest.approx(0.25)
    assert jain(np.zeros(4)) == 1.0


def test_cars_drive_plausibly_and_are_served_by_a_near_unit() -> None:
    config = FleetConfig(cells=CellConfig(columns=4, rows=4), traffic=TrafficConfig())
    d = Fleet(config, MENU).drive(60, 400)
    assert (np.abs(np.diff(d.speed_mps, axis=0)) <= 0.3 + 1e-9).all()
    assert ((d.speed_mps >= 0.0) & (d.speed_mps <= 16.0)).all()
    assert ((d.cell >= 0) & (d.cell < 16)).all()
    assert len(np.unique(d.cell)) == 16
    changed = d.cell[1:] != d.cell[:-1]
    np.testing.assert_array_equal(d.gap_s[1:] > 0.0, changed)
    assert 0.0 < changed.mean() < 0.03  # 9 m/s through cells of 200 m
    for sinr in np.linspace(-15.0, 25.0, 161):
        assert spectral_efficiency_of(sinr) == spectral_efficiency(sinr)
    assert {server_of(c, 4, 2) for c in (0, 1, 4, 5)} == {0}
    assert sorted({server_of(c, 4, 2) for c in range(16)}) == [0, 1, 2, 3]
