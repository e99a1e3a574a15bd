"""Who can sit at the wheel of a session: the driving stack, or the privileged expert."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from bev import FloatArray, SensorFrame
from bev.tracking import Track, Tracker, detections_from
from carla_bridge.expert import expert_of
from carla_bridge.roadside import RoadsideUnits
from carla_bridge.session import Session
from e2e_drive.report import View
from e2e_drive.stack import DrivingStack, StepRecord
from planner import Control, Manoeuvre
from planner.control import path_from_here
from scheduling import LinkGeometry

_NOWHERE = LinkGeometry(rsu=-1, distance_m=float("inf"), line_of_sight=False, blocking_vehicles=0)


class Driver(Protocol):
    """record: what the stack did in the last step, None for drivers without one. view: what to show of it."""

    @property
    def record(self) -> StepRecord | None: ...

    def step(self, frame: SensorFrame) -> Control: ...

    def view(self) -> View: ...


class StackDriver:
    """Sees frames and, for its radio, the geometry to the roadside units; nothing else of the world."""

    def __init__(self, stack: DrivingStack, session: Session) -> None:
        self.stack, self._session = stack, session
        self._units = RoadsideUnits(session.world, session.map)
        self._geometry = _NOWHERE
        self._bev: FloatArray | None = None
        self._light: tuple[float, float, float] | None = None
        self._manoeuvre: str | None = None
        self._tracker = Tracker()
        self._tracks: tuple[Track, ...] = ()

    @property
    def record(self) -> StepRecord | None:
        return self.stack.last

    def step(self, frame: SensorFrame) -> Control:
        if frame.images is not None:
            self._geometry = self._units.geometry(self._session.truth.ego)
        control = self.stack.step(frame, self._geometry)
        outputs = self.stack.last.outputs if self.stack.last is not None else None
        if outputs is not None and "agent_boxes" in outputs:
            found = detections_from(np.asarray(outputs["agent_boxes"], dtype=np.float64)[0])
            self._tracks = self._tracker.update(found, frame.ego.odometry, frame.time_s)
        return control

    def view(self) -> View:
        record = self.stack.last
        assert record is not None, "step() first"
        outputs = record.outputs or {}
        if "bev_segmentation" in outputs:
            self._bev = 1.0 / (1.0 + np.exp(-np.asarray(outputs["bev_segmentation"], dtype=np.float64)[0]))
        if record.answer is not None:
            none, green, stop = record.answer.light_probabilities.tolist()
            self._light = (none, green, stop)
        if "manoeuvre_logits" in outputs:
            name = Manoeuvre(int(np.argmax(np.asarray(outputs["manoeuvre_logits"])[0]))).name
            self._manoeuvre = name.lower().replace("_", " ")
        trajectory, schedule = record.trajectory, record.schedule
        here = [track.seen_from(record.frame.ego.odometry) for track in self._tracks]
        return View(
            path=None if trajectory is None else path_from_here(trajectory, record.frame.ego)[1:],
            target_speed_mps=None if trajectory is None else self.stack.controller.target_mps,
            bev=self._bev,
            tracks=np.array([(t.x, t.y, t.yaw, t.length, t.width) for t in here]).reshape(-1, 5),
            manoeuvre=self._manoeuvre,
            light=self._light,
            stages=()
            if schedule is None
            else tuple(zip((stage.name for stage in self.stack.graph.stages), schedule.place, strict=True)),
            timeline=record.timeline,
            link=record.link,
            geometry=record.geometry,
        )


class ExpertDriver:
    """Knows everything, thinks in no time: shows what the route and the traffic allow."""

    record = None

    def __init__(self, session: Session) -> None:
        self._session = session
        self._expert = expert_of(session)
        self._view = View()

    def step(self, frame: SensorFrame) -> Control:
        decision = self._expert.decide(self._session.truth)
        light = [0.0, 0.0, 0.0]
        light[int(decision.light_state)] = 1.0
        self._view = View(
            path=decision.path, target_speed_mps=decision.target_speed_mps, light=(light[0], light[1], light[2])
        )
        return decision.control

    def view(self) -> View:
        return self._view
