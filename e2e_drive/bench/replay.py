"""How fast recorded schedules are replayed on one core, what reading them takes, and what recording costs.

All figures are CPU time of one thread, so work beside it hardly touches them. `schedule_frames_per_s` counts the replay
alone: link, forecast, decision and execution of every frame; `read_ms_per_frame` is what reading a log of the same
drive from disk takes before, without its pictures. What recording costs is held against one step of the driving stack,
which is less than what a closed loop does in that time: the world comes on top.

The drive is made up: the graph of the network that drives, the usual link and computers, a car that passes roadside
units; its pictures are smooth shapes with a sensor's noise.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from bev import CameraRig, Command, EgoMotion, FloatArray, ImageArray, Pose2D, RouteHint, SensorFrame
from e2e_drive.logs import DriveLog, EgoTruth, LogEnd
from e2e_drive.logs.about import GRAPH, graph_record
from e2e_drive.logs.pictures import JPEG, PNG
from e2e_drive.replay.recording import NOWHERE, Recording, Tick, open_recording
from e2e_drive.replay.schedules import Outcome, replay_schedules
from e2e_drive.stack import build_stack
from planner import Control
from scheduling import LinkGeometry, StageGraph
from scheduling.link import UNAVAILABLE

TICK_S = 0.05
POLICIES = ("local_only", "jpeg_remote", "edge_only")  # beside the drive's own, to tell what deciding takes
_UNITS_APART_M, _UNIT_SIDE_M = 150.0, 12.0


@dataclass(frozen=True)
class ReplayBenchConfig:
    """log: a drive to replay, None: one that is made up. frames: with images, of a made-up drive."""

    log: str | None = None
    frames: int = 2000
    recorded_s: float = 5.0  # of pictures, for what recording costs
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frames < 1 or self.recorded_s <= 0:
            raise ValueError(f"frames and recorded_s must be positive, received {self.frames} and {self.recorded_s}")


def run(config: ReplayBenchConfig, drive: DictConfig, rig: CameraRig, graph: StageGraph) -> dict[str, Any]:
    """drive: the composed configuration of `evaluate`."""
    if config.log is not None:
        recording = open_recording(Path(config.log))
        drive = recording.config
        began = time.perf_counter()
        ticks = list(recording.ticks(pictures=False))
        read_s = time.perf_counter() - began
    else:
        recording, ticks, read_s = (
            made_up_recording(drive, rig, graph),
            made_up_ticks(config.frames, rig, config.seed),
            0.0,
        )
    rows: list[dict[str, Any]] = []
    outcomes: tuple[Outcome, ...] = ()
    metrics: dict[str, float] = {}
    for name in (str(drive.scheduler._target_).split(".")[-2], *POLICIES):
        options = drive.copy()
        if rows:
            options.scheduler = compose("evaluate", [f"scheduler={name}"]).scheduler
        replay_schedules(recording, ticks[:40], options)  # compiles
        result = replay_schedules(recording, ticks, options)
        rows.append({"scheduler": name, **result.summary(), "read_s": read_s})
        metrics["schedule_frames_per_s" if len(rows) == 1 else f"schedule_frames_per_s_{name}"] = result.frames_per_s
        if len(rows) == 1:
            outcomes = result.outcomes
    step_ms = 1e3 * _step_s(config, drive, rig)
    metrics |= {"step_cpu_ms": step_ms}
    for coding in (PNG, JPEG):
        cost = _recording_cost(config, drive, rig, graph, outcomes, coding)
        metrics |= {f"recording_{coding}_{name}": value for name, value in cost.items()}
        metrics[f"recording_{coding}_share_of_step"] = cost["cpu_ms_per_frame"] / step_ms
    metrics["read_ms_per_frame"] = metrics.pop("recording_png_read_ms_per_frame")
    metrics.pop("recording_jpeg_read_ms_per_frame")
    return {"metrics": metrics, "rows": rows}


def made_up_ticks(frames: int, rig: CameraRig, seed: int) -> list[Tick]:
    """Past a roadside unit every 150 m, some of the time behind other vehicles."""
    rng = np.random.default_rng([seed, 0xBE9C])
    ticks: list[Tick] = []
    x, blockers = 0.0, 0
    for i in range(2 * frames):
        time_s = round(i * TICK_S, 6)
        speed = 6.0 + 4.0 * float(np.sin(time_s / 7.0))
        x += speed * TICK_S
        unit, along = divmod(x, _UNITS_APART_M)
        distance = float(np.hypot(along - _UNITS_APART_M / 2.0, _UNIT_SIDE_M))
        if i % 20 == 0:
            blockers = int(rng.poisson(0.3))
        geometry = LinkGeometry(int(unit), distance, distance < 60.0, blockers, speed_mps=speed)
        frame = SensorFrame(
            i, time_s, {} if i % 2 == 0 else None, rig, EgoMotion(speed, 0.0, Pose2D(x, 0.0, 0.0)),
            RouteHint(Command.FOLLOW, 60.0),
        )  # fmt: skip
        ticks.append(Tick(frame, Control(0.0, 0.0, 0.0), -1, geometry))
    return ticks


def made_up_recording(drive: DictConfig, rig: CameraRig, graph: StageGraph) -> Recording:
    """What `replay_schedules` needs to know of a drive whose ticks are made up."""
    return Recording(Path("made up"), drive, {}, rig, graph, LogEnd(True, 0, None))


def _step_s(config: ReplayBenchConfig, drive: DictConfig, rig: CameraRig) -> float:
    """CPU time of one step with pictures, the network included."""
    stack = build_stack(drive, rig, 2.0 * TICK_S)
    spent = []
    for tick, images in _pictured(config.seed, rig, 10):
        began = time.process_time()
        stack.step(replace(tick.frame, images=images), tick.geometry or NOWHERE)
        if images is not None:
            spent.append(time.process_time() - began)
    return float(np.median(spent[1:]))


def _pictured(seed: int, rig: CameraRig, frames: int) -> Iterator[tuple[Tick, dict[str, ImageArray] | None]]:
    """Made-up ticks, every other one with pictures."""
    rng = np.random.default_rng([seed, 0x91C])
    scenes = [{camera.name: picture(rng, camera.height, camera.width) for camera in rig.cameras} for _ in range(8)]
    for i, tick in enumerate(made_up_ticks(frames, rig, seed)):
        yield tick, scenes[(i // 2) % len(scenes)] if i % 2 == 0 else None


def _recording_cost(
    config: ReplayBenchConfig, drive: DictConfig, rig: CameraRig, graph: StageGraph, outcomes: Sequence[Outcome],
    coding: str,
) -> dict[str, float]:  # fmt: skip
    """mb_per_s: of a simulated second. cpu_ms_per_frame: of a frame with pictures and the tick behind it.
    read_ms_per_frame: to have them back without pictures."""
    frames = min(round(config.recorded_s / (2.0 * TICK_S)), len(outcomes))
    ticks = list(_pictured(config.seed, rig, frames))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drive.mcap"
        with DriveLog(path, {"config": OmegaConf.to_yaml(drive)}) as log:
            log.add_metadata(GRAPH, graph_record(graph))
            log.rig(rig, 0.0)
            began = time.process_time()
            for i, (tick, images) in enumerate(ticks):
                _record(log, tick, images, coding, outcomes[i // 2] if i % 2 == 0 else None, graph)
        spent_s, size = time.process_time() - began, path.stat().st_size
        began = time.process_time()
        count = sum(tick.frame.images is not None for tick in open_recording(path).ticks(pictures=False))
        read_s = time.process_time() - began
    return {
        "mb_per_s": size / 1e6 / (frames * 2.0 * TICK_S),
        "cpu_ms_per_frame": 1e3 * spent_s / frames,
        "read_ms_per_frame": 1e3 * read_s / count,
    }


def _record(
    log: DriveLog, tick: Tick, images: dict[str, ImageArray] | None, coding: str, outcome: Outcome | None,
    graph: StageGraph,
) -> None:  # fmt: skip
    """All that a drive writes in a tick but other road users."""
    frame, time_s = replace(tick.frame, images=images), tick.frame.time_s
    pose = frame.ego.odometry
    log.frame(frame, images=coding)
    log.truth(EgoTruth(frame.frame_id, pose, frame.ego.speed_mps, pose.x), time_s)
    log.link(UNAVAILABLE, tick.geometry or NOWHERE, time_s)
    if outcome is not None:
        log.place(pose, 0.0, (49.0, 8.0), time_s)
        log.schedule(frame.frame_id, outcome.schedule, graph, time_s)
        log.timeline(outcome.timeline, time_s)
    log.control(tick.control, -1, time_s)


def picture(rng: np.random.Generator, height: int, width: int) -> ImageArray:
    """(height, width, 3): slopes of brightness, some boxes, and a sensor's noise of about one step."""
    v, u = np.mgrid[0:height, 0:width] / float(height)
    shade: FloatArray = (
        90.0 + 60.0 * v[..., None] * rng.uniform(0.5, 1.5, 3) + 20.0 * u[..., None] * rng.uniform(-1, 1, 3)
    )
    for _ in range(12):
        y, x = int(rng.integers(0, height - 8)), int(rng.integers(0, width - 8))
        shade[y : y + int(rng.integers(6, 40)), x : x + int(rng.integers(6, 60))] = rng.uniform(20, 230, 3)
    return np.clip(shade + rng.normal(0.0, 1.2, shade.shape), 0, 255).astype(np.uint8)
