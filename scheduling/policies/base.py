"""What every scheduling policy offers and how a decision problem is put to the solver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduling.budget import BudgetState
from scheduling.compiled import CompiledGraph, Ints, PayloadBytes
from scheduling.link.base import LinkForecast
from scheduling.solver import Situation, Weights, solve
from scheduling.types import LinkState, Schedule, StageGraph


@dataclass(frozen=True)
class Busy:
    """For how long, from now, each resource still serves earlier frames."""

    car_s: float = 0.0
    uplink_s: float = 0.0
    edge_s: float = 0.0
    downlink_s: float = 0.0


@dataclass(frozen=True)
class PolicyConfig:
    """The objective is in seconds; its weights are preferences, not measurements."""

    futures: int = 48  # how many sampled futures a policy wants to see
    margin_s: float = 0.01  # by how much the fallback beats the deadline
    mean_weight: float = 1.0  # on the mean latency
    late_weight: float = 4.0  # on the mean lateness past the deadline
    tail_weight: float = 2.0  # on the mean lateness of the worst futures ...
    tail_share: float = 0.1  # ... of this share of them (conditional value at risk)
    per_joule_s: float = 0.005  # energy drawn on the car
    per_byte_s: float = 1e-8  # 100 kB over the air cost as much as 1 ms
    per_switch_s: float = 0.001  # for every stage that moves between two frames

    def __post_init__(self) -> None:
        if self.futures < 1:
            raise ValueError(f"a policy needs at least one future, received futures={self.futures}")
        if not 0.0 < self.tail_share <= 1.0:
            raise ValueError(f"tail_share must lie in (0, 1], received {self.tail_share}")
        for name in ("margin_s", "mean_weight", "late_weight", "tail_weight",
                     "per_joule_s", "per_byte_s", "per_switch_s"):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, received {getattr(self, name)}")

    @property
    def weights(self) -> Weights:
        return Weights(
            self.mean_weight, self.late_weight, self.tail_weight, self.tail_share,
            self.per_joule_s, self.per_byte_s, self.per_switch_s,
        )  # fmt: skip


class Policy(ABC):
    """`decide` is a pure function of its arguments."""

    name: str

    def __init__(self, config: PolicyConfig | None = None) -> None:
        self.config = config or PolicyConfig()
        self._compiled: CompiledGraph | None = None

    @classmethod
    def configured(cls, **options: float | int) -> Policy:
        return cls(PolicyConfig(**options))  # type: ignore[arg-type]

    @abstractmethod
    def placements(self, compiled: CompiledGraph) -> Ints:
        """The placements this policy may choose from."""

    def decide(
        self,
        graph: StageGraph,
        car: BudgetState,
        edge: BudgetState,
        forecast: LinkForecast | Sequence[LinkState],
        deadline_s: float,
        previous: Schedule | None = None,
        *,
        payload_bytes: PayloadBytes | None = None,
        busy: Busy | None = None,
    ) -> Schedule:
        """Where each stage of the frame just captured should run. deadline_s: after capture.

        payload_bytes: what tensors last weighed (`VirtualExecutor.payload_bytes`). busy: `VirtualExecutor.busy`.
        """
        if self._compiled is None or self._compiled.graph is not graph:
            self._compiled = CompiledGraph(graph)
        compiled = self._compiled
        situation = make_situation(
            compiled, car, edge, forecast, deadline_s, self.config.margin_s, previous, payload_bytes, busy
        )
        mask, option, _, mean_s, _ = solve(compiled.arrays, situation, self.config.weights, self.placements(compiled))
        local = int(mask) & compiled.critical_mask == 0
        codecs = {compiled.tensors[t]: compiled.options[o][1] for t, o in enumerate(option.tolist()) if o >= 0}
        return Schedule(
            place=compiled.placement(int(mask)),
            codecs=codecs,
            fallback_at_s=None if local else situation.fallback_at_s,
            expected_latency_s=float(mean_s),
            policy=self.name,
        )


def make_situation(
    compiled: CompiledGraph,
    car: BudgetState,
    edge: BudgetState,
    forecast: LinkForecast | Sequence[LinkState],
    deadline_s: float,
    margin_s: float,
    previous: Schedule | None,
    payload_bytes: PayloadBytes | None,
    busy: Busy | None,
) -> Situation:
    if not isinstance(forecast, LinkForecast):
        forecast = _stack(forecast)
    busy = busy or Busy()
    car_s = np.array([car.stage_seconds(stage.cost) for stage in compiled.stages])
    local_s = float(car_s[: compiled.n_critical].sum())
    return Situation(
        car_s=car_s,
        edge_s=np.array([edge.stage_seconds(stage.cost) for stage in compiled.stages]),
        car_j=np.array([car.stage_joules(stage.cost) for stage in compiled.stages]),
        option_bytes=compiled.option_bytes(payload_bytes),
        up_bps=forecast.up_bps,
        down_bps=forecast.down_bps,
        rtt_s=forecast.rtt_s,
        loss=forecast.loss,
        busy_s=np.array([busy.car_s, busy.uplink_s, busy.edge_s, busy.downlink_s]),
        deadline_s=float(deadline_s),
        fallback_at_s=max(0.0, float(deadline_s) - local_s - margin_s),
        previous_mask=-1 if previous is None else compiled.mask(previous.place),
    )


def _stack(states: Sequence[LinkState]) -> LinkForecast:
    on = np.array([1.0 if state.available else 0.0 for state in states])
    return LinkForecast(
        on * [state.up_bps for state in states],
        on * [state.down_bps for state in states],
        np.array([state.rtt_s for state in states]),
        np.array([state.loss if state.available else 1.0 for state in states]),
        states[0].rsu,
    )
