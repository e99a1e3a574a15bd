"""How fast recorded schedules are replayed on one core, and what recording costs.

The drive is made up (the world and the network take no part in either figure): the graph of the network that drives,
the usual link and computers, a car that passes roadside units; its pictures are smooth shapes with a sensor's noise.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose
from omegaconf import DictConfig

from bev import CameraRig, Command, EgoMotion, FloatArray, ImageArray, Pose2D, RouteHint, SensorFrame
from e2e_drive.logs import DriveLog, LogEnd
from e2e_drive.logs.pictures import JPEG, PNG
from e2e_drive.replay.recording import Recording, Tick, open_recording
from e2e_drive.replay.schedules import replay_schedules
from planner import Control
from scheduling import LinkGeometry, StageGraph

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
    metrics: dict[str, float] = {}
    for name in (str(drive.scheduler._target_).split(".")[-2], *POLICIES):
        options = drive.copy()
        if rows:
            options.scheduler = compose("evaluate", [f"scheduler={name}"]).scheduler
        replay_schedules(recording, ticks[:40], options)  # compiles
        result = replay_schedules(recording, ticks, options)
        rows.append({"scheduler": name, **result.summary(), "read_s": read_s})
        metrics["schedule_frames_per_s" if len(rows) == 1 else f"schedule_frames_per_s_{name}"] = result.frames_per_s
    for coding in (PNG, JPEG):
        cost = _recording_cost(config, rig, coding)
        metrics |= {f"recording_{coding}_{name}": value for name, value in cost.items()}
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


def _recording_cost(config: ReplayBenchConfig, rig: CameraRig, coding: str) -> dict[str, float]:
    """mb_per_s, cpu_ms_per_s: for a simulated second of ten frames."""
    rng = np.random.default_rng([config.seed, 0x91C])
    frames = made_up_ticks(round(config.recorded_s * 10), rig, config.seed)
    scenes = [{camera.name: picture(rng, camera.height, camera.width) for camera in rig.cameras} for _ in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drive.mcap"
        began = time.process_time()
        with DriveLog(path, {}) as log:
            for i, tick in enumerate(frames):
                images = scenes[(i // 2) % len(scenes)] if i % 2 == 0 else None
                log.frame(replace(tick.frame, images=images), images=coding)
                log.control(tick.control, -1, tick.frame.time_s)
        spent_s, size = time.process_time() - began, path.stat().st_size
    return {"mb_per_s": size / 1e6 / config.recorded_s, "cpu_ms_per_s": 1e3 * spent_s / config.recorded_s}


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
