"""The driving stack: a sensor frame goes in, a control comes out, and in between every stage of the network runs in the
car or at the roadside. `DrivingStack.step` is the one way through the house; whoever drives, drives with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from bev import CameraRig, SensorFrame
from e2e_drive.dispatch import Dispatcher, build_dispatcher
from e2e_drive.errors import UserError
from e2e_drive.study import CostConfig, example_inputs, graph_at_cost
from planner import (
    Control,
    Controller,
    DrivingModel,
    Trajectory,
    load_model,
    network_inputs,
    prepare_for_inference,
    trajectory_from,
    without_python,
)
from scheduling import (
    LinkGeometry,
    LinkState,
    ModelVariant,
    Schedule,
    StageGraph,
    Timeline,
)
from scheduling.problem import PayloadBytes


@dataclass(frozen=True)
class StepRecord:
    """All that happened in one step, for logs and eyes. schedule, timeline, outputs: of this step's images, None
    without any. trajectory: the one in use, None before the first is ready; is_new: since this step. payloads: what
    tensors weighed when they left their tier. answer: what this step's images led to, None if to nothing; it is in use
    from when it is ready."""

    frame: SensorFrame
    geometry: LinkGeometry
    link: LinkState
    schedule: Schedule | None
    timeline: Timeline | None
    outputs: Mapping[str, Any] | None
    trajectory: Trajectory | None
    is_new: bool
    control: Control
    payloads: PayloadBytes
    answer: Trajectory | None


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
        dispatcher: Dispatcher,
        controller: Controller,
    ) -> None:
        """model: ready for inference, and from now on it stays as it is. dispatcher: its executor knows the model's
        stage graph and the computers."""
        self.model, self.dispatcher, self.controller = model, dispatcher, controller
        self.executor = dispatcher.executor
        self.last: StepRecord | None = None
        self._stages = {stage.name: stage for stage in without_python(model.stages, example_inputs(model))}
        self._first_state = model.first_state()
        self._pending: list[_Pending] = []
        self._in_use: Trajectory | None = None

    @property
    def graph(self) -> StageGraph:
        return self.executor.models[0].graph

    def step(self, frame: SensorFrame, geometry: LinkGeometry) -> Control:
        now_s = frame.time_s
        link = self.dispatcher.tick(geometry, now_s)
        schedule = timeline = outputs = answer = None
        if frame.images is not None:
            schedule, timeline, outputs, answer = self._perceive(frame)
        is_new = self._take_newest(now_s)
        control = self.controller.control(self._in_use, now_s, frame.ego)
        payloads = {} if outputs is None else self.executor.weighed
        self.last = StepRecord(
            frame, geometry, link, schedule, timeline, outputs, self._in_use, is_new, control, payloads, answer
        )
        return control

    def _perceive(self, frame: SensorFrame) -> tuple[Schedule, Timeline, Mapping[str, Any], Trajectory | None]:
        """Decides where the stages run and runs them there; their trajectory waits until it is ready."""
        schedule = self.dispatcher.decide(frame.time_s, frame.ego.speed_mps)
        with torch.inference_mode():
            sources = network_inputs(frame) | self._first_state
            outputs, timeline = self.executor.run(
                schedule, self._stages, sources, self.dispatcher.link.truth(), frame.frame_id, frame.time_s
            )
        if timeline.ready_s is None:
            return schedule, timeline, outputs, None
        answer = trajectory_from(outputs, frame)
        self._pending.append(_Pending(timeline.ready_s, answer))
        return schedule, timeline, outputs, answer

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
    costs = CostConfig(**(OmegaConf.select(cfg, "costs") or {}))  # recordings made before there was a choice have none
    dispatcher = build_dispatcher(cfg, (ModelVariant(str(cfg.weights), graph_at_cost(model, costs)),), frame_period_s)
    return DrivingStack(
        model=prepare_for_inference(model, example_inputs(model)),
        dispatcher=dispatcher,
        controller=Controller(),
    )


def weights_folder(name: str, option: str = "weights") -> Path:
    """Shipped weights by name, or any folder that `e2e-drive train` wrote. option: that gave the name, for messages."""
    shipped = Path(__file__).resolve().parent / "weights"
    for folder in (shipped / name, Path(name)):
        if (folder / "model.safetensors").is_file():
            return folder
    names = sorted(folder.name for folder in shipped.glob("*/"))
    raise UserError(f"{option}={name}: neither a folder with model.safetensors nor shipped weights (these are {names})")
