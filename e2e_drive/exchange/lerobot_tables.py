"""The tables and descriptions of a data set in LeRobot's layout v3.0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bev import CameraRig, Command, FloatArray, ImageArray
from e2e_drive.exchange.statistics import image_statistics, statistics

VERSION = "v3.0"
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA, VIDEO, EPISODES = f"data/{_FILE}.parquet", f"videos/{{video_key}}/{_FILE}.mp4", f"meta/episodes/{_FILE}.parquet"
FIRST = {"chunk_index": 0, "file_index": 0}  # the one file that everything is in
_STATE = ("speed_mps", "yaw_rate_rps", "standing_s", *(f"hint_{c.name.lower()}" for c in Command), "hint_distance_m")
# feature -> its numbers by name; everything that the driving stack is told is in the state
VECTORS = {
    "observation.state": _STATE,
    "action": ("throttle", "brake", "steer"),
    "truth.pose": ("x_m", "y_m", "yaw_rad"),
}
COUNTERS = ("frame_index", "episode_index", "index", "task_index")


@dataclass
class Columns:
    """Of all frames so far."""

    vectors: dict[str, list[FloatArray]] = field(default_factory=lambda: {name: [] for name in VECTORS})
    times: list[float] = field(default_factory=list)
    counters: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in COUNTERS})
    pictures: dict[str, list[ImageArray]] = field(default_factory=dict)  # camera -> those sampled for statistics

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class Episode:
    """begin, end: its frames among all. tasks: in the order in which they came up. sampled: its pictures in
    `Columns.pictures`."""

    begin: int
    end: int
    tasks: tuple[str, ...]
    sampled: slice


def video_key(camera: str) -> str:
    return f"observation.images.{camera}"


def _numbers(columns: Columns, fps: int) -> dict[str, npt.NDArray[Any]]:
    """Feature -> (frames, numbers), pictures left out."""
    table: dict[str, npt.NDArray[Any]] = {name: np.stack(rows) for name, rows in columns.vectors.items()}
    frames = np.array(columns.counters["frame_index"], np.float64)[:, None]
    table |= {"time_s": np.array(columns.times)[:, None], "timestamp": (frames / fps).astype(np.float32)}
    return table | {name: np.array(values, np.int64)[:, None] for name, values in columns.counters.items()}


def data_table(pa: Any, columns: Columns, fps: int) -> Any:
    arrays = {}
    for name, values in _numbers(columns, fps).items():
        flat, width = pa.array(np.ravel(values)), values.shape[1]
        arrays[name] = pa.FixedSizeListArray.from_arrays(flat, width) if name in VECTORS else flat
    return pa.table(arrays)


def all_statistics(columns: Columns, frames: slice, sampled: slice, fps: int) -> dict[str, dict[str, Any]]:
    found = {name: statistics(values[frames]) for name, values in _numbers(columns, fps).items()}
    return found | {video_key(name): image_statistics(pictures[sampled]) for name, pictures in columns.pictures.items()}


def episodes_table(pa: Any, episodes: Sequence[Episode], columns: Columns, fps: int, rig: CameraRig) -> Any:
    rows = []
    for number, episode in enumerate(episodes):
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": list(episode.tasks),
            "length": episode.end - episode.begin,
            "dataset_from_index": episode.begin,
            "dataset_to_index": episode.end,
            **{f"data/{name}": value for name, value in FIRST.items()},
            **{f"meta/episodes/{name}": value for name, value in FIRST.items()},
        }
        for camera in rig.cameras:
            row |= {f"videos/{video_key(camera.name)}/{name}": value for name, value in FIRST.items()}
            row[f"videos/{video_key(camera.name)}/from_timestamp"] = episode.begin / fps
            row[f"videos/{video_key(camera.name)}/to_timestamp"] = episode.end / fps
        found = all_statistics(columns, slice(episode.begin, episode.end), episode.sampled, fps)
        row |= {f"stats/{name}/{key}": value for name, values in found.items() for key, value in values.items()}
        rows.append(row)
    return pa.Table.from_pylist(rows)


def tasks_table(pa: Any, tasks: Sequence[str]) -> Any:
    """As pandas writes a frame whose index is `task`."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    described = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}
        for name, (kind, numpy_kind) in kinds.items()
    ]
    about = {"index_columns": ["task"], "column_indexes": [], "columns": described, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": list(range(len(tasks))), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(about)})


def description(rig: CameraRig, fps: int, episodes: int, frames: int, tasks: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [len(names)], "names": list(names)} for name, names in VECTORS.items()
    }
    for camera in rig.cameras:
        features[video_key(camera.name)] = {
            "dtype": "video",
            "shape": [camera.height, camera.width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": camera.height, "video.width": camera.width, "video.codec": "h264",
                "video.pix_fmt": "yuv420p", "video.fps": fps, "video.channels": 3, "has_audio": False,
                "is_depth_map": False,
            },
        }  # fmt: skip
    single = {"time_s": "float64", "timestamp": "float32", **dict.fromkeys(COUNTERS, "int64")}
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
