"""The fleet benchmark on a small fleet: every figure it promises is there, and they agree with one another."""

from __future__ import annotations

import numpy as np
import pytest

from e2e_drive.bench import fleet
from scheduling.fleet import FleetConfig, Menu, MenuEntry
from scheduling.types import Place

MENU = Menu((
    MenuEntry("local", Place.CAR, 0.04, 0.0, 0.0, 0.0, 0.0, 0.5, 0.01),
    MenuEntry("edge", Place.EDGE, 0.0, 0.004, 5e4, 200.0, 0.006, 0.0, 0.003, 0.007),
    MenuEntry("cut", Place.EDGE, 0.012, 0.002, 2e4, 200.0, 0.004, 0.2, 0.004, 0.006),
))  # fmt: skip


def test_rows_and_metrics_agree() -> None:
    bench = fleet.FleetBenchConfig(
        sizes=(1, 1000), decisions=100, least_frames=20, warm_up=5, repeats=2, instances=((40, 2, 2),), instance_seeds=2
    )
    result = fleet.measure(MENU, FleetConfig(), bench)
    metrics, rows = result["metrics"], result["rows"]
    assert [(row["cars"], row["prices"]) for row in rows] == [(1, "posted"), (1000, "posted"), (1000, "unpriced")]
    growth = rows[1]["decide_us"] / rows[0]["decide_us"]
    assert metrics["cost_growth_1_to_1000"] == growth
    assert metrics["cost_growth_inverse"] == 1.0 / growth
    assert metrics["misses_at_1000"] == rows[1]["misses"] == 0
    assert metrics["frames_without_trajectory"] == 0
    assert metrics["one_round_instances"] == 2
    assert -1e-9 <= metrics["price_of_decentralisation"] <= metrics["price_of_decentralisation_worst"]
    assert metrics["saving_captured_worst"] <= metrics["saving_captured"] <= 1.0 + 1e-9
    assert metrics["bound_gap_1000"] >= -1e-9
    for row in rows:
        shares = [row[f"{kind}_share"] for kind in ("local", "edge", "cloud", "fallback")]
        assert np.isclose(sum(shares), 1.0)
        assert row["latency_p50_ms"] <= row["latency_p95_ms"] <= row["latency_p99_ms"]


def test_settling_sees_a_price_that_comes_to_rest_and_one_that_does_not() -> None:
    rising = np.minimum(np.arange(100.0), 30.0)[:, None] * np.ones((1, 3))
    assert fleet.settling(rising, 0.1) == {"price_settle_s": 2.7, "price_ripple": 0.0}
    flapping = fleet.settling(np.where(np.arange(96) % 2, 1.0, 3.0)[:, None], 0.1)
    assert flapping["price_settle_s"] == pytest.approx(9.6)
    assert flapping["price_ripple"] == pytest.approx(0.5)
