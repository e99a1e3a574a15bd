"""From geometry to bits a second and to slots: against hand-computed figures, bounds and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling import FixedLink, LinkForecast, LinkGeometry, LinkState, LinkTrace, OffLink
from scheduling.link.channel import (
    blockage_db,
    los_probability,
    noise_dbm,
    spectral_efficiency,
    spectral_efficiency_limited,
    umi_los_loss_db,
    umi_nlos_loss_db,
)
from scheduling.link.tdd import TddPattern


def test_snr_at_3500_mhz_matches_the_hand_calculation():
    """23 dBm, 0 dBi, 100 MHz, noise figure 5 dB, antennas at the same height so that 2-D and 3-D distance agree."""
    noise = noise_dbm(100e6, 5.0)
    assert noise == pytest.approx(-89.0)
    assert 23.0 - umi_nlos_loss_db(100.0, 1.5, 1.5, 3.5) - noise == pytest.approx(7.4, abs=0.05)
    assert 23.0 - umi_nlos_loss_db(200.0, 1.5, 1.5, 3.5) - noise == pytest.approx(-3.2, abs=0.05)
    # Line of sight before the break point 4 (hBS-1) (hUT-1) f / c = 210 m of a 10 m mast.
    assert 23.0 - umi_los_loss_db(100.0, 10.0, 1.5, 3.5) - noise == pytest.approx(26.7, abs=0.1)


def test_far_line_of_sight_falls_with_the_fourth_power():
    """Beyond the break point 40 dB a decade, before it 21 dB: TR 38.901 table 7.4.1-1."""
    near, far = (umi_los_loss_db(10.0 * d, 10.0, 1.5, 3.5) - umi_los_loss_db(d, 10.0, 1.5, 3.5) for d in (20.0, 400.0))
    assert near == pytest.approx(21.0, abs=1.0)
    assert far == pytest.approx(40.0, abs=0.1)
    # 10 m mast, 500 m: 32.4 + 40 log10(500.07) + 10.88 - 9.5 log10(210.1^2 + 8.5^2) = 107.1 dB.
    assert umi_los_loss_db(500.0, 10.0, 1.5, 3.5) == pytest.approx(107.1, abs=0.05)


def test_path_loss_is_continuous_and_increasing():
    distances = np.geomspace(2.0, 1000.0, 400)
    for loss in (umi_los_loss_db, umi_nlos_loss_db):
        values = np.array([loss(float(d), 6.0, 1.5, 3.5) for d in distances])
        assert np.all(np.diff(values) > 0)
        assert np.diff(values).max() < 0.5
    assert all(umi_nlos_loss_db(d, 6.0, 1.5, 3.5) >= umi_los_loss_db(d, 6.0, 1.5, 3.5) for d in distances)
    assert np.all(np.diff(los_probability(distances)) <= 1e-12)


def test_blockage_depends_on_who_is_below_the_roof_of_the_blocker():
    rng = np.random.default_rng(0)
    assert blockage_db(100.0, 1.6, 6.0, 1.7) == (0.0, 0.0)  # both antennas above a car
    for heights, mu, sigma in (((6.0, 1.5), 5.0, 4.0), ((2.5, 1.5), 9.0, 4.5)):
        drawn = np.maximum(0.0, rng.normal(mu, sigma, 400_000))
        assert blockage_db(100.0, 3.0, *heights) == pytest.approx((drawn.mean(), drawn.std()), abs=0.03)


def test_spectral_efficiency_steps_up_and_stays_below_shannon():
    sinr_db = np.linspace(-10.0, 30.0, 401)
    values = spectral_efficiency(sinr_db)
    assert np.all(np.diff(values) >= 0)
    assert values[0] == 0.0
    assert values[-1] == 5.55
    assert np.all(values < np.log2(1.0 + 10.0 ** (sinr_db / 10.0)))


def test_a_weak_sender_fills_the_part_of_the_band_that_suits_it_best():
    """Against trying every width of the band one by one."""
    sinr_db = np.linspace(-29.0, 30.0, 60)
    widths = np.geomspace(1e-4, 1.0, 20_000)
    for share in (1.0, 0.3, 0.05):
        tried = widths[widths <= share]
        best = (tried * spectral_efficiency(sinr_db[:, None] - 10.0 * np.log10(tried))).max(axis=1)
        np.testing.assert_allclose(spectral_efficiency_limited(sinr_db, share, 0.0), best, rtol=2e-3)
    # One resource block of 273 is the least: -6.5 dB for CQI 1 and 24.4 dB from filling 1/273.
    assert spectral_efficiency_limited(np.array([-30.8, -31.0]), 1.0, 1.0 / 273.0).astype(bool).tolist() == [
        True,
        False,
    ]


def test_a_message_waits_for_the_slots_that_tdd_gives_it():
    """DDDSU at 30 kHz by hand. Ready in the first slot: SR in slot 4, read in 5, grant in 6, data in slot 9, read in
    slot 10: 11 slots. Each HARQ retransmission waits for the next uplink slot, one pattern later."""
    tdd = TddPattern("DDDSU", (10, 2, 2))
    assert tdd.share(True) == pytest.approx((1 + 2 / 14) / 5)
    assert tdd.share(False) == pytest.approx((3 + 10 / 14) / 5)
    up = tdd.delays_s(True, 3)
    assert up[0, 0] == pytest.approx(11 * 0.5e-3)
    np.testing.assert_allclose(np.diff(up, axis=1), 2.5e-3)
    down = tdd.delays_s(False, 1)
    assert down[0, 0] == pytest.approx((14 + 10) / 14 * 0.5e-3)  # one slot and N1
    # NACK in slot 4, data again in slot 6.
    assert down[0, 1] == pytest.approx((7 * 14 + 10) / 14 * 0.5e-3)
    with pytest.raises(ValueError, match="received 'DDD'"):
        TddPattern("DDD")


@given(st.text("DSU", min_size=2, max_size=10).filter(lambda s: "D" in s and "U" in s), st.integers(0, 40))
def test_any_pattern_keeps_order(slots: str, unit_symbols: int) -> None:
    tdd = TddPattern(slots, unit_symbols=unit_symbols)
    assert tdd.share(True) + tdd.share(False) <= 1.0
    for up in (True, False):
        delays = tdd.delays_s(up, 3)
        assert np.all(np.diff(delays, axis=1) > 0)
        # Ready a slot later, it is never there earlier.
        assert np.all(np.diff(delays + np.arange(len(slots))[:, None] * tdd.slot_s, axis=0) >= -1e-12)


def test_off_is_unavailable():
    assert not OffLink().step(LinkGeometry(0, 10.0, True, 0), 0.0, 0.1).available
    assert not OffLink().forecast(4).up_bps.any()


def test_a_trace_carries_what_it_says():
    slow, none, fast = (LinkState(rate, rate, 0.02, 0.0, 0) for rate in (8e5, 0.0, 8e6))
    trace = LinkTrace((0.0, 1.0, 2.0), (slow, none, fast))
    # 100 kB in the first second, then a second of silence, then 1 MB/s.
    assert trace.finish(0.0, 150_000, up=True) == pytest.approx(2.05)
    assert trace.bytes_between(0.0, 2.05, up=True) == 150_000
    assert LinkTrace((0.0, 1.0), (slow, none)).finish(0.5, 100_000, up=True) == math.inf
    with pytest.raises(ValueError, match="increase"):
        LinkTrace((1.0, 1.0), (slow, fast))


def test_fixed_link_is_constant_and_its_forecast_complete():
    link = FixedLink.configured(up_bps=1e7, rtt_s=0.02)
    states = {link.step(LinkGeometry(0, float(d), True, 0), 0.1 * d, 0.1) for d in range(5)}
    assert states == {link.truth().at(3.0)} == {link.forecast(3)[1]}
    with pytest.raises(ValueError, match="one length"):
        LinkForecast(*(np.ones(n) for n in (2, 2, 2, 3)))
