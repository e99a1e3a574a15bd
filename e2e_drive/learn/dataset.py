"""Shards of decoded drives -> batches of tensors, in a balanced and reproducible order.

Shapes:  B batch   M cameras   H, W image   h, w depth picture   R, K rows and columns of the BEV grid   P past frames
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bev import CameraRig
from bev.memory import POSE_SIZE, SLOTS
from e2e_drive.errors import UserError
from e2e_drive.learn.shards import Shard, fields_of
from planner.types import Light, Manoeuvre

_STANDING_MPS, _GOING_MPS, _SLOWING_MPS = 0.2, 1.5, 0.7
_AS_THEY_ARE = ("command", "motion")
_LABELS = ("path", "waypoints", "target_speed", "manoeuvre", "light", "light_distance", "boxes", "futures")
PICTURES = {"images": "image", "past_images": "past_image"}  # what the model calls them, camera by camera
_BITS = ("bev", "known", "seen")


@dataclass(frozen=True)
class Balance:
    """How often frames of a kind are drawn, relative to the others: most of driving is dull."""

    waiting: float = 0.6  # standing, and rightly so
    starting: float = 6.0  # standing, but the expert would go
    slowing: float = 2.5  # faster than the expert would be
    green: float = 3.0  # at a green light
    turning: float = 2.0  # the path ends well to the side
    avoiding: float = 4.0  # around an obstacle
    sign: float = 6.0  # on the way to a stop sign
    turning_m: float = 3.0


class DriveDataset:
    """All samples of some shards."""

    def __init__(self, shards: Sequence[Shard], rig: CameraRig, latency_s: float = 0.0) -> None:
        """latency_s: target speeds are those that the expert wants that much later, when the answer to this frame will
        be driven (arXiv 2312.06670); path and waypoints are places, and need no such shift."""
        if not shards:
            raise UserError("no samples to learn from: the drives hold no labelled camera frames")
        self.cameras, self.shards = rig.names, tuple(shards)
        self._fields = [dict(fields_of(shard)) for shard in shards]
        shape = (len(rig.cameras), rig.cameras[0].height, rig.cameras[0].width, 3)
        for shard, fields in zip(shards, self._fields, strict=True):
            if fields["images"].shape[1:] != shape:
                raise UserError(f"{shard.log}: pictures are {fields['images'].shape[1:]}, the rig's are {shape}")
            fields["target_speed"] = _later(fields["target_speed"], fields["pose"][:, 3], latency_s)
        lengths = [shard.samples for shard in shards]
        self._shard = np.repeat(np.arange(len(lengths)), lengths)
        self._place = np.concatenate([np.arange(length) for length in lengths])

    def __len__(self) -> int:
        return len(self._shard)

    def column(self, name: str) -> np.ndarray:
        """One small field (not the pictures) of all samples."""
        return np.concatenate([fields[name] for fields in self._fields])

    def name_of(self, sample: int) -> str:
        """The log and the frame that a sample comes from, for messages."""
        shard = int(self._shard[sample])
        return f"{self.shards[shard].log}, frame {int(self._fields[shard]['frame'][self._place[sample]])}"

    def weights(self, balance: Balance) -> np.ndarray:
        """(N,) how much each sample counts: the most that any of its kinds gives."""
        speed, target = self.column("motion")[:, 0], self.column("target_speed")
        manoeuvre = self.column("manoeuvre")
        standing, going = speed < _STANDING_MPS, target >= _GOING_MPS
        kinds = (
            (standing & going, balance.starting),
            (~standing & (target < speed - _SLOWING_MPS), balance.slowing),
            (self.column("light") == Light.GREEN, balance.green),
            (~standing & (np.abs(self.column("path")[:, -1, 1]) > balance.turning_m), balance.turning),
            (~standing & (manoeuvre == Manoeuvre.AVOID), balance.avoiding),
            (~standing & (manoeuvre == Manoeuvre.STOP_SIGN), balance.sign),
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

    def batch(self, samples: np.ndarray, random: np.random.Generator, forget: float = 0.0) -> dict[str, Tensor]:
        """Inputs and labels by the names that the model knows, but "images" (B, M, H, W, 3) uint8 for the cameras, and
        "past_images" (P, M, H, W, 3) of those samples "past_of" (P,) that have an earlier frame and are not chosen to
        do without (a share `forget` of them)."""
        tensors = {name: torch.from_numpy(self._gather(name, samples)) for name in (*_AS_THEY_ARE, "images")}
        tensors |= {f"label_{name}": torch.from_numpy(self._gather(name, samples)) for name in _LABELS}
        tensors |= {
            f"label_{name}": torch.from_numpy(np.unpackbits(self._gather(name, samples), axis=-1)) for name in _BITS
        }
        tensors["label_depth"] = torch.from_numpy(self._gather("depth", samples).astype(np.float32))
        return tensors | self._memories(samples, random, forget)

    def _memories(self, samples: np.ndarray, random: np.random.Generator, forget: float) -> dict[str, Tensor]:
        """The present pose is the origin: what is far from zero loses digits."""
        past = self._gather("past", samples)
        chosen = past[np.arange(len(samples)), random.integers(past.shape[1], size=len(samples))]
        keep = (chosen >= 0) & (random.random(len(samples)) >= forget)
        poses = np.zeros((len(samples), SLOTS, POSE_SIZE), np.float32)
        pictures = []
        for row in np.flatnonzero(keep):
            fields, place = self._fields[self._shard[samples[row]]], self._place[samples[row]]
            poses[row] = (*_relative(fields["pose"][chosen[row]], fields["pose"][place]), 1.0)
            pictures.append(fields["images"][chosen[row]])
        memory = {"pose": torch.zeros(len(samples), 4), "memory_poses": torch.from_numpy(poses)}
        if pictures:
            memory["past_images"] = torch.from_numpy(np.stack(pictures))
            memory["past_of"] = torch.from_numpy(np.flatnonzero(keep))
        return memory

    def _gather(self, name: str, samples: np.ndarray) -> np.ndarray:
        return np.stack([self._fields[self._shard[sample]][name][self._place[sample]] for sample in samples])

    def in_order(self, batch_size: int, at_most: int) -> Iterator[dict[str, Tensor]]:
        """Every n-th sample, so that at most `at_most` come out."""
        chosen = np.arange(0, len(self), max(1, -(-len(self) // at_most)))
        for start in range(0, len(chosen), batch_size):
            yield self.batch(chosen[start : start + batch_size], np.random.default_rng(start))


def by_camera(batch: Mapping[str, Tensor], cameras: Sequence[str]) -> dict[str, Tensor]:
    """The batch with its PICTURES (B, M, H, W, 3) as image[<camera>] and past_image[<camera>] (B, 3, H, W), channels
    last in memory as convolutions like it."""
    named = {name: tensor for name, tensor in batch.items() if name not in PICTURES}
    for pictures, prefix in PICTURES.items():
        if pictures in batch:
            views = batch[pictures].permute(1, 0, 4, 2, 3)
            named |= {f"{prefix}[{name}]": view for name, view in zip(cameras, views, strict=True)}
    return named


def _relative(then: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Pose and time (4,) in the frame of another: x, y, yaw, and seconds (negative: earlier)."""
    dx, dy = then[:2] - now[:2]
    cos, sin = np.cos(now[2]), np.sin(now[2])
    turn = np.arctan2(np.sin(then[2] - now[2]), np.cos(then[2] - now[2]))
    return np.array([cos * dx + sin * dy, cos * dy - sin * dx, turn, then[3] - now[3]])


def _later(speeds: np.ndarray, times_s: np.ndarray, latency_s: float) -> np.ndarray:
    """speeds (N,) of a drive at times_s (N,), taken latency_s later; unchanged where a gap in the frames follows."""
    if latency_s == 0.0:
        return speeds
    moved = np.interp(times_s + latency_s, times_s, speeds).astype(speeds.dtype)
    following = np.append(times_s[1:], np.inf)
    return np.where(following - times_s <= 1.0, moved, speeds)
