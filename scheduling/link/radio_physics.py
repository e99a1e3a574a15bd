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
    umi_los_loss_db,
    umi_nlos_loss_db,
)
from scheduling.link.moments import Cell, fill_moments, make_box
from scheduling.link.radio_config import RadioConfig
from scheduling.link.tdd import TddPattern
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
        self.config = config
        self.usual_wan_rtt_s = config.cloud_fibre_s + config.wan_median_s
        self.box = make_box(self._cell(config.tdd()))
        self._last: tuple[LinkGeometry, Field] | None = None

    def _cell(self, tdd: TddPattern) -> Cell:
        c = self.config
        common = c.bandwidth_hz * (1.0 - c.overhead) * (1.0 - c.block_error_rate)
        gained_db = c.unit_antenna_dbi - c.noise_rise_db
        return Cell(
            up_db=c.car_power_dbm - noise_dbm(c.bandwidth_hz, c.unit_noise_figure_db) + gained_db,
            down_db=c.unit_power_dbm - noise_dbm(c.bandwidth_hz, c.car_noise_figure_db) + gained_db,
            up_bps_per_se=common * tdd.share(True),
            down_bps_per_se=common * tdd.share(False),
            least_share=1.0 / c.resource_blocks,
            slot_s=tdd.slot_s,
            period_s=tdd.period_s,
            users_per_slot=float(c.users_per_slot),
            fixed_s=float(c.edge_fibre_s),
            core_median_s=float(c.core_median_s),
            core_log_sigma=float(c.core_log_sigma),
            cloud_fibre_s=float(c.cloud_fibre_s),
            wan_median_s=float(c.wan_median_s),
            wan_log_sigma=float(c.wan_log_sigma),
            wan_knee=NormalDist().inv_cdf(1.0 - c.wan_tail_share) if c.wan_tail_share > 0 else math.inf,
            wan_tail_log_sigma=float(c.wan_tail_log_sigma),
            wan_bps=float(c.wan_bps),
            usual_wan_rtt_s=float(self.usual_wan_rtt_s),
            up_s=tdd.delays_s(True, c.max_retransmissions),
            down_s=tdd.delays_s(False, c.max_retransmissions),
        )

    def field(self, geometry: LinkGeometry) -> Field:
        """Mean: minus path loss, minus the mean loss behind a blocking vehicle."""
        if self._last is None or self._last[0] is not geometry:  # asked for several times a tick
            self._last = geometry, self._field(geometry)
        return self._last[1]

    def _field(self, geometry: LinkGeometry) -> Field:
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
        out = np.empty((5, len(gain_db)))
        fill_moments(out, self.box, gain_db, core, wan, users, up_resent, down_resent, up_phase, down_phase)
        return Moments(*out)
