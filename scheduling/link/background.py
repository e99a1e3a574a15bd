"""What happens on a link whatever the car does: other users, queues, outages, and the draws behind HARQ and shadowing.

All of it lives on a grid of ticks and is drawn in blocks ahead of time, so that the truth over the coming second is
known to the executor, costs a slice, and is the same however often and by whom it is asked for. Continuous processes
are first-order autoregressions of unit variance (Ornstein-Uhlenbeck in time: correlation exp(-t / tau)); the other
users are an M/M/inf queue, whose number is Poisson and whose transition over t is Binomial(n, q) + Poisson(m (1 - q)),
q = exp(-t / hold); outages are a two-state Markov chain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scheduling.link.base import Floats, Integers
from scheduling.link.radio_config import RadioConfig

TICK_S = 0.05
_BLOCK = 256  # ticks


class Draws(NamedTuple):
    """Columns over consecutive ticks (n,). core, wan, shadow: N(0, 1), shadow an innovation, the others the process
    itself. up_phase, down_phase: U(0, 1), where in the TDD pattern a message is ready."""

    core: Floats
    wan: Floats
    shadow: Floats
    users: Integers
    outage: npt.NDArray[np.bool_]
    up_retransmissions: Integers
    down_retransmissions: Integers
    up_phase: Floats
    down_phase: Floats

    @property
    def conditions(self) -> tuple[Floats, Floats, Integers, Integers, Integers, Floats, Floats]:
        """What `RadioPhysics.moments` asks for beside the gain."""
        resent = (self.up_retransmissions, self.down_retransmissions)
        return (self.core, self.wan, self.users, *resent, self.up_phase, self.down_phase)

    def rows(self, begin: int, end: int | None = None) -> Draws:
        return Draws._make(column[begin:end] for column in self)

    def then(self, other: Draws) -> Draws:
        return Draws._make(np.concatenate(pair) for pair in zip(self, other, strict=True))


class Background:
    def __init__(self, config: RadioConfig, rng: np.random.Generator) -> None:
        self._config, self._rng = config, rng
        self._core, self._wan = rng.standard_normal(2)
        self._users = int(rng.poisson(config.mean_other_users))
        self._outage = bool(rng.random() < outage_share(config))
        self._first = 0  # tick of the first draw kept
        self._draws = self._block()

    def ahead(self, tick: int, count: int) -> Draws:
        """Draws of ticks tick .. tick + count - 1."""
        draws, begin = self.reach(tick, count)
        return draws.rows(begin, begin + count)

    def reach(self, tick: int, count: int) -> tuple[Draws, int]:
        """Draws that hold those of ticks tick .. tick + count - 1, and where these begin. Ticks must not go back by
        more than a block."""
        while tick + count > self._first + len(self._draws.core):
            drop = min(len(self._draws.core), max(0, tick - self._first))
            self._draws = self._draws.rows(drop).then(self._block())
            self._first += drop
        return self._draws, tick - self._first

    def _block(self) -> Draws:
        c, rng = self._config, self._rng
        normal = rng.standard_normal((3, _BLOCK))
        phases, uniform = rng.random((2, _BLOCK)), rng.random(_BLOCK)
        resent = retransmissions(rng, c, (2, _BLOCK))
        core = _autoregress(self._core, math.exp(-TICK_S / c.core_correlation_s), normal[0])
        wan = _autoregress(self._wan, math.exp(-TICK_S / c.wan_correlation_s), normal[1])
        users, outage = self._next_users(), self._next_outages(uniform.tolist())
        self._core, self._wan, self._users, self._outage = core[-1], wan[-1], users[-1], outage[-1]
        return Draws(
            np.array(core), np.array(wan), normal[2], np.array(users), np.array(outage), resent[0], resent[1], *phases
        )

    def _next_users(self) -> list[int]:
        stay = math.exp(-TICK_S / self._config.user_hold_s)
        come = self._rng.poisson(self._config.mean_other_users * (1.0 - stay), _BLOCK).tolist()
        here, users = self._users, []
        for new in come:
            here = int(self._rng.binomial(here, stay)) + new
            users.append(here)
        return users

    def _next_outages(self, uniform: Sequence[float]) -> list[bool]:
        begins = outage_probability(self._config, False, TICK_S)
        stays = outage_probability(self._config, True, TICK_S)
        now, outages = self._outage, []
        for draw in uniform:
            now = draw < (stays if now else begins)
            outages.append(now)
        return outages


def retransmissions(rng: np.random.Generator, config: RadioConfig, shape: int | tuple[int, ...]) -> Integers:
    """How often blocks are sent again: geometric, at most max_retransmissions."""
    sent = rng.geometric(1.0 - config.block_error_rate, shape)
    return np.minimum(sent - 1, config.max_retransmissions)


def outage_share(config: RadioConfig) -> float:
    if math.isinf(config.outage_every_s):
        return 0.0
    return config.outage_mean_s / (config.outage_mean_s + config.outage_every_s)


def outage_probability(config: RadioConfig, now: bool, ahead_s: float) -> float:
    """That there is an outage after that time, given whether there is one now."""
    share = outage_share(config)
    rate = 1.0 / config.outage_every_s + 1.0 / config.outage_mean_s
    return share + ((1.0 if now else 0.0) - share) * math.exp(-rate * ahead_s)


def _autoregress(last: float, rho: float, innovations: Floats) -> list[float]:
    scale, values = math.sqrt(1.0 - rho * rho), []
    for innovation in innovations.tolist():
        last = rho * last + scale * innovation
        values.append(last)
    return values
