"""What every radio link offers: the state now, what will really happen next, and what a scheduler may believe."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scheduling.types import LinkGeometry, LinkState

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_FUTURES = ("up_bps", "down_bps", "rtt_s", "loss", "wan_rtt_s", "wan_bps")
UNAVAILABLE = LinkState(up_bps=0.0, down_bps=0.0, rtt_s=0.0, loss=1.0, rsu=-1, available=False)


@dataclass(frozen=True)
class LinkTrace:
    """Truth over the coming moments: state i holds from starts_s[i] until the next start, the last one for ever.

    answer_delay_s: when set, an answer is simply there this long after capture, whatever runs where.
    """

    starts_s: tuple[float, ...]
    states: Sequence[LinkState]
    answer_delay_s: float | None = None

    def __post_init__(self) -> None:
        if len(self.states) == 0 or len(self.starts_s) != len(self.states):
            raise ValueError(f"a trace needs one start a state, received {len(self.starts_s)} and {len(self.states)}")
        if any(later <= earlier for earlier, later in pairwise(self.starts_s)):
            raise ValueError(f"a trace's starts must increase, received {self.starts_s}")

    @classmethod
    def constant(cls, state: LinkState) -> LinkTrace:
        return cls((-np.inf,), (state,))

    def at(self, time_s: float) -> LinkState:
        return self.states[max(0, bisect_right(self.starts_s, time_s) - 1)]

    def _pieces(self, time_s: float) -> Iterator[tuple[float, LinkState]]:
        """(end, state) of every piece from that time on."""
        starts_s, states = self.starts_s, self.states
        for i in range(max(0, bisect_right(starts_s, time_s) - 1), len(states)):
            yield (starts_s[i + 1] if i + 1 < len(states) else math.inf), states[i]

    def finish(self, start_s: float, payload_bytes: float, up: bool) -> float:
        """When the last bit of a message has left the antenna; inf when it never does."""
        bits, now_s = 8.0 * payload_bytes, start_s
        starts_s, states = self.starts_s, self.states
        last = len(starts_s) - 1
        for i in range(max(0, bisect_right(starts_s, start_s) - 1), last + 1):
            end_s, rate = starts_s[i + 1] if i < last else math.inf, _rate(states[i], up)
            if rate > 0.0:
                done_s = now_s + bits / rate
                if done_s <= end_s:
                    return done_s
                bits -= rate * (end_s - now_s)
            now_s = end_s
        return float(np.inf)

    def bytes_between(self, start_s: float, end_s: float, up: bool) -> int:
        """Whole bytes that fit through the air in this time."""
        bits, now_s = 0.0, start_s
        for piece_end_s, state in self._pieces(start_s):
            until_s = min(piece_end_s, end_s)
            if until_s > now_s:
                bits += _rate(state, up) * (until_s - now_s)
                now_s = until_s
        return int(bits / 8.0 + 1e-6)  # a whole byte that rounding left a hair short is a whole byte


def _rate(state: LinkState, up: bool) -> float:
    if not state.available:
        return 0.0
    return state.up_bps if up else state.down_bps


@dataclass(frozen=True)
class LinkForecast:
    """M equally likely futures of the link over the life of one frame, an array (M,) each. Unavailable: rates 0.

    Loss is one draw a frame. wan_rtt_s, wan_bps: between edge and cloud; left out, they are those of a `LinkState`.
    """

    up_bps: Floats
    down_bps: Floats
    rtt_s: Floats
    loss: Floats
    rsu: int = -1
    wan_rtt_s: Floats = field(default_factory=lambda: np.empty(0), kw_only=True)
    wan_bps: Floats = field(default_factory=lambda: np.empty(0), kw_only=True)

    def __post_init__(self) -> None:
        for name, usual in (("wan_rtt_s", LinkState.wan_rtt_s), ("wan_bps", LinkState.wan_bps)):
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(len(self.up_bps), usual))
        futures = len(self.up_bps)
        if any(len(getattr(self, name)) != futures for name in _FUTURES):
            sizes = {name: len(getattr(self, name)) for name in _FUTURES}
            raise ValueError(f"a forecast needs arrays of one length, received {sizes}")

    def __len__(self) -> int:
        return len(self.up_bps)

    def __getitem__(self, index: int) -> LinkState:
        up, down, rtt, loss, wan_rtt, wan = (float(getattr(self, name)[index]) for name in _FUTURES)
        return LinkState(up, down, rtt, loss, self.rsu, up > 0.0, wan_rtt, wan)

    @classmethod
    def repeat(cls, state: LinkState, n: int) -> LinkForecast:
        on = 1.0 if state.available else 0.0
        return cls(
            np.full(n, state.up_bps * on),
            np.full(n, state.down_bps * on),
            np.full(n, state.rtt_s),
            np.full(n, state.loss if state.available else 1.0),
            state.rsu,
            wan_rtt_s=np.full(n, state.wan_rtt_s),
            wan_bps=np.full(n, state.wan_bps),
        )


class LinkModel(ABC):
    """Call `step` once a tick; then `truth` is for the executor and `forecast` for the scheduler."""

    @abstractmethod
    def step(self, geometry: LinkGeometry, time_s: float, delta_s: float) -> LinkState:
        """Advance to time_s, delta_s after the last step. Returns the true state of that moment."""

    @abstractmethod
    def truth(self) -> LinkTrace:
        """What really happens from the last step on."""

    @abstractmethod
    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        """n equally likely futures for a frame captured ahead_s after the last step, drawn from what the car could
        have measured by now; never the truth, and never from its random stream."""
