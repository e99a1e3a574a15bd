"""The line at a shared server: other cars' jobs, before which ours must wait.

Jobs arrive as a Poisson process and are served one at a time in order of arrival. The backlog is the unfinished work,
which is how long a job that arrives now waits. With equal service times 1/mu and load rho = lambda/mu this is M/D/1
and the mean wait is rho / (2 mu (1 - rho)); with lognormal ones of coefficient of variation c it is M/G/1 and
the mean wait is (1 + c^2) times that (Pollaczek and Khinchine; Kleinrock, Queueing Systems I, 1975, sec. 5.6).

Simplification: our jobs wait for theirs, theirs never for ours. One car among the many that make up the load hardly
lengthens the line; a fleet that does must be simulated as a fleet.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Block = tuple[list[float], list[float]]  # times of arrival, backlog right after each

_WARM_UP_S = 10.0  # the line has been open for so long when simulated time begins
_JOBS_A_BLOCK = 512.0  # on average; the process is generated in blocks of time


@dataclass(frozen=True)
class SharedQueue:
    """Deterministic given the seed: the backlog depends on the time asked for and on nothing else.

    A load of 1 or more is allowed; its line grows for ever.
    """

    rate_hz: float  # jobs a second of all other cars
    service_s: float  # mean time of one job
    variation: float = 0.0  # standard deviation over mean of the service time; 0: all are equal, else lognormal
    report_age_s: float = 0.1  # how old the backlog is that the car was last told
    seed: int = 0
    _opens_with: list[float] = field(default_factory=lambda: [0.0], init=False, repr=False, compare=False)
    _open: dict[int, Block] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for label in ("rate_hz", "variation", "report_age_s"):
            if not 0.0 <= getattr(self, label) < math.inf:
                raise ValueError(f"a queue's {label} must not be negative, received {getattr(self, label)}")
        if not 0.0 < self.service_s < math.inf:
            raise ValueError(f"a queue's service_s must be positive, received {self.service_s}")

    def backlog_at(self, time_s: float) -> float:
        """The truth: how long a job that arrives then waits behind those that are there. For the executor."""
        if self.rate_hz == 0.0 or time_s < -_WARM_UP_S:
            return 0.0
        number = int((time_s + _WARM_UP_S) / self._block_s)
        block = self._open.get(number)
        if block is None:
            block = self._block(number)
            self._open.clear()  # one block is kept: time goes on
            self._open[number] = block
        arrivals, after = block
        i = max(0, bisect_right(arrivals, time_s) - 1)  # a block's border is rounded: nothing lies before its first
        return max(0.0, after[i] - (time_s - arrivals[i]))

    def forecast(self, n: int, now_s: float, rng: np.random.Generator, ahead_s: float = 0.0) -> Floats:
        """n equally likely waits (n,) for a job that arrives ahead_s from now: the last report plus what may come
        between it and then."""
        known_s = max(now_s - self.report_age_s, -_WARM_UP_S)
        age_s, reported_s = now_s + ahead_s - known_s, self.backlog_at(known_s)
        counts = rng.poisson(self.rate_hz * age_s, n)
        most = int(counts.max(initial=0))
        if most == 0:
            return np.full(n, max(0.0, reported_s - age_s))
        there = np.arange(most) < counts[:, None]
        ago_s = np.sort(np.where(there, rng.uniform(0.0, age_s, (n, most)), -1.0))[:, ::-1]  # oldest first, then -1
        work_s = np.where(there, self._services(rng, n * most).reshape(n, most), 0.0)
        still_to_come = np.cumsum(work_s[:, ::-1], axis=1)[:, ::-1]  # from each of these jobs on
        since = np.max(np.where(there, still_to_come - ago_s, 0.0), axis=1)
        return np.maximum(np.maximum(since, reported_s + still_to_come[:, 0] - age_s), 0.0)

    @property
    def _block_s(self) -> float:
        return _JOBS_A_BLOCK / self.rate_hz

    def _services(self, rng: np.random.Generator, n: int) -> Floats:
        if self.variation == 0.0:
            return np.full(n, self.service_s)
        spread = math.sqrt(math.log1p(self.variation**2))
        return self.service_s * rng.lognormal(-0.5 * spread**2, spread, n)

    def _block(self, number: int) -> Block:
        """A block's arrivals; the first stands for its beginning and what was left over then."""
        while len(self._opens_with) <= number:
            last = len(self._opens_with) - 1
            times, after = self._simulate(last)
            ends_s = (last + 1) * self._block_s - _WARM_UP_S
            self._opens_with.append(max(0.0, float(after[-1]) - (ends_s - float(times[-1]))))
        times, after = self._simulate(number)
        return times.tolist(), after.tolist()

    def _simulate(self, number: int) -> tuple[Floats, Floats]:
        rng = np.random.default_rng([self.seed, 0x11E, number])
        count = int(rng.poisson(_JOBS_A_BLOCK))
        begins_s = number * self._block_s - _WARM_UP_S
        times = np.concatenate([[0.0], np.sort(rng.uniform(0.0, self._block_s, count))])
        work = np.concatenate([[self._opens_with[number]], self._services(rng, count)])
        # Lindley's recursion in closed form: work since the last moment at which the server was idle.
        done = np.cumsum(work)
        after = done - times - np.minimum.accumulate(done - work - times)
        return begins_s + times, after
