"""A short log of a car that turns, with two cameras that show a moving picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bev import Camera, CameraRig, Command, EgoMotion, FloatArray, ImageArray, Pose2D, RouteHint, SensorFrame
from e2e_drive.logs import DriveLog, EgoTruth, InfractionNote, RoadUser
from e2e_drive.logs.about import GRAPH, graph_record
from planner import Control, Trajectory
from scheduling import LinkGeometry, LinkState, Place, Schedule, Span, StageCost, StageGraph, StageNode, Timeline

RIG = CameraRig((
    Camera("wide", 64, 32, 1.6, 0.7, 0.3, 1.6, 0.7, 0.05),
    Camera("tele", 96, 48, 0.6, 0.8, 0.0, 1.6),
))  # fmt: skip
STAGES = StageGraph(
    (StageNode("backbone", ("image",), ("path",), StageCost(1e9, 1e6, 1e6, {"path": 80})),), {"image": 6144}, ("path",)
)
SPEED, YAW_RATE = 5.0, 0.2
LANE = np.array([(-5.0, 2.0), (50.0, 2.0), (50.0, -2.0), (-5.0, -2.0)])


def pose_at(time_s: float) -> Pose2D:
    yaw, radius = YAW_RATE * time_s, SPEED / YAW_RATE
    return Pose2D(radius * math.sin(yaw), radius * (1.0 - math.cos(yaw)), yaw)


def picture(camera: Camera, frame: int) -> ImageArray:
    """Smooth, so that a codec keeps it; other in every frame and camera."""
    u, v = np.meshgrid(np.linspace(0, 1, camera.width), np.linspace(0, 1, camera.height))
    red = 127 + 100 * np.sin(6.0 * u + 0.5 * frame)
    return np.stack([red, 40 + 160 * v, np.full_like(u, 30 + camera.width % 97 + 3 * frame)], -1).astype(np.uint8)


def user_at(time_s: float) -> RoadUser:
    return RoadUser(7, "vehicle.audi.tt", Pose2D(20.0 + time_s, -3.0, 0.4), 0.8, 4.5, 1.8, 1.6)


def path_at() -> FloatArray:
    return np.column_stack([2.0 * np.arange(1, 11), 0.1 * np.arange(1, 11) ** 2]).astype(np.float32)


def write_log(
    path: Path,
    ticks: int,
    command: Command = Command.LEFT,
    rig: CameraRig = RIG,
    images: str = "png",
    config: str = "seed: 3",
) -> Path:
    """Pictures on even ticks, 10 a second; the first hint is to follow the road."""
    with DriveLog(path, {"config": config, "frame_period_s": "0.1", "seed": "3"}) as log:
        log.add_metadata(GRAPH, graph_record(STAGES))
        log.rig(rig, 0.0)
        log.lanes({"1/0/-1": LANE}, 0.0)
        for tick in range(ticks):
            time_s, pose = round(0.05 * tick, 6), pose_at(0.05 * tick)
            pictures = {c.name: picture(c, tick // 2) for c in rig.cameras} if tick % 2 == 0 else None
            hint = RouteHint(Command.FOLLOW, 60.0) if tick < 4 else RouteHint(command, 30.0)
            ego = EgoMotion(SPEED, YAW_RATE, pose, 0.0)
            log.frame(SensorFrame(tick, time_s, pictures, rig, ego, hint), images=images)
            log.truth(EgoTruth(tick, pose, SPEED, SPEED * time_s), time_s)
            log.link(LinkState(2e7, 8e7, 0.02, 0.01, 3), LinkGeometry(3, 55.0, True, 0), time_s)
            if pictures is not None:
                log.place(pose, 0.25, (49.0, 8.0), time_s)
                log.users([user_at(time_s)], time_s)
                log.schedule(tick, Schedule((Place.EDGE,), {"image": "jpeg"}, None, 0.05, "exact"), STAGES, time_s)
                spans = (Span("backbone", "edge", time_s, time_s + 0.04, 0),)
                log.timeline(Timeline(tick, time_s, time_s + 0.05, spans, False, 900, 80, 0.7), time_s)
                origin = Trajectory(tick, time_s, pose, path_at(), np.eye(8)[3], path_at()[:8])
                log.trajectory(origin, time_s)
                log.planned_path(path_at(), time_s)
            if tick == 5:
                log.infraction(InfractionNote("red_light", "ran a red light"), time_s)
            log.control(Control(0.4, 0.0, 0.01 * tick), tick, time_s)
    return path
