"""Logs -> a cache of decoded samples on disk.

The cache is one folder a drive with one .npy file a field (memory maps when read, so that the pictures of all drives
need not fit in memory). It can be thrown away and built again at any time: the logs are the data.

Shapes:  N samples of a drive   M cameras   H, W image   R, K rows and columns of the BEV grid
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bev import BevGrid, CameraRig
from e2e_drive.errors import UserError
from e2e_drive.learn.sample import Sample, read_samples
from e2e_drive.learn.sight import line_of_sight
from e2e_drive.logs.reader import read_run

_FORMAT = 2  # of the cache; a folder of another format is built anew
_DESCRIPTION = "shard.json"
BIG = ("images", "depth")  # fields that are read from disk as they are needed
PAST_S = (0.5, 0.75, 1.0)  # ages of the frames that may stand for the memory, as in driving (see bev.memory)
_PAST_SLACK_S = 0.06


@dataclass(frozen=True)
class Shard:
    """One drive in the cache. log: the file it came from, for messages. town: where it was driven, "" if unknown."""

    folder: Path
    log: str
    samples: int
    town: str = ""


def find_logs(data: Path) -> list[Path]:
    """Drive logs below a folder, in a fixed order."""
    logs = sorted(data.rglob("*.mcap"))
    if not logs:
        raise UserError(f"data={data} holds no drive logs (*.mcap); `e2e-drive collect` records some")
    return logs


def build_cache(
    logs: Sequence[Path], cache: Path, rig: CameraRig, grid: BevGrid, *, workers: int = 1, progress: bool = False
) -> list[Shard]:
    """Decode each log into a shard below `cache` unless that is done already; returns the shards in the logs' order.
    Drives without a usable sample give none. Raises UserError for a damaged log."""
    folders = [cache / "-".join(log.with_suffix("").parts[-2:]) for log in logs]
    sources = [
        {"format": _FORMAT, "log": str(log), "bytes": log.stat().st_size, "cameras": list(rig.names)} for log in logs
    ]
    todo = [
        (log, folder, rig, grid, source)
        for log, folder, source in zip(logs, folders, sources, strict=True)
        if _described(folder).get("source") != source
    ]
    bar = tqdm(total=len(todo), desc="decoding drives", unit="drive", disable=not (progress and todo))
    with bar:
        if workers <= 1 or len(todo) < 2:
            for task in todo:
                _decode(task)
                bar.update()
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                for _ in pool.map(_decode, todo):
                    bar.update()
    shards = [
        Shard(folder, str(log), int(str(about["samples"])), str(about["town"]))
        for log, folder in zip(logs, folders, strict=True)
        for about in (_described(folder),)
    ]
    return [shard for shard in shards if shard.samples]


def _decode(task: tuple[Path, Path, CameraRig, BevGrid, Mapping[str, object]]) -> None:
    log, folder, rig, grid, source = task
    write_shard(folder, read_samples(log, rig.names), rig, grid, source, read_run(log).get("town", ""))


def write_shard(
    folder: Path,
    samples: Iterable[Sample],
    rig: CameraRig,
    grid: BevGrid,
    source: Mapping[str, object],
    town: str = "",
) -> Shard:
    """All samples of one drive -> one folder; it appears whole or not at all."""
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    rows = [_row_of(sample, rig, grid) for sample in samples]
    if rows:
        fields: dict[str, np.ndarray] = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        fields["past"] = _past_of(fields["pose"][:, 3])
        for name, array in fields.items():
            np.save(building / f"{name}.npy", array)
    about = {"samples": len(rows), "town": town, "source": source}
    (building / _DESCRIPTION).write_text(json.dumps(about), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(building, folder)
    return Shard(folder, str(source.get("log", folder)), len(rows), town)


def _row_of(sample: Sample, rig: CameraRig, grid: BevGrid) -> dict[str, Any]:
    return {
        "images": np.stack([sample.images[name] for name in rig.names]),
        "depth": np.stack([sample.depths[name] for name in rig.names]).astype(np.float16),
        "frame": np.int64(sample.frame_id),
        "pose": np.asarray(sample.pose, np.float64),
        "command": np.asarray(sample.command, np.float32),
        "motion": np.asarray(sample.motion, np.float32),
        "bev": np.packbits(sample.bev.astype(bool), axis=-1),
        "known": np.packbits(sample.hidden == 0, axis=-1),
        "seen": np.packbits(line_of_sight(sample.depths, rig, grid), axis=-1),
        "path": np.asarray(sample.path, np.float32),
        "waypoints": np.asarray(sample.waypoints, np.float32),
        "target_speed": np.float32(sample.target_speed_mps),
        "manoeuvre": np.int64(sample.manoeuvre),
        "light": np.int64(sample.light),
        "light_distance": np.float32(sample.light_distance_m),
        "boxes": np.asarray(sample.boxes, np.float32),
        "futures": np.asarray(sample.futures, np.float32),
    }


def _past_of(times_s: np.ndarray) -> np.ndarray:
    """(N, len(PAST_S)) sample of about each age before each sample, -1 where there is none."""
    past = np.full((len(times_s), len(PAST_S)), -1, np.int64)
    for i, now_s in enumerate(times_s):
        for k, age_s in enumerate(PAST_S):
            near = int(np.argmin(np.abs(times_s - (now_s - age_s))))
            if abs(times_s[near] - (now_s - age_s)) < _PAST_SLACK_S:
                past[i, k] = near
    return past


def _described(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def split_drives(shards: Sequence[Shard], held_out: float, seed: int) -> tuple[list[Shard], list[Shard]]:
    """Whole drives are held out (neighbouring frames are twins): (to learn from, to validate on)."""
    if len(shards) < 2 or held_out <= 0:
        return list(shards), []
    count = min(max(1, round(held_out * len(shards))), len(shards) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(shards))[:count].tolist())
    learn = [shard for index, shard in enumerate(shards) if index not in chosen]
    return learn, [shard for index, shard in enumerate(shards) if index in chosen]


def fields_of(shard: Shard) -> Iterator[tuple[str, np.ndarray]]:
    """The shard's arrays by name, the big ones as memory maps."""
    for file in sorted(shard.folder.glob("*.npy")):
        yield file.stem, np.load(file, mmap_mode="r" if file.stem in BIG else None)
