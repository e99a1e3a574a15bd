"""One run of a collection: the expert drives one random route in traffic, and a log keeps what it saw and did."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bev import Pose2D, SensorFrame
from carla_bridge.criteria import Criteria, InfractionKind, LaneCheck
from carla_bridge.expert import Expert, ExpertDecision, compose
from carla_bridge.labels import BevLabels
from carla_bridge.routes import random_route
from carla_bridge.session import Session
from e2e_drive.logs import DriveLog, EgoTruth, InfractionNote, Labels
from planner import Control

_ORIGIN = Pose2D(0.0, 0.0, 0.0)
_STANDING_MPS = 0.2
_WORTH_KEEPING = 60  # frames; a run that went wrong earlier than that is dropped
_TOLERATED = (InfractionKind.MIN_SPEED, InfractionKind.OUTSIDE_LANES)


class RunDropped(RuntimeError):
    """This run gives nothing worth learning from; the message says why."""


@dataclass(frozen=True)
class RunConfig:
    """How runs are driven; see configs/collect.yaml. Ranges are (low, high)."""

    frames: int = 240
    route_length_m: tuple[float, float] = (300.0, 600.0)
    cars: tuple[int, int] = (10, 26)
    camera_period_s: float = 0.25
    shift_probability: float = 0.5
    shift_lateral_m: float = 1.0
    shift_yaw_deg: float = 12.0
    tug_every_s: float = 7.0
    tug_steer: float = 0.12
    tug_s: float = 0.5
    standing_keep_every: int = 4

    def __post_init__(self) -> None:
        if not 0.0 <= self.shift_probability <= 1.0:
            raise ValueError(f"shift_probability must lie in [0, 1], received {self.shift_probability}")
        if self.frames < 1 or self.standing_keep_every < 1 or self.tug_every_s <= 0 or self.tug_s <= 0:
            raise ValueError(f"frames, standing_keep_every, tug_every_s and tug_s must be positive, received {self}")
        for name in ("route_length_m", "cars"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be a range [low, high], received {getattr(self, name)}")

    @classmethod
    def from_options(cls, **options: Any) -> RunConfig:
        """Lists, as configuration files have them, become tuples."""
        tuples: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in options.items()}
        return cls(**tuples)


class Tugs:
    """Somebody tugs at the wheel now and then: smooth, short, gentler the faster the car goes."""

    def __init__(self, config: RunConfig, rng: np.random.Generator) -> None:
        self._config, self._rng = config, rng
        self._start_s = rng.exponential(config.tug_every_s)
        self._strength = 0.0

    def disturb(self, control: Control, now_s: float, speed_mps: float) -> Control:
        if now_s > self._start_s + self._config.tug_s:
            self._start_s = now_s + self._rng.exponential(self._config.tug_every_s)
            self._strength = self._rng.uniform(-1.0, 1.0) * self._config.tug_steer
        if now_s < self._start_s:
            return control
        shape = math.sin(math.pi * (now_s - self._start_s) / self._config.tug_s)
        tug = self._strength * shape * min(1.0, 4.0 / max(speed_mps, 0.1))
        return Control(control.throttle, control.brake, min(max(control.steer + tug, -1.0), 1.0))


class ExpertRun:
    """Run number `index` of the collection with this seed."""

    def __init__(self, session: Session, bev: BevLabels, config: RunConfig, seed: int, index: int) -> None:
        self._session, self._bev, self._config = session, bev, config
        self._seed, self._index = seed, index
        self._rng = np.random.default_rng([seed, index])
        self._stood = 0  # camera frames in a row in which the car stood and ought to
        self.saved = 0
        self.ended_by = "enough frames"

    def record(self, path: Path, on_saved: Callable[[], None]) -> int:
        """Drives and writes the log; returns how many labelled frames it holds. on_saved: called for each."""
        config, rng, session = self._config, self._rng, self._session
        route = random_route(session.graph, rng, float(rng.uniform(*config.route_length_m)), f"run_{self._index:05d}")
        cars = int(rng.integers(config.cars[0], config.cars[1] + 1))
        frame = session.start(route, cars=cars, seed=int(rng.integers(2**31)))
        expert = Expert(route, session.stop_lines)
        criteria = Criteria(route, session.stop_lines, LaneCheck(session.map))
        tugs, shift = Tugs(config, rng), _ORIGIN
        about = {"route": route.name, "town": route.town, "cars": str(cars), "seed": str(self._seed),
                 "run": str(self._index), "config": repr(config)}  # fmt: skip
        with DriveLog(path, about) as log:
            while self.saved < config.frames and criteria.ended is None:
                decision = expert.decide(session.truth, shift)
                if self._log(log, frame, decision, shift, expert.tracker.progress_m):
                    on_saved()
                    shift = self._draw_shift()
                    session.shift_cameras(shift)
                session.apply(tugs.disturb(decision.control, frame.time_s, frame.ego.speed_mps))
                frame = session.tick()
                wrong = [found for found in criteria.update(session.truth) if found.kind not in _TOLERATED]
                if wrong:
                    self._end_badly(log, wrong[0].kind.value, wrong[0].detail, frame.time_s)
                    break
        return self.saved

    def _log(
        self, log: DriveLog, frame: SensorFrame, decision: ExpertDecision, shift: Pose2D, progress_m: float
    ) -> bool:
        """Whether a labelled camera frame was saved."""
        truth, time_s = self._session.truth, frame.time_s
        log.truth(EgoTruth(frame.frame_id, truth.ego.pose, truth.ego.speed_mps, progress_m), time_s)
        keep = frame.images is not None and self._is_wanted(frame.ego.speed_mps, decision.target_speed_mps)
        log.frame(frame, images=keep)
        if not keep:
            return False
        pose = compose(truth.ego.pose, shift)
        log.labels(
            Labels(
                frame_id=frame.frame_id,
                virtual_offset=shift,
                bev=self._bev.draw(truth, pose, decision.governing),
                path=decision.path,
                target_speed_mps=decision.target_speed_mps,
                light=int(decision.light_state),
            ),
            time_s,
        )
        self.saved += 1
        return True

    def _is_wanted(self, speed_mps: float, target_mps: float) -> bool:
        """Waiting at a light for half a minute teaches little more than waiting there for a second."""
        standing = speed_mps < _STANDING_MPS and target_mps < _STANDING_MPS
        self._stood = self._stood + 1 if standing else 0
        return self._stood <= 2 or self._stood % self._config.standing_keep_every == 0

    def _draw_shift(self) -> Pose2D:
        config, rng = self._config, self._rng
        lateral, yaw, chance = rng.uniform(-1.0, 1.0), rng.uniform(-1.0, 1.0), rng.random()
        if chance >= config.shift_probability:
            return _ORIGIN
        return Pose2D(0.0, lateral * config.shift_lateral_m, yaw * math.radians(config.shift_yaw_deg))

    def _end_badly(self, log: DriveLog, kind: str, detail: str, time_s: float) -> None:
        """The log says so, and whoever learns from it leaves out what led to it."""
        self.ended_by = f"{kind}: {detail}"
        log.infraction(InfractionNote(kind, detail), time_s)
        if self.saved < _WORTH_KEEPING:
            raise RunDropped(f"{kind}: {detail}, after only {self.saved} frames")
