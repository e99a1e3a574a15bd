"""The driving stack: a sensor frame goes in, a control comes out, and in between every stage of the network runs in the
car or at the roadside. `DrivingStack.step` is the one way through the house; whoever drives, drives with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from bev import CameraRig, SensorFrame
from e2e_drive.errors import UserError
from e2e_drive.study import driving_graph
from planner import Control, Controller, DrivingModel, Trajectory, load_model, network_inputs, trajectory_from
from scheduling import (
    ExecutorConfig,
    LinkGeometry,
    LinkModel,
    LinkState,
    ModelVariant,
    Policy,
    Problem,
    Schedule,
    StageGraph,
    Timeline,
    VirtualExecutor,
)

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


@dataclass(frozen=True)
class StepRecord:
    """All that happened in one step, for logs and eyes. schedule, timeline, outputs: of this step's images, None
    without any. trajectory: the one in use, None before the first is ready; is_new: since this step."""

    frame: SensorFrame
    geometry: LinkGeometry
    link: LinkState
    schedule: Schedule | None
    timeline: Timeline | None
    outputs: Mapping[str, Any] | None
    trajectory: Trajectory | None
    is_new: bool
    control: Control


@dataclass(frozen=True)
class _Pending:
    ready_s: float
    trajectory: Trajectory


class DrivingStack:
    """Model, scheduler, link and controller of one car. Clock: simulated time, that of the frames.

    A trajectory acts from the moment it is ready, never before; when several are, the one that saw the world last.
    """

    def __init__(
        self,
        model: DrivingModel,
        link: LinkModel,
        policy: Policy,
        executor: VirtualExecutor,
        controller: Controller,
        deadline: DeadlineConfig,
        seed: int = 0,
    ) -> None:
        """executor: knows the model's stage graph and the computers. seed: of what the policy samples."""
        self.model, self.link, self.policy = model, link, policy
        self.executor, self.controller, self.deadline = executor, controller, deadline
        self.last: StepRecord | None = None
        self._stages = {stage.name: stage for stage in model.stages}
        self._first_state = model.first_state()
        self._pending: list[_Pending] = []
        self._in_use: Trajectory | None = None
        self._schedule: Schedule | None = None
        self._last_s: float | None = None
        self._rng = np.random.default_rng([seed, 0x5AFE])

    @property
    def graph(self) -> StageGraph:
        return self.executor.models[0].graph

    def step(self, frame: SensorFrame, geometry: LinkGeometry) -> Control:
        now_s = frame.time_s
        link = self.link.step(geometry, now_s, 0.0 if self._last_s is None else now_s - self._last_s)
        schedule = timeline = outputs = None
        if frame.images is not None:
            schedule, timeline, outputs = self._perceive(frame)
        is_new = self._take_newest(now_s)
        control = self.controller.control(self._in_use, now_s, frame.ego)
        self._last_s = now_s
        self.last = StepRecord(frame, geometry, link, schedule, timeline, outputs, self._in_use, is_new, control)
        return control

    def _perceive(self, frame: SensorFrame) -> tuple[Schedule, Timeline, Mapping[str, Any]]:
        """Decides where the stages run and runs them there; their trajectory waits until it is ready."""
        executor, now_s, futures = self.executor, frame.time_s, self.policy.config.futures
        period_s, step = executor.config.frame_period_s, self.policy.config.horizon_frames
        middles_s = [(i + 0.5) * step * period_s for i in range(self.policy.config.horizon_steps)]
        schedule = self._schedule = self.policy.decide(
            Problem(
                models=executor.models,
                computers=executor.states(now_s),
                forecast=self.link.forecast(futures),
                deadline_s=self.deadline.deadline_s(frame.ego.speed_mps),
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
        with torch.inference_mode():
            sources = network_inputs(frame) | self._first_state
            outputs, timeline = executor.run(
                schedule, self._stages, sources, self.link.truth(), frame.frame_id, frame.time_s
            )
        if timeline.ready_s is not None:
            self._pending.append(_Pending(timeline.ready_s, trajectory_from(outputs, frame)))
        return schedule, timeline, outputs

    def _take_newest(self, now_s: float) -> bool:
        """Late results are dropped, not queued: an older view of the world never replaces a newer one."""
        ready = [pending.trajectory for pending in self._pending if pending.ready_s <= now_s]
        self._pending = [pending for pending in self._pending if pending.ready_s > now_s]
        newest = max(ready, key=lambda trajectory: trajectory.time_s, default=None)
        if newest is None or (self._in_use is not None and newest.time_s <= self._in_use.time_s):
            return False
        self._in_use = newest
        return True


def build_stack(cfg: DictConfig, rig: CameraRig, frame_period_s: float) -> DrivingStack:
    """The stack that a composed configuration describes. frame_period_s: between two frames with images."""
    model = load_model(weights_folder(str(cfg.weights)))
    model.set_rig(rig)
    computers = (instantiate(cfg.soc), instantiate(cfg.edge), instantiate(cfg.cloud))
    policy = instantiate(cfg.scheduler)
    if policy.sees_truth:
        raise UserError(f"scheduler={policy.name} needs to see the future: only `bench policies` can show it")
    return DrivingStack(
        model=model,
        link=instantiate(cfg.link),
        policy=policy,
        executor=VirtualExecutor(
            (ModelVariant(str(cfg.weights), driving_graph(model)),),
            computers,
            ExecutorConfig(frame_period_s=frame_period_s, seed=int(cfg.seed)),
        ),
        controller=Controller(),
        deadline=DeadlineConfig(**cfg.deadline),
        seed=int(cfg.seed),
    )


def weights_folder(name: str) -> Path:
    """Shipped weights by name, or any folder that `e2e-drive train` wrote."""
    shipped = Path(__file__).resolve().parent / "weights"
    for folder in (shipped / name, Path(name)):
        if (folder / "model.safetensors").is_file():
            return folder
    names = sorted(folder.name for folder in shipped.glob("*/"))
    raise UserError(f"weights={name}: neither a folder with model.safetensors nor shipped weights (these are {names})")
