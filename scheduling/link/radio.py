"""The radio link between a car and roadside units, from geometry that the world really has.

SINR = transmit power - path loss (3GPP UMi, true line of sight) - shadowing - blockage by vehicles - noise - noise rise
rate = bandwidth * share of this direction * (1 - overhead) * SE(CQI) * (1 - BLER) / users
RTT  = uplink grant + slots + processing + HARQ retransmissions + transport, core and queues (lognormal, correlated)

Shadowing is a first-order autoregressive process over the distance driven (Gudmundson 1991). A change of roadside
unit interrupts the user plane for a handover gap. The forecast starts from a noisy measurement of the SINR and the
last RTT and draws its own innovations; it shares no random stream with the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduling.link.base import UNAVAILABLE, LinkForecast, LinkModel, LinkTrace
from scheduling.link.channel import (
    blockage_mean_db,
    noise_dbm,
    spectral_efficiency,
    umi_los_loss_db,
    umi_nlos_loss_db,
)
from scheduling.types import LinkGeometry, LinkState

_SHADOW_SIGMA_DB = {True: 4.0, False: 7.82}  # LOS, NLOS: TR 38.901 table 7.4.1-1
_SHADOW_DISTANCE_M = {True: 10.0, False: 13.0}  # correlation distances: TR 38.901 table 7.5-6
_BLOCKAGE_SIGMA_DB = 4.0  # TR 37.885
_FORECAST_METRES = 1.0  # driven while a frame is in flight, at town speed
_AMBIENT_MPS = 0.5  # a waiting car's surroundings still change: other traffic moves


@dataclass(frozen=True)
class RadioConfig:
    frequency_ghz: float = 3.5
    bandwidth_hz: float = 100e6
    car_power_dbm: float = 23.0
    unit_power_dbm: float = 33.0
    car_noise_figure_db: float = 9.0
    unit_noise_figure_db: float = 5.0
    noise_rise_db: float = 3.0
    car_height_m: float = 1.5
    unit_height_m: float = 6.0
    up_share: float = 0.23
    down_share: float = 0.74
    overhead: float = 0.08
    block_error_rate: float = 0.1
    mean_other_users: float = 1.5
    user_hold_s: float = 2.0
    radio_rtt_s: float = 0.0095
    harq_s: float = 0.004
    core_median_s: float = 0.0175
    core_log_sigma: float = 0.41
    core_correlation_s: float = 1.0
    handover_median_s: float = 0.0215
    handover_log_sigma: float = 0.345
    message_loss: float = 1e-3
    measurement_sigma_db: float = 1.5
    horizon_s: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("frequency_ghz", "bandwidth_hz", "user_hold_s", "core_median_s", "core_correlation_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"radio link: {name} must be positive, received {getattr(self, name)}")
        for name in ("up_share", "down_share", "overhead", "block_error_rate", "message_loss"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"radio link: {name} must lie in [0, 1), received {getattr(self, name)}")


class RadioLink(LinkModel):
    def __init__(self, config: RadioConfig | None = None) -> None:
        self.config = config or RadioConfig()
        truth_seed, forecast_seed = np.random.SeedSequence([self.config.seed, 0x52AD10]).spawn(2)
        self._rng = np.random.default_rng(truth_seed)
        self._forecast_rng = np.random.default_rng(forecast_seed)
        # Unit-variance normal variables behind shadowing, blockage and the logarithm of the core's delay.
        self._shadow, self._blockage, self._core = self._rng.standard_normal(3)
        self._other_users = int(self._rng.poisson(self.config.mean_other_users))
        self._geometry = LinkGeometry(rsu=-1, distance_m=np.inf, line_of_sight=False, blocking_vehicles=0)
        self._time_s = 0.0
        self._gap_end_s = -np.inf
        self._state = UNAVAILABLE

    @classmethod
    def configured(cls, **options: float | int) -> RadioLink:
        return cls(RadioConfig(**options))  # type: ignore[arg-type]

    def path_gain_db(self, geometry: LinkGeometry) -> float:
        """Median gain without shadowing: minus path loss, minus the mean loss behind a blocking vehicle."""
        c = self.config
        loss = umi_los_loss_db if geometry.line_of_sight else umi_nlos_loss_db
        flat_m = float(np.sqrt(max(geometry.distance_m**2 - (c.unit_height_m - c.car_height_m) ** 2, 1.0)))
        blocked = geometry.line_of_sight and geometry.blocking_vehicles > 0
        return -loss(flat_m, c.unit_height_m, c.car_height_m, c.frequency_ghz) - (
            blockage_mean_db(flat_m) if blocked else 0.0
        )

    def step(self, geometry: LinkGeometry, time_s: float, delta_s: float) -> LinkState:
        c = self.config
        previous, self._geometry, self._time_s = self._geometry, geometry, time_s
        # A fixed number of draws a step keeps the streams of two runs aligned whatever happens in between.
        shadow, blockage, core, change = self._rng.standard_normal(4)
        hold, retransmissions = self._rng.random(), self._rng.geometric(1.0 - c.block_error_rate, size=2) - 1
        users = int(self._rng.poisson(c.mean_other_users))
        moved_m = _AMBIENT_MPS * delta_s
        if geometry.rsu != previous.rsu:
            moved_m = np.inf  # another unit stands elsewhere: its shadowing has nothing to do with the last one's
            if previous.rsu >= 0 and geometry.rsu >= 0:
                self._gap_end_s = time_s + c.handover_median_s * float(np.exp(c.handover_log_sigma * change))
        elif np.isfinite(previous.distance_m) and np.isfinite(geometry.distance_m):
            moved_m += abs(geometry.distance_m - previous.distance_m)
        rho = float(np.exp(-moved_m / _SHADOW_DISTANCE_M[geometry.line_of_sight]))
        self._shadow = _autoregress(self._shadow, rho, shadow)
        self._blockage = _autoregress(self._blockage, rho, blockage)
        self._core = _autoregress(self._core, float(np.exp(-delta_s / c.core_correlation_s)), core)
        if hold > np.exp(-delta_s / c.user_hold_s):
            self._other_users = users
        if geometry.rsu < 0:
            self._state = UNAVAILABLE
        else:
            state = self._states(
                np.array([self._gain_db()]), np.array([self._core]), np.array([self._other_users]),
                np.array([retransmissions.sum()]),
            )  # fmt: skip
            up, down, rtt, loss = (float(values[0]) for values in state)
            self._state = LinkState(up, down, rtt, loss, geometry.rsu, available=up > 0.0 and time_s >= self._gap_end_s)
        return self._state

    def truth(self) -> LinkTrace:
        """The present state holds; a handover gap in progress ends when it ends."""
        now, state = self._time_s, self._state
        if now < self._gap_end_s and state.up_bps > 0.0:
            after = LinkState(state.up_bps, state.down_bps, state.rtt_s, state.loss, state.rsu)
            return LinkTrace((now, self._gap_end_s), (state, after))
        return LinkTrace((now,), (state,))

    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        c, rng, geometry = self.config, self._forecast_rng, self._geometry
        noise = rng.standard_normal((4, n))
        hold = rng.random(n)
        users = rng.poisson(c.mean_other_users, n)
        retransmissions = rng.geometric(1.0 - c.block_error_rate, size=(2, n)).sum(axis=0) - 2
        if geometry.rsu < 0:
            return LinkForecast.repeat(UNAVAILABLE, n)
        # One measurement error for all futures, one innovation each: shadowing over half a metre or so of driving.
        measured_db = self._gain_db() + c.measurement_sigma_db * rng.standard_normal()
        drift_db = _SHADOW_SIGMA_DB[geometry.line_of_sight] * np.sqrt(
            1.0 - np.exp(-2.0 * _FORECAST_METRES / _SHADOW_DISTANCE_M[geometry.line_of_sight])
        )
        rho = float(np.exp(-c.horizon_s / c.core_correlation_s))
        core = rho * self._core + np.sqrt(1.0 - rho * rho) * noise[1]
        others = np.where(hold > np.exp(-c.horizon_s / c.user_hold_s), users, self._other_users)
        up, down, rtt, loss = self._states(measured_db + drift_db * noise[0], core, others, retransmissions)
        if self._time_s < self._gap_end_s:
            # The car knows that a handover is on, not how long this one takes: the rest of a typical gap delays all.
            rtt = rtt + c.handover_median_s * np.exp(c.handover_log_sigma * noise[2])
        return LinkForecast(up, down, rtt, loss, geometry.rsu)

    def _gain_db(self) -> float:
        geometry = self._geometry
        blocked = geometry.line_of_sight and geometry.blocking_vehicles > 0
        shadow_db = _SHADOW_SIGMA_DB[geometry.line_of_sight] * self._shadow
        # Blockage is max(0, N(mu, sigma)): its mean is in the path gain, the fluctuation cannot make it a gain.
        mean_db = blockage_mean_db(geometry.distance_m)
        wobble_db = max(-mean_db, _BLOCKAGE_SIGMA_DB * self._blockage) if blocked else 0.0
        return self.path_gain_db(geometry) - shadow_db - wobble_db

    def _states(
        self,
        gain_db: npt.NDArray[np.float64],
        core: npt.NDArray[np.float64],
        other_users: npt.NDArray[np.int64],
        retransmissions: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.float64], ...]:
        """(up_bps, down_bps, rtt_s, loss), vectorised over futures."""
        c = self.config
        up_db = c.car_power_dbm + gain_db - noise_dbm(c.bandwidth_hz, c.unit_noise_figure_db) - c.noise_rise_db
        down_db = c.unit_power_dbm + gain_db - noise_dbm(c.bandwidth_hz, c.car_noise_figure_db) - c.noise_rise_db
        common = c.bandwidth_hz * (1.0 - c.overhead) * (1.0 - c.block_error_rate) / (1.0 + other_users)
        up = common * c.up_share * spectral_efficiency(up_db)
        down = common * c.down_share * spectral_efficiency(down_db) * (up > 0.0)  # acknowledgements need the uplink
        rtt = c.radio_rtt_s + c.harq_s * retransmissions + c.core_median_s * np.exp(c.core_log_sigma * core)
        return up, down, rtt, np.where(up > 0.0, c.message_loss, 1.0)


def _autoregress(value: float, rho: float, innovation: float) -> float:
    return rho * value + float(np.sqrt(1.0 - rho * rho)) * innovation
