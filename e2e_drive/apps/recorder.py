"""Everything a drive leaves behind while it goes on: log, video, timelines, sums."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bev import BevGrid, Camera, CameraRig, FloatArray, ImageArray, Pose2D, SensorFrame
from carla_bridge.criteria import Infraction
from carla_bridge.truth import Body, Truth
from e2e_drive.apps.drivers import Driver
from e2e_drive.logs import DriveLog, EgoTruth, InfractionNote, RoadUser
from e2e_drive.logs.about import GRAPH, graph_record
from e2e_drive.report import Moment, Tally, VideoWriter, View
from e2e_drive.report.files import LOG, TIMELINE, VIDEO
from planner import Control
from planner.control import path_from_here
from scheduling import Schedule, StageGraph, Timeline, write_perfetto

_SPARKLINE_FRAMES = 100  # 10 s of camera frames


@dataclass(frozen=True)
class Scene:
    """What the video needs to know of a drive from the beginning. camera: the one that films, None: no video."""

    title: str
    route_length_m: float
    camera: Camera | None
    frames_per_s: int
    grid: BevGrid


@dataclass(frozen=True)
class Surroundings:
    """What makes a log open in its place. lanes: name -> (N, 2) outline in the world. locate: latitude, longitude."""

    rig: CameraRig
    lanes: Mapping[str, FloatArray]
    locate: Callable[[Pose2D], tuple[float, float]]


class Recorder:
    """One drive. Closing it finishes every file; until then log and video grow with the drive."""

    def __init__(
        self,
        out: Path,
        scene: Scene,
        around: Surroundings,
        graph: StageGraph | None,
        about: dict[str, str],
        images: str,
        quality: int,
    ) -> None:
        """images, quality: how the rig's pictures are kept, see `e2e_drive.logs.pictures`."""
        self.out, self.scene, self.graph, self._images, self._quality = out, scene, graph, images, quality
        self._around = around
        self.tally = Tally()
        self._timelines: list[Timeline] = []
        self._schedules: dict[int, Schedule] = {}
        self._latencies_s: deque[float] = deque(maxlen=_SPARKLINE_FRAMES)
        self._log = DriveLog(out / LOG, about)
        if graph is not None:
            self._log.add_metadata(GRAPH, graph_record(graph))
        self._log.rig(around.rig, 0.0)
        self._log.lanes(around.lanes, 0.0)
        self._video = None if scene.camera is None else VideoWriter(out / VIDEO, scene.frames_per_s)

    def tick(
        self,
        frame: SensorFrame,
        truth: Truth,
        control: Control,
        driver: Driver,
        progress_m: float,
        infractions: Sequence[Infraction],
        picture: ImageArray | None,
    ) -> None:
        """Once a tick, after the driver's step. picture: what `scene.camera` saw, None between two exposures."""
        log, time_s = self._log, frame.time_s
        log.frame(frame, images=self._images, quality=self._quality)
        log.truth(EgoTruth(frame.frame_id, truth.ego.pose, truth.ego.speed_mps, progress_m), time_s)
        if frame.images is not None:
            pose = truth.ego.pose
            log.place(pose, truth.ego.z_m, self._around.locate(pose), time_s)
            log.users([_user(body) for body in truth.others], time_s)
        record = driver.record
        if record is not None:
            log.link(record.link, record.geometry, time_s)
            if record.schedule is not None and record.timeline is not None and self.graph is not None:
                log.payloads(frame.frame_id, record.payloads, time_s)
                log.schedule(frame.frame_id, record.schedule, self.graph, time_s)
                log.timeline(record.timeline, time_s)
                self._sum_up(record.schedule, record.timeline)
            if record.is_new and record.trajectory is not None:
                log.trajectory(record.trajectory, time_s)
                log.planned_path(path_from_here(record.trajectory, frame.ego), time_s)
        for infraction in infractions:
            log.infraction(InfractionNote(infraction.kind.value, infraction.detail), infraction.time_s)
        trajectory = record.trajectory if record is not None else None
        log.control(control, -1 if trajectory is None else trajectory.frame_id, time_s)
        if self._video is not None and picture is not None:
            self._video.add(self._moment(frame, driver.view(), control, progress_m, picture))

    def _sum_up(self, schedule: Schedule, timeline: Timeline) -> None:
        self.tally.add(schedule, timeline)
        self._timelines.append(timeline)
        self._schedules[timeline.frame_id] = schedule
        if timeline.latency_s is not None:
            self._latencies_s.append(timeline.latency_s)

    def _moment(
        self, frame: SensorFrame, view: View, control: Control, progress_m: float, picture: ImageArray
    ) -> Moment:
        assert self.scene.camera is not None
        return Moment(
            title=self.scene.title,
            time_s=frame.time_s,
            picture=picture,
            camera=self.scene.camera,
            grid=self.scene.grid,
            view=view,
            speed_mps=max(frame.ego.speed_mps, 0.0),
            hint=frame.hint,
            progress_m=progress_m,
            route_length_m=self.scene.route_length_m,
            latencies_s=tuple(self._latencies_s),
            braking=control.brake > 0.05,
        )

    def close(self) -> None:
        with contextlib.ExitStack() as stack:  # one file that cannot be finished must not cost the others
            stack.callback(self._log.close)
            if self._video is not None:
                stack.callback(self._video.close)
            if self._timelines:
                write_perfetto(self.out / TIMELINE, self._timelines, self._schedules)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _user(body: Body) -> RoadUser:
    return RoadUser(
        body.actor_id,
        body.type_id,
        body.pose,
        body.z_m + body.height_m / 2.0,
        2.0 * body.half_length_m,
        2.0 * body.half_width_m,
        body.height_m,
    )
