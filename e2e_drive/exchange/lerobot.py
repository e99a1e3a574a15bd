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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bev import Camera, CameraRig, Command, FloatArray, ImageArray
from e2e_drive.errors import UserError
from e2e_drive.exchange.extras import pyarrow
from e2e_drive.exchange.statistics import image_statistics, statistics
from e2e_drive.exchange.whole import whole
from e2e_drive.replay import Recording, Tick
from e2e_drive.report.encoder import Encoder

VERSION = "v3.0"
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA, VIDEO = f"data/{_FILE}.parquet", f"videos/{{video_key}}/{_FILE}.mp4"
_EPISODES = f"meta/episodes/{_FILE}.parquet"
_FIRST = {"chunk_index": 0, "file_index": 0}
# A key frame every second frame, and none that needs a later one: any frame is found fast (as LeRobot encodes).
_CODING = {"crf": "18", "preset": "veryfast", "g": "2", "bf": "0"}
_SAMPLED = 10  # of so many frames one enters the pictures' statistics
_TASKS = {
    Command.FOLLOW: "follow the road",
    Command.LEFT: "turn left",
    Command.RIGHT: "turn right",
    Command.STRAIGHT: "go straight on",
}
_STATE = ("speed_mps", "yaw_rate_rps", "standing_s", *(f"hint_{c.name.lower()}" for c in Command), "hint_distance_m")
# feature -> its numbers by name; everything that the driving stack is told is in the state
_VECTORS = {
    "observation.state": _STATE,
    "action": ("throttle", "brake", "steer"),
    "truth.pose": ("x_m", "y_m", "yaw_rad"),
}
_COUNTERS = ("frame_index", "episode_index", "index", "task_index")


@dataclass
class _Columns:
    """Of all frames so far."""

    vectors: dict[str, list[FloatArray]] = field(default_factory=lambda: {name: [] for name in _VECTORS})
    times: list[float] = field(default_factory=list)
    counters: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _COUNTERS})
    pictures: dict[str, list[ImageArray]] = field(default_factory=dict)  # camera -> those sampled for statistics

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class _Episode:
    begin: int
    end: int
    tasks: tuple[str, ...]
    sampled: slice


def write_lerobot(recordings: Sequence[Recording], out: Path, done: Callable[[], object] = lambda: None) -> int:
    """Frames written. out: a folder that is not there yet. All drives need the same cameras and rate of pictures."""
    pa, pq = pyarrow()
    if out.exists():
        raise UserError(f"out={out} is there already: name a folder that is not")
    rig, fps = recordings[0].rig, round(1.0 / recordings[0].frame_period_s)
    _check(recordings, rig, fps)
    columns, tasks = _Columns(pictures={camera.name: [] for camera in rig.cameras}), list[str]()
    with whole(out) as part:
        with contextlib.ExitStack() as stack:
            encoders = {c.name: stack.enter_context(_encoder(part, c, fps)) for c in rig.cameras}
            episodes = [_add(recording, columns, tasks, encoders, fps, done) for recording in recordings]
        _write_table(pa, pq, part / DATA.format(**_FIRST), _data(pa, columns, fps))
        _write_table(pa, pq, part / _EPISODES.format(**_FIRST), _episodes(pa, episodes, columns, fps, rig))
        _write_table(pa, pq, part / "meta/tasks.parquet", _tasks(pa, tasks))
        _write_json(part / "meta/stats.json", _all_statistics(columns, slice(None), slice(None), fps))
        _write_json(part / "meta/info.json", _info(rig, fps, len(episodes), len(columns), len(tasks)))
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
        root / VIDEO.format(video_key=_key(camera.name), **_FIRST), fps, camera.width, camera.height, **_CODING
    )


def _key(camera: str) -> str:
    return f"observation.images.{camera}"


def _add(
    recording: Recording,
    columns: _Columns,
    tasks: list[str],
    encoders: Mapping[str, Encoder],
    fps: int,
    done: Callable[[], object],
) -> _Episode:
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
        for name, value in zip(_COUNTERS, (index, number, len(columns), tasks.index(task)), strict=True):
            columns.counters[name].append(value)
        columns.times.append(tick.frame.time_s)
        for name, picture in tick.frame.images.items():
            encoders[name].add(picture, key=index == 0)
            if index % _SAMPLED == 0:
                columns.pictures[name].append(picture[::2, ::2])
        done()
    if len(columns) == begin:
        raise UserError(f"{recording.path}: no frame with pictures: it cannot be an episode")
    return _Episode(begin, len(columns), tuple(told), slice(sampled_from, min(map(len, columns.pictures.values()))))


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


def _numbers(columns: _Columns, fps: int) -> dict[str, npt.NDArray[Any]]:
    """Feature -> (frames, numbers), pictures left out."""
    table: dict[str, npt.NDArray[Any]] = {name: np.stack(rows) for name, rows in columns.vectors.items()}
    frames = np.array(columns.counters["frame_index"], np.float64)[:, None]
    table |= {"time_s": np.array(columns.times)[:, None], "timestamp": (frames / fps).astype(np.float32)}
    return table | {name: np.array(values, np.int64)[:, None] for name, values in columns.counters.items()}


def _data(pa: Any, columns: _Columns, fps: int) -> Any:
    arrays = {}
    for name, values in _numbers(columns, fps).items():
        flat, width = pa.array(np.ravel(values)), values.shape[1]
        arrays[name] = pa.FixedSizeListArray.from_arrays(flat, width) if name in _VECTORS else flat
    return pa.table(arrays)


def _all_statistics(columns: _Columns, frames: slice, sampled: slice, fps: int) -> dict[str, dict[str, Any]]:
    found = {name: statistics(values[frames]) for name, values in _numbers(columns, fps).items()}
    return found | {_key(name): image_statistics(pictures[sampled]) for name, pictures in columns.pictures.items()}


def _episodes(pa: Any, episodes: Sequence[_Episode], columns: _Columns, fps: int, rig: CameraRig) -> Any:
    rows = []
    for number, episode in enumerate(episodes):
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": list(episode.tasks),
            "length": episode.end - episode.begin,
            "dataset_from_index": episode.begin,
            "dataset_to_index": episode.end,
            **{f"data/{name}": value for name, value in _FIRST.items()},
            **{f"meta/episodes/{name}": value for name, value in _FIRST.items()},
        }
        for camera in rig.cameras:
            row |= {f"videos/{_key(camera.name)}/{name}": value for name, value in _FIRST.items()}
            row[f"videos/{_key(camera.name)}/from_timestamp"] = episode.begin / fps
            row[f"videos/{_key(camera.name)}/to_timestamp"] = episode.end / fps
        found = _all_statistics(columns, slice(episode.begin, episode.end), episode.sampled, fps)
        row |= {f"stats/{name}/{key}": value for name, values in found.items() for key, value in values.items()}
        rows.append(row)
    return pa.Table.from_pylist(rows)


def _tasks(pa: Any, tasks: Sequence[str]) -> Any:
    """As pandas writes a frame whose index is `task`."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    described = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}
        for name, (kind, numpy_kind) in kinds.items()
    ]
    about = {"index_columns": ["task"], "column_indexes": [], "columns": described, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": list(range(len(tasks))), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(about)})


def _info(rig: CameraRig, fps: int, episodes: int, frames: int, tasks: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [len(names)], "names": list(names)} for name, names in _VECTORS.items()
    }
    for camera in rig.cameras:
        features[_key(camera.name)] = {
            "dtype": "video",
            "shape": [camera.height, camera.width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": camera.height, "video.width": camera.width, "video.codec": "h264",
                "video.pix_fmt": "yuv420p", "video.fps": fps, "video.channels": 3, "has_audio": False,
                "is_depth_map": False,
            },
        }  # fmt: skip
    single = {"time_s": "float64", "timestamp": "float32", **dict.fromkeys(_COUNTERS, "int64")}
    features |= {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in single.items()}
    return {
        "codebase_version": VERSION,
        "robot_type": "e2e-drive",
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": VIDEO,
        "features": features,
    }


def _write_table(pa: Any, pq: Any, path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
