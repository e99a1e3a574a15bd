"""Logs -> a cache of decoded samples on disk -> batches of tensors.

The cache is one folder a drive with one .npy file a field (a memory map when read, so that the pictures of all drives
need not fit in memory). It can be thrown away and built again at any time: the logs are the data.

Shapes:  N samples of a drive   B batch   M cameras   H, W image   R, K rows and columns of the BEV grid
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from bev import CameraRig, RouteHint
from e2e_drive.errors import UserError
from e2e_drive.learn.sample import Sample, read_samples
from planner.conditioning import command_vector
from planner.types import Light

_FORMAT = 1  # of the cache; a folder of another format is built anew
_DESCRIPTION = "shard.json"
_STANDING_MPS, _GOING_MPS, _SLOWING_MPS = 0.2, 1.5, 0.7


def find_logs(data: Path) -> list[Path]:
    """Drive logs below a folder, in a fixed order."""
    logs = sorted(data.rglob("*.mcap"))
    if not logs:
        raise UserError(f"data={data} holds no drive logs (*.mcap); `e2e-drive collect` records some")
    return logs


def build_cache(logs: Sequence[Path], cache: Path, cameras: Sequence[str], progress: bool = False) -> list[Path]:
    """Decode each log into a shard below `cache` unless that is done already; returns the shards in the logs' order.
    Drives without a usable sample give none."""
    shards = []
    for log in tqdm(logs, desc="decoding drives", unit="drive", disable=not progress):
        shard = cache / "-".join(log.with_suffix("").parts[-2:])
        source = {"format": _FORMAT, "log": log.name, "bytes": log.stat().st_size, "cameras": list(cameras)}
        if _described(shard).get("source") != source:
            write_shard(shard, read_samples(log), cameras, source)
        if _described(shard)["samples"]:
            shards.append(shard)
    return shards


def write_shard(shard: Path, samples: Iterable[Sample], cameras: Sequence[str], source: object = None) -> None:
    """All samples of one drive -> one folder; it appears whole or not at all."""
    kept = list(samples)
    for sample in kept[:1]:
        missing = sorted(set(cameras) - set(sample.images))
        if missing:
            raise UserError(f"{shard.name}: the log lacks cameras {missing} of the rig; it has {sorted(sample.images)}")
    building = shard.with_name(f".{shard.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    if kept:
        fields: dict[str, np.ndarray] = {
            "images": np.stack([np.stack([sample.images[name] for name in cameras]) for sample in kept]),
            "speed": np.array([[sample.speed_mps] for sample in kept], dtype=np.float32),
            "command": np.stack([command_vector(RouteHint(sample.command, sample.distance_m)) for sample in kept]),
            "bev": np.stack([np.packbits(sample.bev.astype(bool), axis=-1) for sample in kept]),
            "path": np.stack([sample.path for sample in kept]).astype(np.float32),
            "target_speed": np.array([sample.target_speed_mps for sample in kept], dtype=np.float32),
            "waypoints": np.stack([sample.waypoints for sample in kept]).astype(np.float32),
            "light": np.array([sample.light for sample in kept], dtype=np.int64),
        }
        for name, array in fields.items():
            np.save(building / f"{name}.npy", array)
    description = {"samples": len(kept), "source": source}
    (building / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    shutil.rmtree(shard, ignore_errors=True)
    os.replace(building, shard)


def _described(shard: Path) -> dict[str, object]:
    try:
        return dict(json.loads((shard / _DESCRIPTION).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


@dataclass(frozen=True)
class Balance:
    """How often frames of a kind are drawn, relative to the others: most of driving is dull."""

    waiting: float = 0.6  # standing, and rightly so
    starting: float = 8.0  # standing, but the expert would go
    slowing: float = 2.5  # faster than the expert would be
    green: float = 3.0  # at a green light
    turning: float = 2.0  # the path ends well to the side
    turning_m: float = 3.0


class DriveDataset:
    """All samples of some shards, drawn in a balanced and reproducible order."""

    def __init__(self, shards: Sequence[Path], rig: CameraRig) -> None:
        if not shards:
            raise UserError("no samples to learn from: the drives hold no labelled camera frames")
        self.cameras = rig.names
        self._fields = [
            {file.stem: np.load(file, mmap_mode="r" if file.stem == "images" else None) for file in shard.glob("*.npy")}
            for shard in shards
        ]
        shape = (len(rig.cameras), rig.cameras[0].height, rig.cameras[0].width, 3)
        for shard, fields in zip(shards, self._fields, strict=True):
            if fields["images"].shape[1:] != shape:
                raise UserError(f"{shard}: pictures are {fields['images'].shape[1:]}, the rig's are {shape}")
        lengths = [len(fields["speed"]) for fields in self._fields]
        self._shard = np.repeat(np.arange(len(lengths)), lengths)
        self._place = np.concatenate([np.arange(length) for length in lengths])

    def __len__(self) -> int:
        return len(self._shard)

    def column(self, name: str) -> np.ndarray:
        """One small field (not the pictures) of all samples."""
        return np.concatenate([fields[name] for fields in self._fields])

    def weights(self, balance: Balance) -> np.ndarray:
        """(N,) how much each sample counts: the most that any of its kinds gives."""
        speed, target = self.column("speed")[:, 0], self.column("target_speed")
        standing, going = speed < _STANDING_MPS, target >= _GOING_MPS
        kinds = (
            (standing & going, balance.starting),
            (~standing & (target < speed - _SLOWING_MPS), balance.slowing),
            (self.column("light") == Light.GREEN, balance.green),
            (~standing & (np.abs(self.column("path")[:, -1, 1]) > balance.turning_m), balance.turning),
        )
        weights = np.where(standing & ~going, balance.waiting, 1.0)
        for of_kind, weight in kinds:
            weights = np.where(of_kind, np.maximum(weights, weight), weights)
        return weights

    def epoch(self, seed: int, epoch: int, balance: Balance) -> np.ndarray:
        """Sample numbers of one epoch: as many as there are samples, each about as often as its weight says.
        (Systematic sampling: no sample is drawn more than once more or less often than its share.)"""
        random = np.random.default_rng((seed, epoch))
        shares = np.cumsum(self.weights(balance))
        ticks = (np.arange(len(self)) + random.random()) * shares[-1] / len(self)
        drawn = np.minimum(np.searchsorted(shares, ticks, side="right"), len(self) - 1)
        return random.permutation(drawn)

    def batch(self, samples: np.ndarray) -> dict[str, Tensor]:
        """ "images" (B, M, H, W, 3) uint8, the other inputs and the labels by the names the model knows."""

        def gather(name: str) -> np.ndarray:
            return np.stack([self._fields[self._shard[sample]][name][self._place[sample]] for sample in samples])

        names = {
            "speed": "speed",
            "command": "command",
            "path": "label_path",
            "waypoints": "label_waypoints",
            "target_speed": "label_target_speed",
            "light": "label_light",
            "images": "images",
        }
        tensors = {key: torch.from_numpy(gather(name)) for name, key in names.items()}
        tensors["label_bev"] = torch.from_numpy(np.unpackbits(gather("bev"), axis=-1))
        return tensors

    def in_order(self, batch_size: int, at_most: int) -> Iterator[dict[str, Tensor]]:
        """Every n-th sample, so that at most `at_most` come out."""
        chosen = np.arange(0, len(self), max(1, -(-len(self) // at_most)))
        for start in range(0, len(chosen), batch_size):
            yield self.batch(chosen[start : start + batch_size])


def split_cameras(images: Tensor, cameras: Sequence[str]) -> dict[str, Tensor]:
    """(B, M, H, W, 3) -> image[<camera>] (B, 3, H, W), channels last in memory as convolutions like it."""
    return {f"image[{name}]": images[:, index].permute(0, 3, 1, 2) for index, name in enumerate(cameras)}


def split_drives(shards: Sequence[Path], held_out: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Whole drives are held out (neighbouring frames are twins): (to learn from, to validate on)."""
    if len(shards) < 2 or held_out <= 0:
        return list(shards), []
    count = min(max(1, round(held_out * len(shards))), len(shards) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(shards))[:count].tolist())
    learn = [shard for index, shard in enumerate(shards) if index not in chosen]
    return learn, [shard for index, shard in enumerate(shards) if index in chosen]
