"""The radio link against hand-computed and published figures."""

import numpy as np
import pytest

from scheduling import FixedLink, LinkGeometry, LinkState, LinkTrace, OffLink, RadioConfig, RadioLink
from scheduling.link.channel import (
    noise_dbm,
    spectral_efficiency,
    umi_los_loss_db,
    umi_nlos_loss_db,
)


def test_snr_at_3500_mhz_matches_the_hand_calculation():
    """23 dBm, 0 dBi, 100 MHz, noise figure 5 dB, antennas at the same height so that 2-D and 3-D distance agree."""
    noise = noise_dbm(100e6, 5.0)
    assert noise == pytest.approx(-89.0)
    assert 23.0 - umi_nlos_loss_db(100.0, 1.5, 1.5, 3.5) - noise == pytest.approx(7.4, abs=0.05)
    assert 23.0 - umi_nlos_loss_db(200.0, 1.5, 1.5, 3.5) - noise == pytest.approx(-3.2, abs=0.05)
    # Line of sight before the break point 4 (hBS-1) (hUT-1) f / c = 210 m of a 10 m mast.
    assert 23.0 - umi_los_loss_db(100.0, 10.0, 1.5, 3.5) - noise == pytest.approx(26.7, abs=0.1)


def test_path_loss_is_continuous_and_increasing():
    distances = np.geomspace(2.0, 1000.0, 400)
    for loss in (umi_los_loss_db, umi_nlos_loss_db):
        values = np.array([loss(float(d), 6.0, 1.5, 3.5) for d in distances])
        assert np.all(np.diff(values) > 0)
        assert np.diff(values).max() < 0.5


def test_spectral_efficiency_steps_up_and_stays_below_shannon():
    sinr_db = np.linspace(-10.0, 30.0, 401)
    values = spectral_efficiency(sinr_db)
    assert np.all(np.diff(values) >= 0)
    assert values[0] == 0.0
    assert values[-1] == 5.55
    assert np.all(values < np.log2(1.0 + 10.0 ** (sinr_db / 10.0)))


def drive(link: RadioLink, geometry: LinkGeometry, steps: int) -> list[LinkState]:
    return [link.step(geometry, 0.1 * i, 0.1) for i in range(steps)]


def test_rtt_has_the_quantiles_measured_while_driving():
    """NUWiNS, IMC 2023, driving ping to an edge server: p50 27.7, p95 44.2, p99 53 ms."""
    rtt = []
    for seed in range(3):
        link = RadioLink(RadioConfig(seed=seed))
        rtt += [s.rtt_s for s in drive(link, LinkGeometry(0, 60.0, True, 0), 6_000)]
    for quantile, published_s in ((50, 0.0277), (95, 0.0442), (99, 0.053)):
        ratio = np.percentile(rtt, quantile) / published_s
        assert 1 / 1.3 < ratio < 1.3, (quantile, ratio)


def median_up(distance_m: float, los: bool, blockers: int = 0) -> float:
    # A fresh link a sample: shadowing hardly moves while standing still.
    rates = [
        RadioLink(RadioConfig(seed=s)).step(LinkGeometry(0, distance_m, los, blockers), 0.0, 0.1).up_bps
        for s in range(200)
    ]
    return float(np.median(rates))


def test_uplink_rates_are_those_of_a_town():
    assert 30e6 < median_up(50.0, True) < 110e6
    assert 0.5e6 < median_up(120.0, False) < 15e6
    assert median_up(100.0, True, blockers=1) <= median_up(100.0, True)
    assert median_up(400.0, False) < 1e6


def test_forecasts_are_not_the_truth_and_do_not_disturb_it():
    geometry = LinkGeometry(0, 80.0, False, 0)
    quiet, asked = RadioLink(RadioConfig(seed=3)), RadioLink(RadioConfig(seed=3))
    for i in range(50):
        truth = quiet.step(geometry, 0.1 * i, 0.1)
        assert asked.step(geometry, 0.1 * i, 0.1) == truth
        futures = asked.forecast(16)
        assert len(futures) == 16
        assert truth.rtt_s not in futures.rtt_s
    # Over many draws they are centred on it.
    wide = asked.forecast(2000)
    assert abs(np.median(wide.rtt_s) / truth.rtt_s - 1.0) < 0.5


def test_a_change_of_unit_interrupts_the_link_for_a_while():
    link = RadioLink(RadioConfig(seed=1))
    assert link.step(LinkGeometry(0, 60.0, True, 0), 0.0, 0.05).available
    assert not link.step(LinkGeometry(1, 60.0, True, 0), 0.05, 0.05).available
    trace = link.truth()
    gap_s = trace.finish(0.05, 0.0, up=True) - 0.05
    assert 0.005 < gap_s < 0.1
    assert link.step(LinkGeometry(1, 60.0, True, 0), 0.25, 0.2).available


def test_out_of_range_and_off_are_unavailable():
    link = RadioLink()
    for state in (link.step(LinkGeometry(-1, np.inf, False, 0), 0.0, 0.1), OffLink().step(None, 0.0, 0.1)):
        assert not state.available
        assert state.up_bps == 0.0
    assert not link.forecast(4).up_bps.any()


def test_a_trace_carries_what_it_says():
    slow, none, fast = (LinkState(rate, rate, 0.02, 0.0, 0) for rate in (8e5, 0.0, 8e6))
    trace = LinkTrace((0.0, 1.0, 2.0), (slow, none, fast))
    # 100 kB in the first second, then a second of silence, then 1 MB/s.
    assert trace.finish(0.0, 150_000, up=True) == pytest.approx(2.05)
    assert trace.bytes_between(0.0, 2.05, up=True) == 150_000
    assert LinkTrace((0.0, 1.0), (slow, none)).finish(0.5, 100_000, up=True) == np.inf
    with pytest.raises(ValueError, match="increase"):
        LinkTrace((1.0, 1.0), (slow, fast))


def test_fixed_link_is_constant():
    link = FixedLink.configured(up_bps=1e7, rtt_s=0.02)
    states = {link.step(LinkGeometry(0, float(d), True, 0), 0.1 * d, 0.1) for d in range(5)}
    assert states == {link.truth().at(3.0)} == {link.forecast(3)[1]}
