"""The line at a shared server: queueing theory, determinism, and forecasts that can be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from scheduling.queue import SharedQueue


@pytest.mark.parametrize("variation", [0.0, 1.0])
def test_the_mean_wait_is_that_of_queueing_theory(variation):
    """M/D/1: rho / (2 mu (1 - rho)); by PASTA, seen at evenly spaced moments just as well."""
    rate, service = 70.0, 0.01
    queue = SharedQueue(rate, service, variation, seed=3)
    rho, mu = rate * service, 1.0 / service
    seen = [queue.backlog_at(t) for t in np.arange(0.0, 4000.0, 0.05)]
    assert np.mean(seen) == pytest.approx((1.0 + variation**2) * rho / (2.0 * mu * (1.0 - rho)), rel=0.05)
    assert np.mean(np.array(seen) == 0.0) == pytest.approx(1.0 - rho, rel=0.05)


def test_the_backlog_depends_on_seed_and_time_alone():
    times = np.random.default_rng(0).uniform(-20.0, 300.0, 400)
    forward, any_order = SharedQueue(90.0, 0.01, 0.5, seed=1), SharedQueue(90.0, 0.01, 0.5, seed=1)
    expected = {t: forward.backlog_at(t) for t in np.sort(times)}
    assert all(any_order.backlog_at(t) == expected[t] for t in times)
    assert any(SharedQueue(90.0, 0.01, 0.5, seed=2).backlog_at(t) != expected[t] for t in times)


def test_the_backlog_shrinks_as_time_passes_and_jumps_by_whole_jobs():
    queue = SharedQueue(50.0, 0.01, seed=4)
    times = np.linspace(0.0, 60.0, 120_001)
    seen = np.array([queue.backlog_at(t) for t in times])
    jumps = np.diff(seen) + np.where(seen[:-1] > 0, np.minimum(np.diff(times), seen[:-1]), 0.0)
    arrived = jumps[jumps > 1e-4]
    assert len(arrived) == pytest.approx(3000, rel=0.1)
    single = np.abs(arrived - 0.01) < 6e-4
    assert single.mean() > 0.95  # now and then two in one step


@pytest.mark.parametrize("ahead_s", [0.0, 0.03])
def test_the_forecast_is_calibrated_and_not_the_truth(ahead_s):
    queue = SharedQueue(80.0, 0.01, 1.0, seed=5)
    times = np.arange(1.0, 401.0, 0.4)
    futures = np.array([queue.forecast(64, t, np.random.default_rng(i), ahead_s) for i, t in enumerate(times)])
    truth = np.array([queue.backlog_at(t + ahead_s) for t in times])
    assert futures.mean() == pytest.approx(truth.mean(), rel=0.1)
    below = (futures < truth[:, None]).mean(axis=1)[truth > 0.02]
    assert 0.02 < np.mean(below > 0.95) < 0.15  # conditioned on a long line: rather more than one in twenty
    assert np.corrcoef(futures.mean(axis=1), truth)[0, 1] > 0.5
    assert np.array_equal(futures[7], queue.forecast(64, times[7], np.random.default_rng(7), ahead_s))
