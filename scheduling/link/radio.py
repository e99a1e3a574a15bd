"""The radio link between a car and roadside units, from geometry that the world really has.

Rates and delays of a moment: `radio_physics`. Here is what changes, what is told to whom, and what is believed.

Shadowing is a first-order autoregression over the distance driven (Gudmundson, Electronics Letters 27, 1991). When
another unit becomes the better one, the network hands over a little later, which interrupts the user plane.

Truth is drawn a second ahead (`background`). The forecast never sees that: it starts from a noisy measurement of the
SINR, the last round trips and the last share of the cell, and draws its own innovations over the time ahead.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, overload

import numpy as np

from scheduling.link.background import TICK_S, Background, Draws, outage_probability, retransmissions
from scheduling.link.base import UNAVAILABLE, Floats, LinkForecast, LinkModel, LinkTrace
from scheduling.link.moments import autoregress, fill_ahead, moment
from scheduling.link.radio_config import RadioConfig
from scheduling.link.radio_physics import RadioPhysics
from scheduling.types import LinkGeometry, LinkState

_NOWHERE = LinkGeometry(rsu=-1, distance_m=math.inf, line_of_sight=False, blocking_vehicles=0)
_NORMAL = NormalDist()


@dataclass(frozen=True)
class _Handover:
    target: LinkGeometry
    latest_s: float  # the gap begins by then
    start_s: float  # of the gap
    end_s: float


class _States(Sequence[LinkState]):
    """Tick by tick, each made when it is first looked at: a frame is over long before most of them."""

    def __init__(self, columns: list[list[float]], outage: list[bool], units: list[int], message_loss: float) -> None:
        """columns: as `moments.fill_moments` fills them. units: who serves."""
        self._columns, self._outage, self._units, self._loss = columns, outage, units, message_loss
        self._made: dict[int, LinkState] = {}

    def __len__(self) -> int:
        return len(self._units)

    @overload
    def __getitem__(self, index: int) -> LinkState: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LinkState]: ...
    def __getitem__(self, index: int | slice) -> LinkState | Sequence[LinkState]:
        if isinstance(index, slice):
            return [self[j] for j in range(*index.indices(len(self)))]
        state = self._made.get(index)
        if state is None:
            moment = [column[index] for column in self._columns]
            state = self._made[index] = _state(moment, self._outage[index], self._units[index], self._loss)
        return state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]


def _state(moment: Sequence[float], is_out: bool, unit: int, message_loss: float) -> LinkState:
    up, down, rtt, wan_rtt, wan = moment
    return LinkState(up, down, rtt, message_loss if up > 0.0 else 1.0, unit, up > 0.0 and not is_out, wan_rtt, wan)


class RadioLink(LinkModel):
    def __init__(self, config: RadioConfig | None = None) -> None:
        self.config = c = config or RadioConfig()
        seeds = np.random.SeedSequence([c.seed, 0x52AD10]).spawn(3)
        truth, self._handover_rng, self._forecast_rng = (np.random.default_rng(seed) for seed in seeds)
        self._background = Background(c, truth)
        self.physics = RadioPhysics(c)
        self._tick, self._origin_s, self._time_s = -1, 0.0, 0.0
        self._shadow = 0.0  # N(0, 1)
        self._serving = _NOWHERE
        self._handover: _Handover | None = None
        self._moving_mps = 0.0
        self._draws: tuple[Draws, int] | None = None  # and where the present tick is in them
        self._trace: LinkTrace | None = None
        self._ahead_ticks = math.ceil(c.lookahead_s / TICK_S) + 1

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
        self._time_s, grown = time_s, first <= self._tick
        radial_mps = 0.0
        if geometry.rsu == self._serving.rsu >= 0 and delta_s > 0.0:
            radial_mps = abs(geometry.distance_m - self._serving.distance_m) / delta_s
        self._moving_mps = max(geometry.speed_mps, radial_mps) + self.config.ambient_mps
        before, fresh_s = self._serving, self._follow(geometry)
        first = min(first, self._tick)
        draws, begin = self._background.reach(first, self._tick - first + self._ahead_ticks)
        if grown:
            rho = self.physics.field(before if before.rsu >= 0 else geometry).rho(self._moving_mps * TICK_S)
            now = begin + self._tick - first
            for tick, innovation in enumerate(draws.shadow[begin : now + 1].tolist(), first):
                if fresh_s is not None and (tick == self._tick or self._time_of(tick) >= fresh_s):
                    # another unit stands elsewhere: its shadowing has nothing to do with the last one's
                    self._shadow, fresh_s = innovation, None
                    rho = self.physics.field(self._serving).rho(self._moving_mps * TICK_S)
                else:
                    self._shadow = autoregress(self._shadow, rho, innovation)
        self._draws, self._trace = (draws, begin + self._tick - first), None
        return self._state_now()

    def _state_now(self) -> LinkState:
        if self._serving.rsu < 0 or self._draws is None:
            return UNAVAILABLE
        draws, now = self._draws
        field = self.physics.field(self._serving)
        conditions: list[Any] = [column.item(now) for column in draws.conditions]
        found = moment(self.physics.box, field.mean_db + field.sigma_db * self._shadow, *conditions)
        is_out = bool(draws.outage[now]) or self._in_gap()
        return _state(found, is_out, self._serving.rsu, self.config.message_loss)

    def truth(self) -> LinkTrace:
        """Tick by tick over the coming second, with the car's surroundings as they are now."""
        if self._draws is None:
            raise ValueError("radio link: step it before asking for the truth")
        if self._trace is None:
            times_s, states, gap = *self._look_ahead(*self._draws), self._handover
            if gap is not None and gap.start_s < times_s[-1]:
                times_s, states = _with_gap(times_s, states, max(gap.start_s, self._time_s), gap.end_s)
            self._trace = LinkTrace(tuple(times_s), states)
        return self._trace

    def _in_gap(self) -> bool:
        return self._handover is not None and self._time_s >= self._handover.start_s

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
        in_gap = self._in_gap()
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

    def _look_ahead(self, draws: Draws, begin: int) -> tuple[list[float], Sequence[LinkState]]:
        if self._serving.rsu < 0:
            return [self._time_s], (UNAVAILABLE,)
        count, gap = self._ahead_ticks, self._handover
        origin_s, tick = self._origin_s, self._tick
        times_s = [self._time_s, *[origin_s + later * TICK_S for later in range(tick + 1, tick + count)]]
        serving = target = self._field_ahead(self._serving)
        switch = count
        if gap is not None and gap.start_s > self._time_s:  # else the new unit serves already
            switch, target = bisect_left(times_s, gap.start_s), self._field_ahead(gap.target)
        out = np.empty((5, count))
        fill_ahead(
            out, self.physics.box, begin, draws.core, draws.wan, draws.shadow, draws.users, draws.up_retransmissions,
            draws.down_retransmissions, draws.up_phase, draws.down_phase, self._shadow, serving, target, switch,
        )  # fmt: skip
        units = [self._serving.rsu] * switch + ([] if gap is None else [gap.target.rsu] * (count - switch))
        outage = draws.outage[begin : begin + count].tolist()
        return times_s, _States(out.tolist(), outage, units, self.config.message_loss)

    def _field_ahead(self, geometry: LinkGeometry) -> tuple[float, float, float]:
        """(mean [dB], sigma [dB], correlation from tick to tick)"""
        field = self.physics.field(geometry)
        return field.mean_db, field.sigma_db, field.rho(self._moving_mps * TICK_S)

    # What the car may believe

    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        c, rng = self.config, self._forecast_rng
        if self._draws is None:
            raise ValueError("radio link: step it before asking for a forecast")
        if self._serving.rsu < 0:
            return LinkForecast.repeat(UNAVAILABLE, n)
        draws, now = self._draws
        until_s = ahead_s + 0.5 * c.frame_life_s  # the middle of the frame's life stands for all of it
        normal = rng.standard_normal((3, n))
        core = _mean_reversion(draws.core[now], math.exp(-until_s / c.core_correlation_s), normal[0])
        wan = _mean_reversion(draws.wan[now], math.exp(-until_s / c.wan_correlation_s), normal[1])
        stay = math.exp(-until_s / c.user_hold_s)
        users = rng.binomial(draws.users[now], stay, n) + rng.poisson(c.mean_other_users * (1.0 - stay), n)
        in_outage = bool(draws.outage[now])
        in_gap = self._in_gap()
        gain_db = self._believed_gain_db(self._serving, until_s, not in_gap and not in_outage, normal[2])
        wait_s: Floats | float = 0.0
        if self._handover is not None:
            gain_db, wait_s = self._believed_gap(self._handover, in_gap, until_s, gain_db, normal[2])
        resent, phase = retransmissions(rng, c, (2, n)), rng.random((2, n))
        found = self.physics.moments(gain_db, core, wan, users, *resent, *phase)
        up, down = found.up_bps, found.down_bps
        p_outage = outage_probability(c, in_outage, until_s)
        if p_outage > 0.0:
            # How long it still lasts is exponential, whatever it has lasted. What is over soon delays, the rest bars.
            left_s = np.where(rng.random(n) < p_outage, rng.exponential(c.outage_mean_s, n), 0.0)
            is_over = left_s < c.frame_life_s
            up, down, wait_s = up * is_over, down * is_over, wait_s + left_s * is_over
        loss = np.where(up > 0.0, c.message_loss, 1.0)
        return LinkForecast(
            up, down, found.rtt_s + wait_s, loss, self._serving.rsu, wan_rtt_s=found.wan_rtt_s, wan_bps=found.wan_bps
        )

    def _believed_gain_db(self, geometry: LinkGeometry, until_s: float, is_measured: bool, normal: Floats) -> Floats:
        """Gain over the time ahead, given one measurement of it with an error: Bayes' rule for normal variables,
        then the field's own autoregression. Unmeasured, the field's mean and spread are all there is."""
        field = self.physics.field(geometry)
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


def _with_gap(
    times_s: list[float], states: Sequence[LinkState], start_s: float, end_s: float
) -> tuple[list[float], Sequence[LinkState]]:
    """The same states, unavailable from start to end; what follows at once is the state of the new unit."""
    before = bisect_left(times_s, start_s) - 1  # -1: it is on already, and the first state is the new unit's
    after = min(max(bisect_right(times_s, end_s) - 1, before + 1), len(states) - 1)
    pieces = [piece for piece in zip(times_s, states, strict=True) if piece[0] < start_s]
    pieces.append((start_s, replace(states[max(0, before)], available=False)))
    for time_s, state in zip(times_s, states, strict=True):
        if start_s < time_s < end_s:
            pieces.append((time_s, replace(state, available=False)))
    pieces.append((end_s, states[after]))
    pieces += [piece for piece in zip(times_s, states, strict=True) if piece[0] > end_s]
    return [time_s for time_s, _ in pieces], [state for _, state in pieces]


def _mean_reversion(value: float, rho: float, innovations: Floats) -> Floats:
    return rho * value + math.sqrt(1.0 - rho * rho) * innovations
