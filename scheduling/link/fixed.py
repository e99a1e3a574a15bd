"""Links without physics: a constant one, and none at all."""

from __future__ import annotations

from dataclasses import dataclass

from scheduling.link.base import UNAVAILABLE, LinkForecast, LinkModel, LinkTrace
from scheduling.types import LinkGeometry, LinkState


@dataclass(frozen=True)
class FixedLinkConfig:
    up_bps: float = 50e6
    down_bps: float = 100e6
    rtt_s: float = 0.03
    loss: float = 0.0
    latency_s: float | None = None  # every answer is ready exactly this long after capture

    def __post_init__(self) -> None:
        if self.up_bps <= 0 or self.down_bps <= 0 or self.rtt_s < 0 or not 0 <= self.loss <= 1:
            raise ValueError(f"fixed link: rates > 0, rtt >= 0 and 0 <= loss <= 1 are needed, received {self}")
        if self.latency_s is not None and self.latency_s < 0:
            raise ValueError(f"fixed link: latency_s must not be negative, received {self.latency_s}")


class FixedLink(LinkModel):
    def __init__(self, config: FixedLinkConfig | None = None) -> None:
        self.config = config or FixedLinkConfig()
        c = self.config
        self._state = LinkState(c.up_bps, c.down_bps, c.rtt_s, c.loss, rsu=0)

    @classmethod
    def configured(cls, **options: float | None) -> FixedLink:
        return cls(FixedLinkConfig(**options))  # type: ignore[arg-type]

    def step(self, geometry: LinkGeometry, time_s: float, delta_s: float) -> LinkState:
        return self._state

    def truth(self) -> LinkTrace:
        return LinkTrace((float("-inf"),), (self._state,), answer_delay_s=self.config.latency_s)

    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        return LinkForecast.repeat(self._state, n)


class OffLink(LinkModel):
    """No radio: everything stays in the car."""

    def step(self, geometry: LinkGeometry, time_s: float, delta_s: float) -> LinkState:
        return UNAVAILABLE

    def truth(self) -> LinkTrace:
        return LinkTrace.constant(UNAVAILABLE)

    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        return LinkForecast.repeat(UNAVAILABLE, n)
