"""The radio link between a car and roadside units, from geometry that the world really has.

SINR = transmit power + unit's antenna gain - path loss (3GPP UMi, true line of sight) - blockage by vehicles
       - shadowing - noise - noise rise
rate = bandwidth * share of this direction * (1 - overhead) * SE(CQI) * (1 - BLER) / users; far away the car's power
       goes into fewer resource blocks
RTT  = scheduling request, grant, slots, processing, HARQ retransmissions (`tdd`) + turns taken by other users
       + fibre + core and queues; on to the cloud, fibre + a wide-area network whose queues are full now and then

Shadowing is a first-order autoregression over the distance driven (Gudmundson, Electronics Letters 27, 1991). When
another unit becomes the better one, the network hands over a little later, which interrupts the user plane.

Truth is drawn a second ahead (`background`). The forecast never sees that: it starts from a noisy measurement of the
SINR, the last round trips and the last share of the cell, and draws its own innovations over the time ahead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from scheduling.link.background import TICK_S, Background, Draws, outage_probability, retransmissions
from scheduling.link.base import UNAVAILABLE, Floats, Integers, LinkForecast, LinkModel, LinkTrace
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
from scheduling.types import LinkGeometry, LinkState

_NOWHERE = LinkGeometry(rsu=-1, distance_m=math.inf, line_of_sight=False, blocking_vehicles=0)
_NORMAL = NormalDist()


@dataclass(frozen=True)
class _Field:
    """Of the signal around one place: gain = mean_db + sigma_db N(0, 1), which forgets itself over distance_m."""

    mean_db: float
    sigma_db: float
    distance_m: float

    def rho(self, driven_m: float) -> float:
        return math.exp(-driven_m / self.distance_m)


@dataclass(frozen=True)
class _Handover:
    target: LinkGeometry
    latest_s: float  # the gap begins by then
    start_s: float  # of the gap
    end_s: float


class RadioLink(LinkModel):
    def __init__(self, config: RadioConfig | None = None) -> None:
        self.config = c = config or RadioConfig()
        seeds = np.random.SeedSequence([c.seed, 0x52AD10]).spawn(3)
        truth, self._handover_rng, self._forecast_rng = (np.random.default_rng(seed) for seed in seeds)
        self._background = Background(c, truth)
        tdd = c.tdd()
        self._slot_s, self._period_s = tdd.slot_s, tdd.period_s
        self._up_s = tdd.delays_s(True, c.max_retransmissions)
        self._down_s = tdd.delays_s(False, c.max_retransmissions)
        common = c.bandwidth_hz * (1.0 - c.overhead) * (1.0 - c.block_error_rate)
        self._up_bps_per_se, self._down_bps_per_se = common * tdd.share(True), common * tdd.share(False)
        gained_db = c.unit_antenna_dbi - c.noise_rise_db
        self._up_db = c.car_power_dbm - noise_dbm(c.bandwidth_hz, c.unit_noise_figure_db) + gained_db
        self._down_db = c.unit_power_dbm - noise_dbm(c.bandwidth_hz, c.car_noise_figure_db) + gained_db
        self._wan_knee = _NORMAL.inv_cdf(1.0 - c.wan_tail_share) if c.wan_tail_share > 0 else math.inf
        self._wan_usual_s = c.cloud_fibre_s + c.wan_median_s
        self._tick, self._origin_s, self._time_s = -1, 0.0, 0.0
        self._shadow = 0.0  # N(0, 1)
        self._serving = _NOWHERE
        self._handover: _Handover | None = None
        self._moving_mps = 0.0
        self._ahead: tuple[LinkTrace, Draws] | None = None

    @classmethod
    def configured(
        cls, special_symbols: Sequence[int] = RadioConfig.special_symbols, **options: float | str
    ) -> RadioLink:
        return cls(RadioConfig(special_symbols=tuple(special_symbols), **options))  # type: ignore[arg-type]

    # Truth

    def step(self, geometry: LinkGeometry, time_s: float, delta_s: float) -> LinkState:
        if self._tick < 0 or time_s < self._time_s:
            self._origin_s = time_s - max(0, self._tick) * TICK_S
        first = self._tick + 1
        self._tick = max(self._tick, 0, round((time_s - self._origin_s) / TICK_S))
        self._time_s = time_s
        radial_mps = 0.0
        if geometry.rsu == self._serving.rsu >= 0 and delta_s > 0.0:
            radial_mps = abs(geometry.distance_m - self._serving.distance_m) / delta_s
        self._moving_mps = max(geometry.speed_mps, radial_mps) + self.config.ambient_mps
        before, fresh_s = self._serving, self._follow(geometry)
        if first <= self._tick:
            rho = self._field(before if before.rsu >= 0 else geometry).rho(self._moving_mps * TICK_S)
            for tick, innovation in enumerate(
                self._background.ahead(first, self._tick + 1 - first).shadow.tolist(), first
            ):
                if fresh_s is not None and (tick == self._tick or self._time_of(tick) >= fresh_s):
                    # another unit stands elsewhere: its shadowing has nothing to do with the last one's
                    self._shadow, fresh_s = innovation, None
                    rho = self._field(self._serving).rho(self._moving_mps * TICK_S)
                else:
                    self._shadow = _autoregress(self._shadow, rho, innovation)
        self._ahead = self._look_ahead()
        return self._ahead[0].states[0]

    def truth(self) -> LinkTrace:
        """Tick by tick over the coming second, with the car's surroundings as they are now."""
        if self._ahead is None:
            raise ValueError("radio link: step it before asking for the truth")
        return self._ahead[0]

    def _time_of(self, tick: int) -> float:
        return self._origin_s + tick * TICK_S

    def _follow(self, geometry: LinkGeometry) -> float | None:
        """Find out who serves the car now; returns since when, if that is another unit than before."""
        fresh_s = None
        if self._handover is not None and self._time_s >= self._handover.start_s:
            if self._serving.rsu != self._handover.target.rsu:
                fresh_s = self._handover.start_s
            self._serving = self._handover.target
            if self._time_s >= self._handover.end_s:
                self._handover = None
        in_gap = self._handover is not None and self._time_s >= self._handover.start_s
        if geometry.rsu == self._serving.rsu or geometry.rsu < 0 or self._serving.rsu < 0:
            if fresh_s is None and geometry.rsu != self._serving.rsu:
                fresh_s = self._time_s
            self._serving = geometry
            if not in_gap or geometry.rsu < 0:
                self._handover = None
        elif not in_gap:
            self._handover = self._prepare(geometry) if self._handover is None else replace(
                self._handover, target=geometry
            )  # fmt: skip
        return fresh_s

    def _prepare(self, target: LinkGeometry) -> _Handover:
        c, rng = self.config, self._handover_rng
        start_s = self._time_s + c.handover_wait_s * rng.random()
        gap_s = c.handover_median_s * math.exp(c.handover_log_sigma * rng.standard_normal())
        return _Handover(target, self._time_s + c.handover_wait_s, start_s, start_s + gap_s)

    def _look_ahead(self) -> tuple[LinkTrace, Draws]:
        count = math.ceil(self.config.lookahead_s / TICK_S) + 1
        draws = self._background.ahead(self._tick, count)
        if self._serving.rsu < 0:
            return LinkTrace((self._time_s,), (UNAVAILABLE,)), draws
        times_s = [self._time_s, *(self._time_of(self._tick + j) for j in range(1, count))]
        gap = self._handover
        switch = count if gap is None else next((j for j, t in enumerate(times_s) if t >= gap.start_s), count)
        if switch == 0:
            switch = count  # over to the new unit already
        gains, shadow, field = [], self._shadow, self._field(self._serving)
        for j, innovation in enumerate(draws.shadow.tolist()):
            if j == switch and gap is not None:
                field, shadow = self._field(gap.target), innovation
            elif j > 0:
                shadow = _autoregress(shadow, field.rho(self._moving_mps * TICK_S), innovation)
            gains.append(field.mean_db + field.sigma_db * shadow)
        columns = self._evaluate(
            np.array(gains), draws.core, draws.wan, draws.users, draws.up_retransmissions, draws.down_retransmissions,
            draws.up_phase, draws.down_phase,
        )  # fmt: skip
        up, down, rtt, wan_rtt, wan = (column.tolist() for column in columns)
        out = draws.outage.tolist()
        loss = self.config.message_loss

        def state(j: int, broken: bool) -> LinkState:
            rsu = gap.target.rsu if gap is not None and j >= switch else self._serving.rsu
            on = up[j] > 0.0
            return LinkState(
                up[j], down[j], rtt[j], loss if on else 1.0, rsu, on and not broken and not out[j], wan_rtt[j], wan[j]
            )

        pieces = [(times_s[j], state(j, False)) for j in range(count)]
        if gap is not None:
            start_s, end_s = max(gap.start_s, self._time_s), gap.end_s
            if start_s < times_s[-1]:
                before = sum(t < start_s for t in times_s) - 1
                after = min(max(sum(t <= end_s for t in times_s) - 1, before + 1), count - 1)
                inside = [(t, state(j, True)) for j, t in enumerate(times_s) if start_s < t < end_s]
                pieces = [
                    *(piece for piece in pieces if piece[0] < start_s),
                    (start_s, state(max(before, 0), True)),
                    *inside,
                    (end_s, state(after, False)),
                    *(piece for piece in pieces if piece[0] > end_s),
                ]
        starts, states = zip(*pieces, strict=True)
        return LinkTrace(starts, states), draws

    # What the car may believe

    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        c, rng = self.config, self._forecast_rng
        if self._ahead is None:
            raise ValueError("radio link: step it before asking for a forecast")
        if self._serving.rsu < 0:
            return LinkForecast.repeat(UNAVAILABLE, n)
        now = self._ahead[1][:1]
        until_s = ahead_s + 0.5 * c.frame_life_s  # the middle of the frame's life stands for all of it
        normal = rng.standard_normal((3, n))
        core = _mean_reversion(now.core[0], math.exp(-until_s / c.core_correlation_s), normal[0])
        wan = _mean_reversion(now.wan[0], math.exp(-until_s / c.wan_correlation_s), normal[1])
        stay = math.exp(-until_s / c.user_hold_s)
        users = rng.binomial(now.users[0], stay, n) + rng.poisson(c.mean_other_users * (1.0 - stay), n)
        in_outage = bool(now.outage[0])
        in_gap = self._handover is not None and self._time_s >= self._handover.start_s
        gain_db = self._believed_gain_db(self._serving, until_s, not in_gap and not in_outage, normal[2])
        wait_s: Floats | float = 0.0
        if self._handover is not None:
            gain_db, wait_s = self._believed_gap(self._handover, in_gap, until_s, gain_db, normal[2])
        resent, phase = retransmissions(rng, c, (2, n)), rng.random((2, n))
        up, down, rtt, wan_rtt, wan_bps = self._evaluate(gain_db, core, wan, users, *resent, *phase)
        p_outage = outage_probability(c, in_outage, until_s)
        if p_outage > 0.0:
            # How long it still lasts is exponential, whatever it has lasted. What is over soon delays, the rest bars.
            left_s = np.where(rng.random(n) < p_outage, rng.exponential(c.outage_mean_s, n), 0.0)
            is_over = left_s < c.frame_life_s
            up, down, wait_s = up * is_over, down * is_over, wait_s + left_s * is_over
        loss = np.where(up > 0.0, c.message_loss, 1.0)
        return LinkForecast(up, down, rtt + wait_s, loss, self._serving.rsu, wan_rtt_s=wan_rtt, wan_bps=wan_bps)

    def _believed_gain_db(self, geometry: LinkGeometry, until_s: float, is_measured: bool, normal: Floats) -> Floats:
        """Gain over the time ahead, given one measurement of it with an error: Bayes' rule for normal variables,
        then the field's own autoregression. Unmeasured, the field's mean and spread are all there is."""
        field = self._field(geometry)
        variance = field.sigma_db**2
        if not is_measured or variance == 0.0:
            return field.mean_db + field.sigma_db * normal
        error_db = self.config.measurement_sigma_db
        measured_db = field.sigma_db * self._shadow + error_db * float(self._forecast_rng.standard_normal())
        trust = variance / (variance + error_db**2)
        rho = field.rho(self._moving_mps * until_s)
        spread = rho * rho * (1.0 - trust) * variance + (1.0 - rho * rho) * variance
        return field.mean_db + rho * trust * measured_db + math.sqrt(spread) * normal

    def _believed_gap(
        self, handover: _Handover, in_gap: bool, until_s: float, gain_db: Floats, normal: Floats
    ) -> tuple[Floats, Floats]:
        """(gain, wait for the gap's end). The car knows that a handover is being prepared, and when it must have begun
        at the latest; or that it has begun and not ended. How long it takes, it does not know."""
        c, rng, n = self.config, self._forecast_rng, len(gain_db)
        if in_gap:
            past = (math.log((self._time_s - handover.start_s) / c.handover_median_s) / max(c.handover_log_sigma, 1e-9)
                    if self._time_s > handover.start_s else -math.inf)  # fmt: skip
            below = _NORMAL.cdf(past) if math.isfinite(past) else 0.0
            chances = np.clip(below + (1.0 - below) * rng.random(n), 1e-12, 1.0 - 1e-12)
            tail = np.array([_NORMAL.inv_cdf(chance) for chance in chances.tolist()])
            whole_s = c.handover_median_s * np.exp(c.handover_log_sigma * tail)
            return gain_db, np.maximum(0.0, handover.start_s + whole_s - self._time_s - until_s)
        start_s = rng.uniform(0.0, handover.latest_s - self._time_s, n)
        gap_s = c.handover_median_s * np.exp(c.handover_log_sigma * rng.standard_normal(n))
        begun = start_s < until_s
        gain_db = np.where(begun, self._believed_gain_db(handover.target, until_s, False, normal), gain_db)
        return gain_db, np.where(begun, np.maximum(0.0, start_s + gap_s - until_s), 0.0)

    # Physics

    def path_gain_db(self, geometry: LinkGeometry) -> float:
        """Mean gain: minus path loss, minus the mean loss behind a blocking vehicle."""
        return self._field(geometry).mean_db

    def _field(self, geometry: LinkGeometry) -> _Field:
        c, los = self.config, geometry.line_of_sight
        flat_m = math.sqrt(max(geometry.distance_m**2 - (c.unit_height_m - c.car_height_m) ** 2, 1.0))
        loss = umi_los_loss_db if los else umi_nlos_loss_db
        loss_db, sigma_db = loss(flat_m, c.unit_height_m, c.car_height_m, c.frequency_ghz), SHADOW_SIGMA_DB[los]
        if los and geometry.blocking_vehicles > 0:
            mean_db, spread_db = blockage_db(flat_m, geometry.blocker_height_m, c.unit_height_m, c.car_height_m)
            loss_db, sigma_db = loss_db + mean_db, math.hypot(sigma_db, spread_db)
        return _Field(-loss_db, sigma_db, SHADOW_DISTANCE_M[los])

    def _evaluate(
        self, gain_db: Floats, core: Floats, wan: Floats, users: Integers, up_resent: Integers, down_resent: Integers,
        up_phase: Floats, down_phase: Floats,
    ) -> tuple[Floats, Floats, Floats, Floats, Floats]:  # fmt: skip
        """(up_bps, down_bps, rtt_s, wan_rtt_s, wan_bps) from columns (n,)."""
        c = self.config
        share = 1.0 / (1.0 + users)
        up = self._up_bps_per_se * spectral_efficiency_limited(self._up_db + gain_db, share, 1.0 / c.resource_blocks)
        down = self._down_bps_per_se * spectral_efficiency(self._down_db + gain_db) * share
        up, down = up * (down > 0.0), down * (up > 0.0)  # either direction needs acknowledgements in the other
        rtt = self._radio_s(self._up_s, up_resent, up_phase) + self._radio_s(self._down_s, down_resent, down_phase)
        rtt += c.edge_fibre_s + self._period_s * (users // c.users_per_slot)
        rtt += c.core_median_s * np.exp(c.core_log_sigma * core)
        excess = np.maximum(wan - self._wan_knee, 0.0)
        wan_rtt = c.cloud_fibre_s + c.wan_median_s * np.exp(c.wan_log_sigma * wan + c.wan_tail_log_sigma * excess)
        # A queue that makes messages wait x times as long leaves each flow about one part in x of the rate.
        return up, down, rtt, wan_rtt, c.wan_bps * np.minimum(1.0, self._wan_usual_s / wan_rtt)

    def _radio_s(self, table_s: Floats, resent: Integers, phase: Floats) -> Floats:
        """From a message that is ready at a phase of the TDD pattern until it is decoded."""
        position = phase * len(table_s)
        slot = np.ceil(position).astype(np.int64)
        return (slot - position) * self._slot_s + table_s[slot % len(table_s), resent]


def _autoregress(value: float, rho: float, innovation: float) -> float:
    return rho * value + math.sqrt(1.0 - rho * rho) * innovation


def _mean_reversion(value: float, rho: float, innovations: Floats) -> Floats:
    return rho * value + math.sqrt(1.0 - rho * rho) * innovations
