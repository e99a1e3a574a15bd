"""One training sample, and how samples are cut out of a drive log.

A sample is one camera frame: what the network gets (pictures, speed, route hint) and what the expert would do, all
as seen from the *virtual* ego pose to which the cameras were shifted for that frame (see `e2e_drive.logs.Labels`).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bev import Command, FloatArray, ImageArray
from e2e_drive.logs import EgoTruth, Labels, read_drive
from e2e_drive.logs.reader import CAMERA_PREFIX
from planner.types import PATH_SPACING_M, WAYPOINT_SPACING_S, WAYPOINTS

_BEFORE_INFRACTION_S = 5.0  # what the expert did this long before it erred is not worth imitating
_HARMLESS = ("min_speed",)  # infraction kinds (by prefix) that are no reason to distrust the expert


@dataclass(frozen=True)
class Sample:
    """images: camera name -> (H, W, 3) uint8 RGB. bev: (4, rows, columns) uint8 of 0 or 1. path (10, 2) and
    waypoints (8, 2) in the ego frame [m]. light: `planner.Light`."""

    images: Mapping[str, ImageArray]
    speed_mps: float
    command: Command
    distance_m: float
    bev: ImageArray
    path: FloatArray
    target_speed_mps: float
    waypoints: FloatArray
    light: int


def read_samples(log: Path) -> Iterator[Sample]:
    """Samples of one drive, in order. Needs the topics /ego, /hint, /truth, /labels and the cameras'; camera frames
    without labels or without enough future are left out, and so is everything from shortly before an infraction on."""
    topics = frozenset({CAMERA_PREFIX, "/ego", "/hint", "/truth", "/labels", "/infraction"})
    truths: list[EgoTruth] = []
    truth_times: list[float] = []
    distrusted_from_s = float("inf")
    for entry in read_drive(log, topics - {CAMERA_PREFIX}):  # the future is needed before the pictures are decoded
        if entry.topic == "/truth" and (not truth_times or entry.time_s > truth_times[-1]):
            truths.append(entry.value)
            truth_times.append(entry.time_s)
        elif entry.topic == "/infraction" and not entry.value.kind.startswith(_HARMLESS):
            distrusted_from_s = min(distrusted_from_s, entry.time_s - _BEFORE_INFRACTION_S)
    now_s = -1.0
    images: dict[str, ImageArray] = {}
    parts: dict[str, Any] = {}
    for entry in read_drive(log, topics):
        if entry.time_s != now_s:
            yield from _finish(images, parts, now_s, truths, truth_times)
            now_s, images, parts = entry.time_s, {}, {}
        if now_s >= distrusted_from_s:
            return
        if entry.topic.startswith(CAMERA_PREFIX):
            images[entry.topic.removeprefix(CAMERA_PREFIX)] = entry.value
        else:
            parts[entry.topic] = entry.value
    yield from _finish(images, parts, now_s, truths, truth_times)


def _finish(
    images: dict[str, ImageArray],
    parts: dict[str, Any],
    now_s: float,
    truths: list[EgoTruth],
    truth_times: list[float],
) -> Iterator[Sample]:
    ego, hint, labels = (parts.get(topic) for topic in ("/ego", "/hint", "/labels"))
    if not images or ego is None or hint is None or labels is None:
        return
    waypoints = _waypoints(labels, now_s, truths, truth_times)
    if waypoints is None:
        return
    yield Sample(
        images=images,
        speed_mps=ego.speed_mps,
        command=hint.command,
        distance_m=hint.distance_m,
        bev=labels.bev,
        path=labels.path,
        target_speed_mps=labels.target_speed_mps,
        waypoints=waypoints,
        light=labels.light,
    )


def _waypoints(labels: Labels, now_s: float, truths: list[EgoTruth], truth_times: list[float]) -> FloatArray | None:
    """Where the car would be, seen from the virtual pose: as far along the label path as it really came, and, beyond
    the path's end, where it really was (by then the path has led a shifted car back into its lane)."""
    first = bisect.bisect_left(truth_times, now_s - 1e-6)
    times = now_s + WAYPOINT_SPACING_S * np.arange(1, WAYPOINTS + 1)
    if first == len(truths) or times[-1] > truth_times[-1] + 1e-6:
        return None
    last = min(bisect.bisect_left(truth_times, times[-1]) + 1, len(truths))
    here = truths[first].pose
    world = np.array([(truth.pose.x, truth.pose.y) for truth in truths[first:last]])
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(world, axis=0).T))])
    clock = truth_times[first:last]
    distance = np.interp(times, clock, travelled)
    real = np.stack([np.interp(times, clock, world[:, axis]) for axis in (0, 1)], axis=1)
    real = labels.virtual_offset.transform_to_local(here.transform_to_local(real))
    path = np.concatenate([np.zeros((1, 2)), labels.path])
    along_path = np.stack(
        [np.interp(distance, PATH_SPACING_M * np.arange(len(path)), path[:, axis]) for axis in (0, 1)], axis=1
    )
    beyond = distance > PATH_SPACING_M * (len(path) - 1)
    return np.where(beyond[:, None], real, along_path)
