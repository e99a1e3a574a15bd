"""The compiled moments of a radio link against the same formulas over whole arrays."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from scheduling.link import RadioConfig, RadioLink
from scheduling.link.channel import noise_dbm, spectral_efficiency, spectral_efficiency_limited
from scheduling.link.radio_physics import Moments, RadioPhysics
from scheduling.types import LinkGeometry

NEAR = LinkGeometry(0, 40.0, True, 0, speed_mps=8.0)


def by_arrays(c: RadioConfig, gain_db, core, wan, users, up_resent, down_resent, up_phase, down_phase) -> Moments:
    tdd = c.tdd()
    common = c.bandwidth_hz * (1.0 - c.overhead) * (1.0 - c.block_error_rate)
    gained_db = c.unit_antenna_dbi - c.noise_rise_db + gain_db
    up_db = c.car_power_dbm - noise_dbm(c.bandwidth_hz, c.unit_noise_figure_db) + gained_db
    down_db = c.unit_power_dbm - noise_dbm(c.bandwidth_hz, c.car_noise_figure_db) + gained_db
    share = 1.0 / (1.0 + users)
    up = common * tdd.share(True) * spectral_efficiency_limited(up_db, share, 1.0 / c.resource_blocks)
    down = common * tdd.share(False) * spectral_efficiency(down_db) * share
    up, down = up * (down > 0.0), down * (up > 0.0)
    rtt = c.edge_fibre_s + tdd.period_s * (users // c.users_per_slot)
    for is_up, resent, phase in ((True, up_resent, up_phase), (False, down_resent, down_phase)):
        table = tdd.delays_s(is_up, c.max_retransmissions)
        position = phase * len(table)
        slot = np.ceil(position).astype(np.int64)
        rtt = rtt + (slot - position) * tdd.slot_s + table[slot % len(table), resent]
    rtt = rtt + c.core_median_s * np.exp(c.core_log_sigma * core)
    knee = NormalDist().inv_cdf(1.0 - c.wan_tail_share) if c.wan_tail_share > 0 else math.inf
    excess = np.maximum(wan - knee, 0.0)
    wan_rtt = c.cloud_fibre_s + c.wan_median_s * np.exp(c.wan_log_sigma * wan + c.wan_tail_log_sigma * excess)
    usual_s = c.cloud_fibre_s + c.wan_median_s
    return Moments(up, down, rtt, wan_rtt, c.wan_bps * np.minimum(1.0, usual_s / wan_rtt))


@pytest.mark.parametrize("config", [RadioConfig(), RadioConfig(wan_tail_share=0.0, users_per_slot=2)])
def test_every_moment_is_that_of_the_formulas(config: RadioConfig):
    rng, n = np.random.default_rng(0), 4000
    columns = (
        rng.uniform(-170.0, -50.0, n), rng.standard_normal(n), 2.0 * rng.standard_normal(n), rng.integers(0, 9, n),
        rng.integers(0, 4, n), rng.integers(0, 4, n), rng.random(n), rng.random(n),
    )  # fmt: skip
    found, wanted = RadioPhysics(config).moments(*columns), by_arrays(config, *columns)
    assert 0 < np.count_nonzero(wanted.up_bps) < n
    for name in ("up_bps", "down_bps", "rtt_s", "wan_rtt_s", "wan_bps"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-12, err_msg=name)


def test_the_coming_second_is_what_arrays_say_over_a_handover_too():
    """Gains by the autoregression from tick to tick, begun anew where the next unit takes over."""
    link = RadioLink(RadioConfig(seed=1))
    for i in range(20):
        link.step(NEAR, 0.05 * i, 0.05)
    state = link.step(replace(NEAR, rsu=1, distance_m=70.0), 1.0, 0.05)
    handover = link._handover
    assert handover is not None
    now = link._background.ahead(20, 21)
    shadow, gains = link._shadow, []
    for j in range(21):
        is_new = 1.0 + 0.05 * j >= handover.start_s
        field = link.physics.field(handover.target if is_new else link._serving)
        if is_new and 1.0 + 0.05 * (j - 1) < handover.start_s:
            shadow = now.shadow[j]
        elif j > 0:
            rho = field.rho(link._moving_mps * 0.05)
            shadow = rho * shadow + math.sqrt(1.0 - rho * rho) * now.shadow[j]
        gains.append(field.mean_db + field.sigma_db * shadow)
    wanted = by_arrays(link.config, np.array(gains), *now.conditions)
    truth = link.truth()
    assert truth.at(1.0) == state
    for j in (0, 5, 20):
        told = truth.at(1.0 + 0.05 * j + 1e-9)
        assert told.up_bps == pytest.approx(wanted.up_bps[j], rel=1e-12)
        assert told.rtt_s == pytest.approx(wanted.rtt_s[j], rel=1e-12)
        assert told.rsu == (1 if 1.0 + 0.05 * j >= handover.start_s else 0)
