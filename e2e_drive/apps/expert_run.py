"""One run of a collection: the expert drives one random route in traffic, and a log keeps what it saw and did."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bev import Pose2D, SensorFrame
from carla_bridge.boxes import BoxFinder, SeenBox
from carla_bridge.convert import compose
from carla_bridge.criteria import Criteria, CriteriaConfig, InfractionKind, LaneCheck
from carla_bridge.expert import ExpertDecision, expert_of
from carla_bridge.labels import BevLabels
from carla_bridge.process import SessionError
from carla_bridge.routes import Route, random_route
from carla_bridge.session import Session
from carla_bridge.surroundings import find_crosswalks
from carla_bridge.truth import StopLine
from e2e_drive.apps.run_plan import Scene
from e2e_drive.logs import BoxLabel, DriveLog, EgoTruth, InfractionNote, Labels
from e2e_drive.logs.pictures import JPEG, NONE
from planner import Control, ControllerConfig, Light

_ORIGIN = Pose2D(0.0, 0.0, 0.0)
_STANDING_MPS = 0.2
_WORTH_KEEPING = 60  # frames; a run that went wrong earlier than that is dropped
_STUCK_S = 60.0
_TOLERATED = (InfractionKind.MIN_SPEED, InfractionKind.OUTSIDE_LANES)
_CROWD = 0.6  # of the town's spawn points that may be taken


class RunDropped(RuntimeError):
    """This run gives nothing worth learning from; the message says why."""


@dataclass(frozen=True)
class RunConfig:
    """How runs are driven; see configs/collect.yaml."""

    frames: int = 240
    camera_period_s: float = 0.25
    depth: bool = True
    variety: bool = True
    near_share: float = 0.6
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


class World:
    """What all runs in one world share."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.bev = BevLabels(session.graph, find_crosswalks(session.map))
        self.boxes = BoxFinder.of(session.world)
        self.lanes = LaneCheck(session.map)
        self.places = len(session.map.get_spawn_points())


class ExpertRun:
    """Run number `index` of the collection with this seed."""

    def __init__(self, world: World, scene: Scene, config: RunConfig, seed: int, index: int) -> None:
        self._world, self._session, self._scene, self._config = world, world.session, scene, config
        self._seed, self._index = seed, index
        self._rng = np.random.default_rng([seed, index])
        self._stood = 0  # camera frames in a row in which the car stood and ought to
        self.saved = 0
        self.ended_by = "enough frames"

    def record(self, path: Path, on_saved: Callable[[], None]) -> int:
        """Drives and writes the log; returns how many labelled frames with pictures it holds. on_saved: called for
        each. Raises RunDropped."""
        session = self._session
        route, frame = self._start()
        expert = expert_of(session)
        criteria = Criteria(route, session.stop_lines, self._world.lanes, CriteriaConfig(blocked_s=_STUCK_S))
        tugs, shift = Tugs(self._config, self._rng), _ORIGIN
        with DriveLog(path, self._about(route)) as log:
            while self.saved < self._config.frames and criteria.ended is None:
                decision = expert.decide(session.truth, shift if frame.images is not None else None)
                if self._log(log, frame, decision, shift, expert.tracker.progress_m):
                    on_saved()
                    shift = self._draw_shift()
                    session.shift_cameras(shift)
                session.apply(tugs.disturb(decision.control, frame.time_s, frame.ego.speed_mps))
                frame = session.tick()
                wrong = [found for found in criteria.update(session.truth) if found.kind not in _TOLERATED]
                if wrong:
                    began_s = frame.time_s - (_STUCK_S if wrong[0].kind == InfractionKind.BLOCKED else 0.0)
                    self._end_badly(log, wrong[0].kind.value, wrong[0].detail, began_s)
                    break
            else:
                if criteria.ended is not None:
                    self.ended_by = str(criteria.ended)
        return self.saved

    def _start(self) -> tuple[Route, SensorFrame]:
        session, scene, rng = self._session, self._scene, self._rng
        try:
            route = random_route(session.graph, rng, scene.route_length_m, f"run_{self._index:05d}")
            return route, session.start(
                route,
                cars=min(scene.cars, int(_CROWD * self._world.places)),
                walkers=scene.walkers,
                obstacles=scene.obstacles,
                variety=self._config.variety,
                near_share=self._config.near_share,
                weather=scene.weather,
                seed=int(rng.integers(2**31)),
            )
        except (SessionError, ValueError) as error:
            raise RunDropped(f"no start: {error}") from error

    def _about(self, route: Route) -> dict[str, str]:
        scene = {key: str(value) for key, value in asdict(self._scene).items()}
        cameras = [asdict(camera) for camera in self._session.rig.cameras]
        return scene | {"route": route.name, "seed": str(self._seed), "run": str(self._index),
                        "config": repr(self._config), "rig": json.dumps(cameras)}  # fmt: skip

    def _log(
        self, log: DriveLog, frame: SensorFrame, decision: ExpertDecision, shift: Pose2D, progress_m: float
    ) -> bool:
        """Whether a labelled camera frame with its pictures was saved."""
        truth, time_s = self._session.truth, frame.time_s
        log.truth(EgoTruth(frame.frame_id, truth.ego.pose, truth.ego.speed_mps, progress_m), time_s)
        keep = frame.images is not None and self._is_wanted(frame.ego.speed_mps, label_speed(decision))
        log.frame(frame, images=JPEG if keep else NONE)
        if frame.images is None:
            return False
        log.labels(self._labels(frame.frame_id, decision, shift), time_s)
        if keep:
            log.depth(self._session.depth_m, time_s)
            self.saved += 1
        return keep

    def _labels(self, frame_id: int, decision: ExpertDecision, shift: Pose2D) -> Labels:
        session, truth, governing = self._session, self._session.truth, decision.governing
        boxes = self._world.boxes.find(truth.others, session.world_from_ego, shift, session.rig, session.depth_m)
        picture = self._world.bev.draw(compose(truth.ego.pose, shift), boxes, stops_of(decision))
        return Labels(
            frame_id=frame_id,
            virtual_offset=shift,
            bev=picture.classes,
            path=decision.path,
            target_speed_mps=label_speed(decision),
            light=int(decision.light_state),
            bev_unknown=picture.unknown,
            boxes=tuple(map(box_label, boxes)),
            manoeuvre=int(decision.manoeuvre),
            light_distance_m=governing.distance_m if governing is not None else -1.0,
            stop_reason=decision.stop_reason,
        )

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


def label_speed(decision: ExpertDecision) -> float:
    """The target speed as the controller takes it: a very low one means to stand, so that is what is to be learned."""
    target = decision.target_speed_mps
    return 0.0 if target < ControllerConfig().hold_speed_mps else target


def stops_of(decision: ExpertDecision) -> list[StopLine]:
    """The lines at which the car must stop as things are."""
    lines = []
    if decision.governing is not None and decision.governing.light == Light.RED_OR_YELLOW:
        lines.append(decision.governing.line)
    if decision.governing_stop is not None:
        lines.append(decision.governing_stop.line)
    return lines


def box_label(box: SeenBox) -> BoxLabel:
    body = box.body
    return BoxLabel(
        track_id=body.actor_id,
        type_id=body.type_id,
        kind=int(box.kind),
        x=box.x,
        y=box.y,
        z=box.z,
        yaw=box.yaw,
        length=2.0 * body.half_length_m,
        width=2.0 * body.half_width_m,
        height=body.height_m,
        vx=box.vx,
        vy=box.vy,
        visible=box.visible,
    )
