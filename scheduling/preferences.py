"""The weights of the objective (docs/scheduling.md) and how hard a policy may look for its minimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PolicyConfig:
    """The objective is in seconds; its weights are preferences, not measurements."""

    futures: int = 64  # how many sampled futures a policy wants to see
    margin_s: float = 0.01  # by how much the fallback beats the deadline
    mean_weight: float = 1.0  # on the mean latency
    late_weight: float = 4.0  # on the mean lateness past the deadline
    tail_weight: float = 2.0  # on the mean lateness of the worst futures ...
    tail_share: float = 0.1  # ... of this share of them (conditional value at risk)
    per_joule_s: float = 0.005  # energy drawn on the car
    per_byte_s: float = 1e-8  # 100 kB over the air cost as much as 1 ms
    per_switch_s: float = 0.001  # for every state that moves, beside what its transfer takes
    # what running the whole network at a precision is worth; a stage pays by its share of the FLOPs
    precision_price_s: Mapping[str, float] = field(default_factory=lambda: {"int8": 2e-3})
    # receding horizon: steps of the link ahead that count, and frames a step (0 steps: the present frame alone)
    horizon_steps: int = 0
    horizon_frames: int = 10
    max_nodes: int = 20_000  # of the search tree, some 10 ms; when it is reached the best so far and a bound are given

    def __post_init__(self) -> None:
        if self.futures < 1 or self.max_nodes < 1:
            raise ValueError(
                f"futures and max_nodes must be at least 1, received futures={self.futures}, max_nodes={self.max_nodes}"
            )
        if self.horizon_steps < 0 or self.horizon_frames < 1:
            raise ValueError(
                "horizon_steps must not be negative and horizon_frames at least 1, received "
                f"{self.horizon_steps} and {self.horizon_frames}"
            )
        if not 0.0 < self.tail_share <= 1.0:
            raise ValueError(f"tail_share must lie in (0, 1], received {self.tail_share}")
        for name in ("margin_s", "mean_weight", "late_weight", "tail_weight",
                     "per_joule_s", "per_byte_s", "per_switch_s"):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, received {getattr(self, name)}")
        for precision, price in self.precision_price_s.items():
            if price < 0:
                raise ValueError(f"precision_price_s[{precision}] must not be negative, received {price}")
