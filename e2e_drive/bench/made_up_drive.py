"""A drive that nobody drove, as a log: for measuring `inspect` without a world or a network.

A car follows a winding lane with stops; others drive before it, towards it, stand parked and walk beside it; its plans
are its own future with a network's small errors; link and schedules come from the real radio model and dispatcher. Its
pictures are a texture that slides past, the same to the last bit while the car stands, as the embedded world's are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bev import CameraRig, Command, EgoMotion, FloatArray, ImageArray, Pose2D, RouteHint, SensorFrame
from e2e_drive.bench.replay import TICK_S, picture
from e2e_drive.logs import BoxLabel, DriveLog, EgoTruth, Labels, RoadUser
from e2e_drive.logs.about import GRAPH, graph_record
from e2e_drive.logs.pictures import JPEG
from e2e_drive.replay.schedules import Outcome
from planner import PATH_POINTS, PATH_SPACING_M, SPEED_CLASSES_MPS, Control, Trajectory
from planner.types import WAYPOINT_SPACING_S, WAYPOINTS
from scheduling import StageGraph

_EVERY = 2  # ticks from picture to picture
_BEYOND_S = 5.0  # driven after the end of the log, for its last plans
_WIDTHS_A_M, _WIDTHS_A_RAD = 0.055, 0.6  # by which the texture slides, in widths of a picture
_STEP_M = 0.5


@dataclass(frozen=True)
class _Drive:
    """Way (S, 3) x, y, yaw every `_STEP_M`; by tick: distance along it, speed."""

    way: FloatArray
    along_m: FloatArray
    speeds: FloatArray

    def pose(self, along_m: float, beside_m: float = 0.0, turned: float = 0.0) -> Pose2D:
        """At a distance along the way, to its left by beside_m."""
        knots = np.arange(len(self.way)) * _STEP_M
        x, y, yaw = (float(np.interp(along_m, knots, self.way[:, i])) for i in range(3))
        return Pose2D(x - beside_m * np.sin(yaw), y + beside_m * np.cos(yaw), yaw + turned)


@dataclass(frozen=True)
class _Other:
    """Along the way at t: from_m + speed * t, or `lead_m` before the car."""

    actor_id: int
    type_id: str
    from_m: float
    speed: float
    beside_m: float
    size: tuple[float, float]  # length, width
    lead_m: float | None = None

    def at(self, drive: _Drive, tick: int) -> RoadUser:
        along = self.from_m + self.speed * tick * TICK_S
        if self.lead_m is not None:
            along = drive.along_m[tick] + self.lead_m + 0.8 * drive.speeds[tick]
        pose = drive.pose(along, self.beside_m, np.pi if self.speed < 0.0 else 0.0)
        return RoadUser(self.actor_id, self.type_id, pose, 0.8, *self.size, 1.6)


def write_made_up(
    path: Path, outcomes: Sequence[Outcome], rig: CameraRig, graph: StageGraph, seed: int, labelled: bool
) -> None:
    """As long as there are outcomes of the dispatcher, one a picture. labelled: as if an expert had sat beside."""
    rng = np.random.default_rng([seed, 0x1D])
    ticks = _EVERY * len(outcomes)
    drive = _drive(rng, ticks + round(_BEYOND_S / TICK_S))
    others = _others(rng)
    views = {camera.name: _texture(rng, camera.height, camera.width) for camera in rig.cameras}
    noise = float(rng.choice([0.0, 0.7]))
    planner = _Planner(rng, drive)
    coming: list[tuple[float, Trajectory]] = []
    with DriveLog(path, {"config": f"made up, seed {seed}", "frame_period_s": str(_EVERY * TICK_S)}) as log:
        log.add_metadata(GRAPH, graph_record(graph))
        log.rig(rig, 0.0)
        for tick in range(ticks):
            time_s, pose = round(tick * TICK_S, 6), drive.pose(drive.along_m[tick])
            rate = 0.0 if tick == 0 else (pose.yaw - drive.pose(drive.along_m[tick - 1]).yaw) / TICK_S
            ego = EgoMotion(float(drive.speeds[tick]), rate, pose)
            images = None
            if tick % _EVERY == 0:
                images = {name: _view(view, drive, tick, noise, rng) for name, view in views.items()}
            frame = SensorFrame(tick, time_s, images, rig, ego, RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M))
            log.frame(frame, images=JPEG)
            log.truth(EgoTruth(tick, pose, ego.speed_mps, float(drive.along_m[tick])), time_s)
            if images is not None:
                log.users([other.at(drive, tick) for other in others], time_s)
                outcome = outcomes[tick // _EVERY]
                log.schedule(tick, outcome.schedule, graph, time_s)
                log.timeline(outcome.timeline, time_s)
                plan = planner.plan(tick, pose)
                if labelled:
                    log.labels(_labels(drive, tick), time_s)
                if outcome.timeline.ready_s is not None:
                    coming.append((outcome.timeline.ready_s, plan))
            for ready_s, plan in [pair for pair in coming if pair[0] <= time_s]:
                log.trajectory(plan, time_s)
                coming.remove((ready_s, plan))
            log.control(Control(0.2, 0.0, float(np.clip(0.5 * rate, -1.0, 1.0) + rng.normal(0.0, 0.004))), -1, time_s)


def _drive(rng: np.random.Generator, ticks: int) -> _Drive:
    """Speeds of 5 to 9 m/s with gentle pedals and perhaps a stop; bends down to 12 m of radius."""
    target = np.full(ticks, rng.uniform(5.0, 9.0))
    if rng.random() < 0.5:
        stop = int(rng.integers(60, max(61, ticks - 160)))
        target[stop : stop + int(rng.integers(50, 100))] = 0.0
    speeds = np.empty(ticks)
    speed = float(target[0])
    for i in range(ticks):
        speed += float(np.clip(target[i] - speed, -2.5 * TICK_S, 1.8 * TICK_S))
        speeds[i] = speed
    along = np.concatenate([[0.0], np.cumsum(speeds[:-1] * TICK_S)])
    count = int((along[-1] + 60.0) / _STEP_M)
    bends = np.zeros(count)
    for at in rng.uniform(10, count, 4):
        width = rng.uniform(12, 30)
        bends += rng.choice([-1, 1]) * rng.uniform(0.0, 1 / 14.0) * np.exp(-(((np.arange(count) - at) / width) ** 2))
    yaw = np.cumsum(np.clip(bends, -1 / 12.0, 1 / 12.0) * _STEP_M)
    way = np.stack([np.cumsum(np.cos(yaw)) * _STEP_M, np.cumsum(np.sin(yaw)) * _STEP_M, yaw], axis=1)
    return _Drive(way, along, speeds)


def _others(rng: np.random.Generator) -> list[_Other]:
    """Traffic as it passes when all is well: 0.8 m or more beside, a second or more before."""
    found = [_Other(1, "vehicle.lead", 0.0, 1.0, 0.0, (4.5, 1.8), lead_m=float(rng.uniform(7.5, 15.0)))]
    for i in range(4):
        found.append(
            _Other(10 + i, "vehicle.oncoming", float(rng.uniform(20, 250)), -float(rng.uniform(4, 9)), 3.4, (4.5, 1.9))
        )
        width = float(rng.uniform(1.7, 2.1))
        beside = -(0.92 + width / 2.0 + float(rng.uniform(0.8, 1.5)))
        found.append(_Other(20 + i, "vehicle.parked", float(rng.uniform(5, 120)), 0.0, beside, (4.3, width)))
        walk = float(rng.choice([-1.3, 1.3]))
        found.append(
            _Other(
                30 + i, "walker.pedestrian", float(rng.uniform(0, 120)), walk, -float(rng.uniform(2.4, 6.0)), (0.5, 0.5)
            )
        )
    return found


class _Planner:
    """The car's own future, with errors that change slowly and a little from frame to frame."""

    def __init__(self, rng: np.random.Generator, drive: _Drive) -> None:
        self._rng, self._drive = rng, drive
        self._slow = np.zeros(2)  # sideways at 10 m, along in 2 s

    def plan(self, tick: int, pose: Pose2D) -> Trajectory:
        drive, rng = self._drive, self._rng
        self._slow = 0.95 * self._slow + rng.normal(0.0, (0.06, 0.15))
        sideways, along = self._slow + rng.normal(0.0, (0.05, 0.15))
        path = pose.transform_to_local(
            np.array(
                [[(p := drive.pose(drive.along_m[tick] + PATH_SPACING_M * (i + 1))).x, p.y] for i in range(PATH_POINTS)]
            )
        )
        later = [tick + round((i + 1) * WAYPOINT_SPACING_S / TICK_S) for i in range(WAYPOINTS)]
        later = [min(i, len(drive.along_m) - 1) for i in later]
        places = np.array([[(p := drive.pose(drive.along_m[i])).x, p.y] for i in later])
        waypoints = pose.transform_to_local(places)
        path[:, 1] += sideways * path[:, 0] / 10.0
        waypoints[:, 1] += sideways * waypoints[:, 0] / 10.0
        waypoints[:, 0] += along * np.arange(1, WAYPOINTS + 1) / 4.0
        return Trajectory(
            tick, round(tick * TICK_S, 6), pose, path.astype(np.float32), _speeds(drive.speeds[later[1]]),
            waypoints.astype(np.float32),
        )  # fmt: skip


def _speeds(speed_mps: float) -> FloatArray:
    """Probabilities of speed classes whose mean is that speed."""
    classes = np.array(SPEED_CLASSES_MPS)
    upper = int(np.clip(np.searchsorted(classes, speed_mps), 1, len(classes) - 1))
    share = float(np.clip((speed_mps - classes[upper - 1]) / (classes[upper] - classes[upper - 1]), 0.0, 1.0))
    out = np.zeros(len(classes))
    out[upper - 1], out[upper] = 1.0 - share, share
    return out


def _labels(drive: _Drive, tick: int) -> Labels:
    pose = drive.pose(drive.along_m[tick])
    ahead = [drive.pose(drive.along_m[tick] + PATH_SPACING_M * (i + 1)) for i in range(PATH_POINTS)]
    path = pose.transform_to_local(np.array([[p.x, p.y] for p in ahead]))
    target = float(drive.speeds[min(tick + 20, len(drive.speeds) - 1)])
    none: tuple[BoxLabel, ...] = ()
    raster = np.zeros((1, 8, 8), np.uint8)
    return Labels(tick, Pose2D(0.0, 0.0, 0.0), raster, path, target, 0, boxes=none)


def _texture(rng: np.random.Generator, height: int, width: int) -> ImageArray:
    """Four pictures wide; its ends meet."""
    parts = [picture(rng, height, width) for _ in range(4)]
    return np.concatenate([*parts, parts[0], parts[1][:, :1]], axis=1)


def _view(texture: ImageArray, drive: _Drive, tick: int, noise: float, rng: np.random.Generator) -> ImageArray:
    height, width = texture.shape[0], (texture.shape[1] - 1) // 5
    yaw = drive.pose(drive.along_m[tick]).yaw
    slid = (_WIDTHS_A_M * drive.along_m[tick] + _WIDTHS_A_RAD * yaw) % 4 * width
    shift = np.array([[1.0, 0.0, -slid], [0.0, 1.0, 0.0]])
    out = cv2.warpAffine(texture, shift, (width, height), flags=cv2.INTER_LINEAR)
    if noise:
        out = np.clip(out + rng.normal(0.0, noise, out.shape), 0, 255)
    return np.asarray(out, np.uint8)
