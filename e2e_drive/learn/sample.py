"""One training sample, and how samples are cut out of a drive log.

A sample is one camera frame: what the network gets (pictures, own motion, route hint) and what the expert and the world
say about it, all as seen from the *virtual* ego pose to which the cameras were shifted (see `e2e_drive.logs.Labels`).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bev import FloatArray, ImageArray
from bev.heads import Agent
from carla_bridge.convert import compose
from e2e_drive.errors import UserError
from e2e_drive.logs import EgoTruth, Labels, read_drive
from e2e_drive.logs.reader import CAMERA_PREFIX, DEPTH_PREFIX
from planner.conditioning import command_vector, motion_vector
from planner.types import FUTURE_SPACING_S, FUTURE_STEPS, PATH_SPACING_M, WAYPOINT_SPACING_S, WAYPOINTS

BOXES = 24  # labelled boxes kept a frame: the nearest
VISIBLE = 0.1  # share of a box that must be seen for it to count
_BEFORE_INFRACTION_S = 5.0  # what the expert did this long before it erred is not worth imitating
_HARMLESS = ("min_speed",)  # infraction kinds (by prefix) that are no reason to distrust the expert


@dataclass(frozen=True)
class Sample:
    """pose: x, y, yaw of the virtual ego by odometry, and time. images: camera name -> (H, W, 3) uint8 RGB; depths:
    camera name -> (h, w) m. command, motion: see `planner.conditioning`. bev (6, R, K), hidden (R, K) uint8 of 0 or 1.
    path (10, 2), waypoints (8, 2) in the ego frame [m]. light: `planner.Light`. boxes (BOXES, len(Agent)): SCORE 1 for
    those that are seen, padded with zeros; futures (BOXES, FUTURE_STEPS, 3): x, y and whether they are known."""

    frame_id: int
    pose: FloatArray
    images: Mapping[str, ImageArray]
    depths: Mapping[str, FloatArray]
    command: FloatArray
    motion: FloatArray
    bev: ImageArray
    hidden: ImageArray
    path: FloatArray
    waypoints: FloatArray
    target_speed_mps: float
    manoeuvre: int
    light: int
    light_distance_m: float
    boxes: FloatArray
    futures: FloatArray


@dataclass
class _Moment:
    """All that was logged at one time."""

    time_s: float
    images: dict[str, ImageArray] = field(default_factory=dict)
    depths: dict[str, FloatArray] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Course:
    """What is known of a whole drive before its pictures are looked at."""

    times: list[float]
    truths: list[EgoTruth]
    label_times: list[float]
    others: list[dict[int, tuple[float, float]]]  # at each label time: track -> place in the world
    trusted_until_s: float


def read_samples(log: Path, cameras: Sequence[str]) -> Iterator[Sample]:
    """Samples of one drive, in order. Camera frames without labels or without enough future are left out, and so is
    everything from shortly before an infraction on. Raises UserError for a frame that lacks a camera."""
    course = _read_course(log)
    for moment in _moments(log):
        if moment.time_s >= course.trusted_until_s:
            return
        sample = _sample_of(log, moment, course, cameras)
        if sample is not None:
            yield sample


def _read_course(log: Path) -> _Course:
    course = _Course([], [], [], [], float("inf"))
    trusted = float("inf")
    labels: list[tuple[float, Labels]] = []
    for entry in read_drive(log, frozenset({"/truth", "/labels", "/infraction"})):
        if entry.topic == "/truth" and (not course.times or entry.time_s > course.times[-1]):
            course.truths.append(entry.value)
            course.times.append(entry.time_s)
        elif entry.topic == "/labels":
            labels.append((entry.time_s, entry.value))
        elif entry.topic == "/infraction" and not entry.value.kind.startswith(_HARMLESS):
            trusted = min(trusted, entry.time_s - _BEFORE_INFRACTION_S)
    for time_s, label in labels:
        place = bisect.bisect_left(course.times, time_s - 1e-6)
        if place == len(course.times):
            continue
        pose = compose(course.truths[place].pose, label.virtual_offset)
        boxes = label.boxes or ()
        world = pose.transform_from_local(np.array([(box.x, box.y) for box in boxes]).reshape(-1, 2))
        course.label_times.append(time_s)
        course.others.append({box.track_id: (float(x), float(y)) for box, (x, y) in zip(boxes, world, strict=True)})
    return _Course(course.times, course.truths, course.label_times, course.others, trusted)


def _moments(log: Path) -> Iterator[_Moment]:
    moment = _Moment(-1.0)
    topics = frozenset({CAMERA_PREFIX, DEPTH_PREFIX, "/ego", "/hint", "/labels"})
    for entry in read_drive(log, topics):
        if entry.time_s != moment.time_s:
            yield moment
            moment = _Moment(entry.time_s)
        if entry.topic.startswith(CAMERA_PREFIX):
            moment.images[entry.topic.removeprefix(CAMERA_PREFIX)] = entry.value
        elif entry.topic.startswith(DEPTH_PREFIX):
            moment.depths[entry.topic.removeprefix(DEPTH_PREFIX)] = entry.value
        else:
            moment.parts[entry.topic] = entry.value
    yield moment


def _sample_of(log: Path, moment: _Moment, course: _Course, cameras: Sequence[str]) -> Sample | None:
    ego, hint, labels = (moment.parts.get(topic) for topic in ("/ego", "/hint", "/labels"))
    if not moment.images or ego is None or hint is None or labels is None:
        return None
    for what, found in (("picture", moment.images), ("depth", moment.depths)):
        missing = [name for name in cameras if name not in found]
        if missing:
            raise UserError(
                f"{log}: frame {labels.frame_id} (t = {moment.time_s:.2f} s) has no {what} of camera {missing[0]!r}; "
                f"it has {sorted(found)}. Collect with this rig, or train with the rig of the log"
            )
    waypoints = _waypoints(labels, moment.time_s, course)
    if waypoints is None:
        return None
    pose = compose(ego.odometry, labels.virtual_offset)
    boxes, futures = _agents(labels, moment.time_s, course)
    return Sample(
        frame_id=labels.frame_id,
        pose=np.array([pose.x, pose.y, pose.yaw, moment.time_s]),
        images={name: moment.images[name] for name in cameras},
        depths={name: moment.depths[name] for name in cameras},
        command=command_vector(hint),
        motion=motion_vector(ego),
        bev=labels.bev,
        hidden=np.zeros(labels.bev.shape[1:], np.uint8) if labels.bev_unknown is None else labels.bev_unknown,
        path=labels.path,
        waypoints=waypoints,
        target_speed_mps=labels.target_speed_mps,
        manoeuvre=labels.manoeuvre,
        light=labels.light,
        light_distance_m=labels.light_distance_m,
        boxes=boxes,
        futures=futures,
    )


def _agents(labels: Labels, now_s: float, course: _Course) -> tuple[FloatArray, FloatArray]:
    """The nearest boxes as rows of `Agent`, and where they will be, in the virtual ego frame of now."""
    boxes = np.zeros((BOXES, len(Agent)), np.float32)
    futures = np.zeros((BOXES, FUTURE_STEPS, 3), np.float32)
    place = bisect.bisect_left(course.times, now_s - 1e-6)
    here = compose(course.truths[place].pose, labels.virtual_offset)
    for row, box in enumerate(sorted(labels.boxes or (), key=lambda box: math.hypot(box.x, box.y))[:BOXES]):
        seen = float(box.visible >= VISIBLE)
        boxes[row] = (seen, box.kind, box.x, box.y, box.z, box.length, box.width, box.height, box.yaw, box.vx, box.vy)
        for step in range(FUTURE_STEPS):
            then = now_s + FUTURE_SPACING_S * (step + 1)
            at = bisect.bisect_left(course.label_times, then - 1e-3)
            if at < len(course.label_times) and abs(course.label_times[at] - then) < 0.02:
                world = course.others[at].get(box.track_id)
                if world is not None:
                    futures[row, step, :2] = here.transform_to_local(np.array([world]))[0]
                    futures[row, step, 2] = 1.0
    return boxes, futures


def _waypoints(labels: Labels, now_s: float, course: _Course) -> FloatArray | None:
    """Where the car would be, seen from the virtual pose: as far along the label path as it really came, and, beyond
    the path's end, where it really was (by then the path has led a shifted car back into its lane)."""
    first = bisect.bisect_left(course.times, now_s - 1e-6)
    times = now_s + WAYPOINT_SPACING_S * np.arange(1, WAYPOINTS + 1)
    if first == len(course.times) or times[-1] > course.times[-1] + 1e-6:
        return None
    last = min(bisect.bisect_left(course.times, times[-1]) + 1, len(course.times))
    here = course.truths[first].pose
    world = np.array([(truth.pose.x, truth.pose.y) for truth in course.truths[first:last]])
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(world, axis=0).T))])
    clock = course.times[first:last]
    distance = np.interp(times, clock, travelled)
    real = np.stack([np.interp(times, clock, world[:, axis]) for axis in (0, 1)], axis=1)
    real = labels.virtual_offset.transform_to_local(here.transform_to_local(real))
    path = np.concatenate([np.zeros((1, 2)), labels.path])
    along_path = np.stack(
        [np.interp(distance, PATH_SPACING_M * np.arange(len(path)), path[:, axis]) for axis in (0, 1)], axis=1
    )
    beyond = distance > PATH_SPACING_M * (len(path) - 1)
    return np.where(beyond[:, None], real, along_path)
