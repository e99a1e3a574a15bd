"""The radio link as a process: what holds in the mean, what the executor is told, and whether forecasts are right."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from scheduling import LinkForecast, LinkGeometry, LinkState, RadioConfig, RadioLink
from scheduling.link import drive_geometry
from scheduling.link.background import Background, outage_probability
from scheduling.link.radio_physics import RadioPhysics

PERIOD_S = 0.1
NEAR = LinkGeometry(0, 60.0, True, 0, speed_mps=8.0)
PUBLISHED_MS = {
    # NUWiNS, IMC 2023, driving pings: p50, p95, p99
    "edge": (27.7, 44.2, 53.0),
    "cloud": (68.4, 163.0, 443.0),
}


def mean_up(geometry: LinkGeometry, seeds: int = 150, **options: float) -> float:
    # A fresh link a sample: shadowing hardly moves while standing still.
    links = (RadioLink(RadioConfig(seed=seed, **options)) for seed in range(seeds))
    return float(np.mean([link.step(geometry, 0.0, PERIOD_S).up_bps for link in links]))


def test_nearer_clear_and_lonely_is_never_worse_in_the_mean():
    for sees in (True, False):
        by_distance = [mean_up(LinkGeometry(0, d, sees, 0)) for d in (20.0, 60.0, 120.0, 250.0, 500.0)]
        assert by_distance == sorted(by_distance, reverse=True)
    assert mean_up(LinkGeometry(0, 120.0, True, 0)) > mean_up(LinkGeometry(0, 120.0, False, 0))
    assert mean_up(LinkGeometry(0, 300.0, True, 0)) > mean_up(LinkGeometry(0, 300.0, True, 1))
    assert 30e6 < mean_up(LinkGeometry(0, 50.0, True, 0)) < 110e6
    assert mean_up(LinkGeometry(0, 500.0, False, 0)) < 3e6


def test_more_users_never_make_the_link_faster():
    """The same draws with one more user: exactly, not in the mean."""
    physics, rng = RadioPhysics(RadioConfig()), np.random.default_rng(0)
    gain_db, zeros, phase = rng.uniform(-150.0, -60.0, 500), np.zeros(500), np.full(500, 0.5)
    none = np.zeros(500, np.int64)
    before = None
    for users in range(30):
        now = physics.moments(gain_db, zeros, zeros, np.full(500, users), none, none, phase, phase)
        if before is not None:
            assert np.all(now.up_bps <= before.up_bps)
            assert np.all(now.down_bps <= before.down_bps)
            assert np.all(now.rtt_s >= before.rtt_s)
        before = now


@pytest.mark.parametrize(("sees", "distance_m"), [(True, 10.0), (False, 13.0)])
def test_shadowing_forgets_itself_over_the_distance_driven(sees: bool, distance_m: float):
    link = RadioLink(RadioConfig(ambient_mps=0.0, seed=4))
    geometry = LinkGeometry(0, 60.0, sees, 0, speed_mps=10.0)
    values = []
    for i in range(30_000):
        link.step(geometry, 0.05 * i, 0.05)
        values.append(link._shadow)
    z = np.array(values)
    assert z.std() == pytest.approx(1.0, abs=0.07)
    for lag in (4, 20, 40):  # 2, 10, 20 m
        assert np.mean(z[:-lag] * z[lag:]) == pytest.approx(math.exp(-0.5 * lag / distance_m), abs=0.08)


def test_harq_costs_what_the_geometric_distribution_says():
    config = RadioConfig(block_error_rate=0.3, max_retransmissions=3)
    draws = [Background(replace(config, seed=s), np.random.default_rng(s)).ahead(0, 256) for s in range(200)]
    resent = np.concatenate([found.up_retransmissions for found in draws])
    p = config.block_error_rate
    assert resent.mean() == pytest.approx(p + p**2 + p**3, abs=0.01)
    assert resent.max() == 3
    # Each costs one pattern of 2.5 ms in the uplink.
    physics, phase = RadioPhysics(config), np.random.default_rng(1).random(len(resent))
    zeros, none = np.zeros(len(resent)), np.zeros_like(resent)
    once, often = (physics.moments(zeros, zeros, zeros, none, up, none, phase, phase) for up in (none, resent))
    extra_s = often.rtt_s - once.rtt_s
    assert extra_s.mean() == pytest.approx(2.5e-3 * (p + p**2 + p**3), rel=0.03)


def test_other_users_and_outages_have_the_distributions_they_should():
    config = RadioConfig(mean_other_users=3.0, user_hold_s=2.0, outage_every_s=9.0, outage_mean_s=1.0)
    draws = Background(config, np.random.default_rng(0)).ahead(0, 400_000)
    assert draws.users.mean() == pytest.approx(3.0, abs=0.1)
    assert draws.users.var() == pytest.approx(3.0, abs=0.3)
    lag = 20  # 1 s
    assert np.corrcoef(draws.users[:-lag], draws.users[lag:])[0, 1] == pytest.approx(math.exp(-0.5), abs=0.03)
    assert draws.outage.mean() == pytest.approx(0.1, abs=0.01)
    for now in (False, True):
        follows = draws.outage[lag:][draws.outage[:-lag] == now].mean()
        assert follows == pytest.approx(outage_probability(config, now, 1.0), abs=0.03)


def drive(link: RadioLink, condition: str, frames: int, seed: int = 0) -> Iterator[tuple[float, LinkState]]:
    for i, geometry in enumerate(islice(drive_geometry(seed, condition), frames)):
        yield i * PERIOD_S, link.step(geometry, i * PERIOD_S, PERIOD_S)


def test_two_runs_are_equal_however_often_forecasts_are_asked_for():
    quiet, asked = (RadioLink(RadioConfig(seed=3, outage_every_s=10.0)) for _ in range(2))
    for (_, one), (_, two) in zip(drive(quiet, "urban", 600), drive(asked, "urban", 600), strict=True):
        asked.forecast(16)
        assert one == two == quiet.truth().states[0]
        assert quiet.truth() == asked.truth()
    again = RadioLink(RadioConfig(seed=3, outage_every_s=10.0))
    other = RadioLink(RadioConfig(seed=4, outage_every_s=10.0))
    list(drive(again, "urban", 600))
    list(drive(other, "urban", 600))
    assert again.truth() == quiet.truth() != other.truth()


def test_what_the_executor_is_told_comes_true_where_the_surroundings_stay():
    """Over a handover, too: truth of one moment foretells every later state to the last bit."""
    link = RadioLink(RadioConfig(seed=1, outage_every_s=3.0, outage_mean_s=0.2))
    for i in range(20):
        link.step(NEAR, 0.05 * i, 0.05)
    target = LinkGeometry(1, 50.0, True, 0, speed_mps=8.0)
    link.step(target, 1.0, 0.05)
    foretold = link.truth()
    seen = [(0.05 * i, link.step(target, 0.05 * i, 0.05)) for i in range(21, 40)]
    assert {state.rsu for _, state in seen} == {0, 1}
    for time_s, state in seen:
        told = foretold.at(time_s + 1e-9)
        if foretold.at(time_s - 1e-9).available == told.available:  # right behind a gap both are defensible
            assert (told.rsu, told.available) == (state.rsu, state.available)
            assert told.up_bps == pytest.approx(state.up_bps)
            assert told.wan_rtt_s == pytest.approx(state.wan_rtt_s)


def test_a_better_unit_interrupts_the_link_soon_and_for_a_while():
    gaps = []
    for seed in range(200):
        link = RadioLink(RadioConfig(seed=seed))
        assert link.step(NEAR, 0.0, 0.05).available
        link.step(replace(NEAR, rsu=1), 0.05, 0.05)
        trace = link.truth()
        broken = [i for i, state in enumerate(trace.states) if not state.available]
        assert trace.starts_s[broken[0]] <= 0.05 + link.config.handover_wait_s
        gaps.append(trace.starts_s[broken[-1] + 1] - trace.starts_s[broken[0]])
    # GeNeLa / M2HO: p50 21-22, p90 29-50 ms
    assert np.median(gaps) == pytest.approx(0.0215, abs=0.002)
    assert 0.029 < np.percentile(gaps, 90) < 0.050


def test_out_of_range_is_unavailable():
    link = RadioLink()
    assert link.step(NEAR, 0.0, PERIOD_S).available
    assert not link.step(LinkGeometry(-1, math.inf, False, 0), 0.1, PERIOD_S).available
    assert not link.forecast(4).up_bps.any()
    assert link.truth().finish(0.1, 1, up=True) == math.inf
    assert link.step(NEAR, 0.2, PERIOD_S).available


def ping_ms(link: RadioLink, now_s: float) -> tuple[float, float]:
    trace = link.truth()
    sent_s = trace.finish(now_s, 64, up=True)
    state = trace.at(sent_s)
    edge_ms = 1000.0 * (sent_s - now_s + state.rtt_s)
    return edge_ms, edge_ms + 1000.0 * state.wan_rtt_s


def test_pings_have_the_quantiles_measured_while_driving():
    found = []
    for seed in range(12):
        link = RadioLink(RadioConfig(seed=seed))
        found += [ping_ms(link, now_s) for now_s, _ in drive(link, "urban", 2500, seed)]
    edge, cloud = (np.array([value for value in column if value < math.inf]) for column in zip(*found, strict=True))
    for name, values in (("edge", edge), ("cloud", cloud)):
        for quantile, published in zip((50, 95, 99), PUBLISHED_MS[name], strict=True):
            ratio = np.percentile(values, quantile) / published
            assert 1 / 1.2 < ratio < 1.2, (name, quantile, ratio)


# Forecasts


def test_forecasts_are_not_the_truth():
    link = RadioLink(RadioConfig(seed=3))
    for _, state in drive(link, "urban", 200):
        futures = link.forecast(16)
        assert state.rtt_s not in futures.rtt_s
        assert state.wan_rtt_s not in futures.wan_rtt_s


def test_the_farther_ahead_the_less_the_present_counts():
    link = RadioLink(RadioConfig(seed=3))
    for _, state in drive(link, "good", 500):
        if state.wan_rtt_s > 0.3:
            break
    soon, later, long = (np.median(link.forecast(4000, ahead_s).wan_rtt_s) for ahead_s in (0.0, 0.5, 5.0))
    assert state.wan_rtt_s > later > long
    assert soon > later
    assert long == pytest.approx(link.physics.usual_wan_rtt_s, rel=0.1)


@pytest.mark.parametrize("condition", ["good", "urban", "congested", "tunnel"])
def test_the_truth_is_one_more_draw_from_the_forecast(condition: str):
    """The rank of what comes true among 63 futures is uniform: for rate, round trip and wide-area network, as the
    scheduler meets them, with handovers and outages."""
    rng = np.random.default_rng(0)
    options = {"tunnel": {"outage_every_s": 8.0, "outage_mean_s": 1.0}, "congested": {"mean_other_users": 8.0}}
    ranks: dict[str, list[float]] = {"up": [], "rtt": [], "wan": []}
    believed, happened = [], []
    for seed in range(24):
        link = RadioLink(RadioConfig(seed=seed, **options.get(condition, {})))
        for now_s, _ in drive(link, condition, 500, seed):
            if link._serving.rsu < 0:
                continue
            futures, trace = link.forecast(63), link.truth()
            when_s = now_s + 0.5 * link.config.frame_life_s + 1e-6
            state = trace.at(when_s)
            got_s = trace.finish(when_s, 0.0, up=True)  # when the link is there: at once, or behind a gap
            gets_through, alive = got_s - when_s < link.config.frame_life_s, futures.up_bps > 0.0
            believed.append(np.mean(alive))
            happened.append(gets_through)
            if gets_through:
                ranks["rtt"].append(_rank(got_s - when_s + trace.at(got_s).rtt_s, futures.rtt_s[alive], rng))
                ranks["up"].append(_rank(trace.at(got_s).up_bps, futures.up_bps[alive], rng))
            ranks["wan"].append(_rank(state.wan_rtt_s, futures.wan_rtt_s, rng))
    assert np.mean(believed) == pytest.approx(np.mean(happened), abs=0.01)
    for name, found in ranks.items():
        shares = np.histogram(found, bins=8, range=(0.0, 1.0))[0] / len(found)
        assert np.abs(shares - 0.125).max() < 0.02, (name, shares)
        assert np.mean(found) == pytest.approx(0.5, abs=0.02), name


def _rank(value: float, futures: np.ndarray, rng: np.random.Generator) -> float:
    """In (0, 1); ties by lot."""
    below, equal = np.sum(futures < value - 1e-12), np.sum(np.abs(futures - value) <= 1e-12)
    return float((below + rng.random() * (equal + 1)) / (len(futures) + 1))


def test_a_forecast_in_an_outage_knows_it():
    link = RadioLink(RadioConfig(seed=0, outage_every_s=2.0, outage_mean_s=2.0))
    on, off = [], []
    for _, state in drive(link, "good", 600):
        futures: LinkForecast = link.forecast(200)
        (on if state.available else off).append(float(np.mean(futures.up_bps > 0.0)))
    assert np.median(on) > 0.9
    assert np.median(off) < 0.1
