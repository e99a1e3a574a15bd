"""The numbers of a radio link; each condition's YAML (configs/link) names a source or says that it is an assumption."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scheduling.link.channel import SPEED_IN_FIBRE_KM_S
from scheduling.link.tdd import TddPattern


@dataclass(frozen=True)
class RadioConfig:
    # the carrier and its ends
    frequency_ghz: float = 3.5
    bandwidth_hz: float = 100e6
    car_power_dbm: float = 23.0
    unit_power_dbm: float = 33.0
    unit_antenna_dbi: float = 8.0
    car_noise_figure_db: float = 9.0
    unit_noise_figure_db: float = 5.0
    noise_rise_db: float = 3.0  # interference from other cells
    car_height_m: float = 1.5
    unit_height_m: float = 6.0
    # frame structure
    tdd_pattern: str = "DDDSU"
    special_symbols: tuple[int, int, int] = (10, 2, 2)
    resource_blocks: int = 273
    overhead: float = 0.08
    block_error_rate: float = 0.1  # of every transmission of a block
    max_retransmissions: int = 3
    # other users of the cell: arrive at random, stay user_hold_s on average, share its rate evenly
    mean_other_users: float = 1.5
    user_hold_s: float = 2.0
    users_per_slot: int = 8  # grants in one uplink slot; more users take turns
    # transport, core and queues to the edge: a lognormal, correlated in time; likewise on to the cloud, with a second,
    # steeper slope in the wan_tail_share of the time in which queues on the way are full
    edge_km: float = 20.0
    core_median_s: float = 0.021
    core_log_sigma: float = 0.326
    core_correlation_s: float = 1.0
    cloud_km: float = 1000.0
    wan_median_s: float = 0.0292
    wan_log_sigma: float = 0.35
    wan_tail_share: float = 0.135
    wan_tail_log_sigma: float = 1.51
    wan_correlation_s: float = 1.0
    wan_bps: float = 1e9
    # a better unit: within handover_wait_s the network hands over, which interrupts the user plane for a lognormal gap
    handover_wait_s: float = 0.16
    handover_median_s: float = 0.0215
    handover_log_sigma: float = 0.345
    # holes in the coverage that the geometry does not know: begin at random, last outage_mean_s on average
    outage_every_s: float = math.inf
    outage_mean_s: float = 1.0
    message_loss: float = 1e-3
    # what the car knows, and for how long
    measurement_sigma_db: float = 1.5
    ambient_mps: float = 0.5  # a waiting car's surroundings still change: other traffic moves
    frame_life_s: float = 0.1  # messages of a frame cross the air within so long
    lookahead_s: float = 1.0  # how far the executor's truth reaches
    seed: int = 0

    def __post_init__(self) -> None:
        positive = (
            "frequency_ghz",
            "bandwidth_hz",
            "resource_blocks",
            "user_hold_s",
            "users_per_slot",
            "core_median_s",
            "core_correlation_s",
            "wan_median_s",
            "wan_correlation_s",
            "wan_bps",
            "handover_wait_s",
            "handover_median_s",
            "outage_every_s",
            "outage_mean_s",
            "frame_life_s",
            "lookahead_s",
        )
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"radio link: {name} must be positive, received {getattr(self, name)}")
        not_negative = ("noise_rise_db", "mean_other_users", "edge_km", "cloud_km", "core_log_sigma", "wan_log_sigma",
                        "wan_tail_log_sigma", "handover_log_sigma", "measurement_sigma_db", "ambient_mps",
                        "max_retransmissions")  # fmt: skip
        for name in not_negative:
            if not getattr(self, name) >= 0:
                raise ValueError(f"radio link: {name} must not be negative, received {getattr(self, name)}")
        for name in ("overhead", "block_error_rate", "message_loss", "wan_tail_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"radio link: {name} must lie in [0, 1), received {getattr(self, name)}")
        self.tdd()

    def tdd(self) -> TddPattern:
        if len(self.special_symbols) != 3:
            raise ValueError(f"radio link: special_symbols must be down, guard, up, received {self.special_symbols}")
        down, guard, up = self.special_symbols
        return TddPattern(self.tdd_pattern, (down, guard, up))

    @property
    def edge_fibre_s(self) -> float:
        """There and back."""
        return 2.0 * self.edge_km / SPEED_IN_FIBRE_KM_S

    @property
    def cloud_fibre_s(self) -> float:
        return 2.0 * self.cloud_km / SPEED_IN_FIBRE_KM_S
