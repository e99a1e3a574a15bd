"""A short recorded drive: the real stack with random weights on made-up pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from stack_cases import NEAR, make_frame

from bev import Pose2D, SensorFrame
from e2e_drive import config_dir
from e2e_drive.apps.options import rig_of
from e2e_drive.logs import DriveLog, EgoTruth, RoadUser
from e2e_drive.logs.about import GRAPH, file_sha256, graph_record
from e2e_drive.stack import DrivingStack, build_stack
from scheduling import LinkGeometry

LANE = np.array([(-20.0, 1.75), (200.0, 1.75), (200.0, -1.75), (-20.0, -1.75)])


def record(path: Path, weights: Path, ticks: int, *overrides: str, images: str = "png") -> None:
    """The car rolls along x at 5 m/s behind another; the radio gets worse and better."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("evaluate", [f"weights={weights}", "threads=1", *overrides])
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    stack = build_stack(cfg, rig_of(cfg), frame_period_s=0.1)
    about = {
        "config": OmegaConf.to_yaml(cfg),
        "frame_period_s": "0.1",
        "weights_sha256": file_sha256(weights / "model.safetensors"),
    }
    with DriveLog(path, about) as log:
        log.add_metadata(GRAPH, graph_record(stack.graph))
        log.rig(rig_of(cfg), 0.0)
        log.lanes({"1/0/-1": LANE}, 0.0)
        for tick in range(ticks):
            frame = make_frame(stack, tick)
            stack.step(frame, geometry_at(tick))
            write_tick(log, stack, frame, images)


def geometry_at(tick: int) -> LinkGeometry:
    return replace(NEAR, distance_m=40.0 + 3.0 * tick, blocker_height_m=1.7, speed_mps=5.0)


def write_tick(log: DriveLog, stack: DrivingStack, frame: SensorFrame, images: str) -> None:
    record, time_s = stack.last, frame.time_s
    assert record is not None
    pose = Pose2D(5.0 * time_s, 0.0, 0.0)
    log.frame(frame, images=images)
    log.truth(EgoTruth(frame.frame_id, pose, 5.0, 5.0 * time_s), time_s)
    log.place(pose, 0.0, (49.0, 8.0), time_s)
    log.users([RoadUser(7, "vehicle.a", Pose2D(pose.x + 30.0, 0.0, 0.1), 0.8, 4.5, 1.8, 1.6)], time_s)
    log.link(record.link, record.geometry, time_s)
    if record.schedule is not None and record.timeline is not None:
        log.payloads(frame.frame_id, record.payloads, time_s)
        log.schedule(frame.frame_id, record.schedule, stack.graph, time_s)
        log.timeline(record.timeline, time_s)
    if record.is_new and record.trajectory is not None:
        log.trajectory(record.trajectory, time_s)
        log.planned_path(record.trajectory.path, time_s)
    log.control(record.control, -1 if record.trajectory is None else record.trajectory.frame_id, time_s)
