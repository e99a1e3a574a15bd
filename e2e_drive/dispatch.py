"""Where a frame's stages run: the scheduling half of the driving stack, which needs no network.

The driving stack decides with it, and so does a replay of schedules alone: there is one way to a decision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from scheduling import (
    ExecutorConfig,
    LinkGeometry,
    LinkModel,
    LinkState,
    ModelVariant,
    Policy,
    Problem,
    Schedule,
    VirtualExecutor,
)
from scheduling.simulation import true_forecast

_FUTURES_AHEAD = 16  # a later step is known so vaguely that few samples tell as much as many


@dataclass(frozen=True)
class DeadlineConfig:
    """How late an answer may be: the car may roll on for `travel_m` on what it saw last."""

    travel_m: float = 0.8
    shortest_s: float = 0.08
    longest_s: float = 0.20

    def __post_init__(self) -> None:
        if self.travel_m <= 0 or not 0 < self.shortest_s <= self.longest_s:
            raise ValueError(f"deadline: needs travel_m > 0 and 0 < shortest_s <= longest_s, received {self}")

    def deadline_s(self, speed_mps: float) -> float:
        return min(max(self.travel_m / max(speed_mps, 0.1), self.shortest_s), self.longest_s)


class Dispatcher:
    """Link, policy and executor of one car. Call `tick` once a tick, then `decide` if there are images."""

    def __init__(
        self, link: LinkModel, policy: Policy, executor: VirtualExecutor, deadline: DeadlineConfig, seed: int = 0
    ) -> None:
        """executor: knows the model's stage graph and the computers. seed: of what the policy samples."""
        self.link, self.policy, self.executor, self.deadline = link, policy, executor, deadline
        self._schedule: Schedule | None = None
        self._last_s: float | None = None
        self._rng = np.random.default_rng([seed, 0x5AFE])

    def tick(self, geometry: LinkGeometry, now_s: float) -> LinkState:
        state = self.link.step(geometry, now_s, 0.0 if self._last_s is None else now_s - self._last_s)
        self._last_s = now_s
        return state

    def decide(self, now_s: float, speed_mps: float) -> Schedule:
        executor, sees_truth = self.executor, self.policy.sees_truth
        period_s, step = executor.config.frame_period_s, self.policy.config.horizon_frames
        futures = 1 if sees_truth else self.policy.config.futures
        middles_s = [(i + 0.5) * step * period_s for i in range(self.policy.config.horizon_steps)]
        self._schedule = self.policy.decide(
            Problem(
                models=executor.models,
                computers=executor.states(now_s),
                forecast=true_forecast(self.link.truth(), now_s, period_s)
                if sees_truth
                else self.link.forecast(futures),
                deadline_s=self.deadline.deadline_s(speed_mps),
                previous=self._schedule,
                payload_bytes=executor.payload_bytes,
                busy=executor.busy(now_s),
                waits=executor.waits(futures, now_s, self._rng),
                state_home=executor.state_home(now_s),
                frame_period_s=period_s,
                ahead=tuple(self.link.forecast(_FUTURES_AHEAD, ahead_s) for ahead_s in middles_s),
                ahead_frames=step,
            )
        )
        return self._schedule


def build_dispatcher(
    cfg: DictConfig, models: tuple[ModelVariant, ...], frame_period_s: float, payload_jitter: float | None = None
) -> Dispatcher:
    """Of a composed configuration. frame_period_s: between two frames with images. payload_jitter: of cost-only mode,
    None: the usual one."""
    computers = (instantiate(cfg.soc), instantiate(cfg.edge), instantiate(cfg.cloud))
    options = {} if payload_jitter is None else {"payload_jitter": payload_jitter}
    executor = VirtualExecutor(
        models, computers, ExecutorConfig(frame_period_s=frame_period_s, seed=int(cfg.seed), **options)
    )
    return Dispatcher(
        instantiate(cfg.link), instantiate(cfg.scheduler), executor, DeadlineConfig(**cfg.deadline), int(cfg.seed)
    )
