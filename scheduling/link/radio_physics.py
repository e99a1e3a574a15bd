"""What a radio configuration makes of one moment: signal field, rates, round trips. No state, vectorised over moments.

SINR = transmit power + unit's antenna gain - path loss (3GPP UMi, true line of sight) - blockage by vehicles
       - shadowing - noise - noise rise
rate = bandwidth * share of this direction * (1 - overhead) * SE(CQI) * (1 - BLER) / users; far away the car's power
       goes into fewer resource blocks
RTT  = scheduling request, grant, slots, processing, HARQ retransmissions (`tdd`) + turns taken by other users
       + fibre + core and queues; on to the cloud, fibre + a wide-area network whose queues are full now and then
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from scheduling.link.base import Floats, Integers
from scheduling.link.channel import (
    SHADOW_DISTANCE_M,
    SHADOW_SIGMA_DB,
    blockage_db,
    noise_dbm,
    spectral_efficiency,
    spectral_efficiency_limited,
    umi_los_loss_db,
    umi_nlos_loss_db,
)
from scheduling.link.radio_config import RadioConfig
from scheduling.types import LinkGeometry


@dataclass(frozen=True)
class Field:
    """Of the signal around one place: gain = mean_db + sigma_db N(0, 1), which forgets itself over distance_m."""

    mean_db: float
    sigma_db: float
    distance_m: float

    def rho(self, driven_m: float) -> float:
        return math.exp(-driven_m / self.distance_m)


@dataclass(frozen=True)
class Moments:
    """Columns (n,). wan_rtt_s, wan_bps: between edge and cloud."""

    up_bps: Floats
    down_bps: Floats
    rtt_s: Floats
    wan_rtt_s: Floats
    wan_bps: Floats


class RadioPhysics:
    def __init__(self, config: RadioConfig) -> None:
        self.config = c = config
        tdd = c.tdd()
        self._slot_s, self._period_s = tdd.slot_s, tdd.period_s
        self._up_s = tdd.delays_s(True, c.max_retransmissions)
        self._down_s = tdd.delays_s(False, c.max_retransmissions)
        common = c.bandwidth_hz * (1.0 - c.overhead) * (1.0 - c.block_error_rate)
        self._up_bps_per_se, self._down_bps_per_se = common * tdd.share(True), common * tdd.share(False)
        gained_db = c.unit_antenna_dbi - c.noise_rise_db
        self._up_db = c.car_power_dbm - noise_dbm(c.bandwidth_hz, c.unit_noise_figure_db) + gained_db
        self._down_db = c.unit_power_dbm - noise_dbm(c.bandwidth_hz, c.car_noise_figure_db) + gained_db
        self._wan_knee = NormalDist().inv_cdf(1.0 - c.wan_tail_share) if c.wan_tail_share > 0 else math.inf
        self.usual_wan_rtt_s = c.cloud_fibre_s + c.wan_median_s

    def field(self, geometry: LinkGeometry) -> Field:
        """Mean: minus path loss, minus the mean loss behind a blocking vehicle."""
        c, los = self.config, geometry.line_of_sight
        flat_m = math.sqrt(max(geometry.distance_m**2 - (c.unit_height_m - c.car_height_m) ** 2, 1.0))
        loss = umi_los_loss_db if los else umi_nlos_loss_db
        loss_db, sigma_db = loss(flat_m, c.unit_height_m, c.car_height_m, c.frequency_ghz), SHADOW_SIGMA_DB[los]
        if los and geometry.blocking_vehicles > 0:
            mean_db, spread_db = blockage_db(flat_m, geometry.blocker_height_m, c.unit_height_m, c.car_height_m)
            loss_db, sigma_db = loss_db + mean_db, math.hypot(sigma_db, spread_db)
        return Field(-loss_db, sigma_db, SHADOW_DISTANCE_M[los])

    def moments(
        self,
        gain_db: Floats,
        core: Floats,
        wan: Floats,
        users: Integers,
        up_resent: Integers,
        down_resent: Integers,
        up_phase: Floats,
        down_phase: Floats,
    ) -> Moments:
        """Columns (n,), as of `background.Draws`."""
        c = self.config
        share = 1.0 / (1.0 + users)
        up = self._up_bps_per_se * spectral_efficiency_limited(self._up_db + gain_db, share, 1.0 / c.resource_blocks)
        down = self._down_bps_per_se * spectral_efficiency(self._down_db + gain_db) * share
        up, down = up * (down > 0.0), down * (up > 0.0)  # either direction needs acknowledgements in the other
        rtt = self.up_delay_s(up_resent, up_phase) + _delay_s(self._down_s, self._slot_s, down_resent, down_phase)
        rtt += c.edge_fibre_s + self._period_s * (users // c.users_per_slot)
        rtt += c.core_median_s * np.exp(c.core_log_sigma * core)
        excess = np.maximum(wan - self._wan_knee, 0.0)
        wan_rtt = c.cloud_fibre_s + c.wan_median_s * np.exp(c.wan_log_sigma * wan + c.wan_tail_log_sigma * excess)
        # A queue that makes messages wait x times as long leaves each flow about one part in x of the rate.
        return Moments(up, down, rtt, wan_rtt, c.wan_bps * np.minimum(1.0, self.usual_wan_rtt_s / wan_rtt))

    def up_delay_s(self, resent: Integers, phase: Floats) -> Floats:
        """From a message that is ready at a phase (0..1) of the TDD pattern until the unit has decoded it."""
        return _delay_s(self._up_s, self._slot_s, resent, phase)


def _delay_s(table_s: Floats, slot_s: float, resent: Integers, phase: Floats) -> Floats:
    position = phase * len(table_s)
    slot = np.ceil(position).astype(np.int64)
    return (slot - position) * slot_s + table_s[slot % len(table_s), resent]
