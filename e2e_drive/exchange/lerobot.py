"""Drives as a data set in LeRobot's layout v3.0, each log an episode.

    meta/info.json  stats.json  tasks.parquet  episodes/chunk-000/file-000.parquet
    data/chunk-000/file-000.parquet            a row a frame, episodes one behind the other
    videos/observation.images.CAMERA/chunk-000/file-000.mp4    likewise

The layout's facts are those of LeRobot's public documentation ("LeRobotDataset v3.0"); docs/exchange.md names them.
Time stamps of that format are frame / fps, whatever a log says: the log's own ones are in the column `time_s`.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bev import Camera, CameraRig, Command, FloatArray
from e2e_drive.errors import UserError
from e2e_drive.exchange.extras import pyarrow
from e2e_drive.exchange.lerobot_tables import (
    COUNTERS,
    DATA,
    EPISODES,
    FIRST,
    VIDEO,
    Columns,
    Episode,
    all_statistics,
    data_table,
    description,
    episodes_table,
    tasks_table,
    video_key,
)
from e2e_drive.exchange.whole import whole
from e2e_drive.replay import Recording, Tick
from e2e_drive.report.encoder import Encoder

# A key frame every second frame, and none that needs a later one: any frame is found fast (as LeRobot encodes).
_CODING = {"crf": "18", "preset": "veryfast", "g": "2", "bf": "0"}
# What enters the pictures' statistics: one frame of so many, and about so many of its pixels.
_SAMPLED, _SAMPLED_PIXELS = 10, 4096
_TASKS = {
    Command.FOLLOW: "follow the road",
    Command.LEFT: "turn left",
    Command.RIGHT: "turn right",
    Command.STRAIGHT: "go straight on",
}


def write_lerobot(recordings: Sequence[Recording], out: Path, done: Callable[[], object] = lambda: None) -> int:
    """Frames written. out: a folder that is not there yet. All drives need the same cameras and rate of pictures."""
    pa, pq = pyarrow()
    if out.exists():
        raise UserError(f"out={out} is there already: name a folder that is not")
    rig, fps = recordings[0].rig, round(1.0 / recordings[0].frame_period_s)
    _check(recordings, rig, fps)
    columns, tasks = Columns(pictures={camera.name: [] for camera in rig.cameras}), list[str]()
    with whole(out) as part:
        with contextlib.ExitStack() as stack:
            encoders = {c.name: stack.enter_context(_encoder(part, c, fps)) for c in rig.cameras}
            episodes = [_add(recording, columns, tasks, encoders, done) for recording in recordings]
        _write_table(pq, part / DATA.format(**FIRST), data_table(pa, columns, fps))
        _write_table(pq, part / EPISODES.format(**FIRST), episodes_table(pa, episodes, columns, fps, rig))
        _write_table(pq, part / "meta/tasks.parquet", tasks_table(pa, tasks))
        _write_json(part / "meta/stats.json", all_statistics(columns, slice(None), slice(None), fps))
        _write_json(part / "meta/info.json", description(rig, fps, len(episodes), len(columns), len(tasks)))
    return len(columns)


def _check(recordings: Sequence[Recording], rig: CameraRig, fps: int) -> None:
    def shapes(of: CameraRig) -> str:
        return ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in of.cameras)

    for camera in rig.cameras:
        if camera.width % 2 or camera.height % 2:
            raise UserError(f"camera {camera.name}: H.264 needs even sides, received {camera.width}x{camera.height}")
    for recording in recordings[1:]:
        if shapes(recording.rig) != shapes(rig):
            raise UserError(
                f"{recording.path}: the cameras of {recordings[0].path} are needed ({shapes(rig)}), received "
                f"{shapes(recording.rig)}"
            )
        if round(1.0 / recording.frame_period_s) != fps:
            raise UserError(
                f"{recording.path}: {fps} frames/s are needed, received {1.0 / recording.frame_period_s:.1f}"
            )


def _encoder(root: Path, camera: Camera, fps: int) -> Encoder:
    return Encoder(
        root / VIDEO.format(video_key=video_key(camera.name), **FIRST), fps, camera.width, camera.height, **_CODING
    )


def _add(
    recording: Recording,
    columns: Columns,
    tasks: list[str],
    encoders: Mapping[str, Encoder],
    done: Callable[[], object],
) -> Episode:
    begin, number = len(columns), 1 + max(columns.counters["episode_index"], default=-1)
    sampled_from = min(map(len, columns.pictures.values()))
    told: list[str] = []
    for tick in recording.ticks():
        if tick.frame.images is None:
            continue
        task, index = _TASKS[tick.frame.hint.command], len(columns) - begin
        for known in (told, tasks):
            if task not in known:
                known.append(task)
        for name, vector in _vectors(recording, tick).items():
            columns.vectors[name].append(vector)
        for name, value in zip(COUNTERS, (index, number, len(columns), tasks.index(task)), strict=True):
            columns.counters[name].append(value)
        columns.times.append(tick.frame.time_s)
        for name, picture in tick.frame.images.items():
            encoders[name].add(picture, key=index == 0)
            if index % _SAMPLED == 0:
                step = max(1, round(math.sqrt(picture[..., 0].size / _SAMPLED_PIXELS)))
                columns.pictures[name].append(picture[::step, ::step].copy())
        done()
    if len(columns) == begin:
        raise UserError(f"{recording.path}: no frame with pictures: it cannot be an episode")
    return Episode(begin, len(columns), tuple(told), slice(sampled_from, min(map(len, columns.pictures.values()))))


def _vectors(recording: Recording, tick: Tick) -> dict[str, FloatArray]:
    frame, ego, control, truth = tick.frame, tick.frame.ego, tick.control, tick.truth
    if math.isnan(control.throttle):
        raise UserError(f"{recording.path}: it does not hold what the driver did (as nuScenes does not): no action")
    if truth is None:
        raise UserError(f"{recording.path}: the true pose of the car is missing at {frame.time_s:.2f} s")
    told = [float(frame.hint.command == command) for command in Command]
    values = {
        "observation.state": [ego.speed_mps, ego.yaw_rate_rps, ego.standing_s, *told, frame.hint.distance_m],
        "action": [control.throttle, control.brake, control.steer],
        "truth.pose": [truth.pose.x, truth.pose.y, truth.pose.yaw],
    }
    return {name: np.array(numbers, np.float32) for name, numbers in values.items()}


def _write_table(pq: Any, path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
