"""One pass over a log: all that the detectors look at. Pictures are boiled down to a few numbers as they go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bev import FloatArray, ImageArray, Pose2D
from e2e_drive.errors import UserError
from e2e_drive.logs import EgoTruth, Entry, Labels, LogEnd, RoadUser, read_drive, read_end
from e2e_drive.logs.about import RIG, rig_of_record
from e2e_drive.logs.reader import CAMERA_PREFIX, read_metadata
from planner import Trajectory
from scheduling import Schedule, Timeline

_TOPICS = frozenset({
    "/ego", "/hint", "/control", "/truth", "/users", "/labels", "/schedule", "/timeline", "/trajectory", CAMERA_PREFIX,
})  # fmt: skip
_SHRINK = 4  # a thumbnail's pixel is the mean of 4 x 4, which takes most of a sensor's noise away


@dataclass
class Pictures:
    """Of one camera, in order. ticks: index of the tick that each belongs to. changes: mean difference from the one
    before, in grey levels of thumbnails (nan for the first). spreads: standard deviation of the thumbnail."""

    ticks: list[int] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    last: FloatArray | None = None

    def add(self, tick: int, picture: ImageArray) -> None:
        height, width = picture.shape[:2]
        small = cv2.resize(picture, (width // _SHRINK, height // _SHRINK), interpolation=cv2.INTER_AREA).astype(float)
        comparable = self.last is not None and self.last.shape == small.shape
        self.changes.append(float(np.abs(small - self.last).mean()) if comparable else float("nan"))
        self.spreads.append(float(small.std()))
        self.ticks.append(tick)
        self.last = small


@dataclass
class Scan:
    """Ticks are counted by /ego; what follows one belongs to it. Every list is in the order of the file, for time may
    jump.

    stamps_s, clocks_s: by tick, when it was logged and what the car's clock said. even_s: as if time had gone on
    evenly with the frame numbers. odometry: (T, 3). schedules, ...: (tick, value). hints: ticks that were meant to have
    pictures. damage: why reading stopped early, empty if it did not.
    """

    path: Path
    end: LogEnd
    cameras: tuple[str, ...] = ()  # of the rig, or those that were seen
    damage: str = ""
    frame_ids: list[int] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)
    clocks: list[float] = field(default_factory=list)
    motions: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    hints: list[int] = field(default_factory=list)
    pictures: dict[str, Pictures] = field(default_factory=dict)
    schedules: list[tuple[int, Schedule]] = field(default_factory=list)
    timelines: list[tuple[int, Timeline]] = field(default_factory=list)
    trajectories: list[tuple[int, Trajectory]] = field(default_factory=list)
    steers: list[tuple[int, float]] = field(default_factory=list)
    truths: dict[int, EgoTruth] = field(default_factory=dict)  # by frame
    users: list[tuple[int, tuple[RoadUser, ...]]] = field(default_factory=list)  # by tick
    labels: list[tuple[int, Labels]] = field(default_factory=list)

    @cached_property
    def stamps_s(self) -> FloatArray:
        return np.array(self.stamps)

    @cached_property
    def clocks_s(self) -> FloatArray:
        return np.array(self.clocks)

    @cached_property
    def even_s(self) -> FloatArray:
        return self.ids * self.tick_s

    @cached_property
    def ids(self) -> npt.NDArray[np.int64]:
        return np.array(self.frame_ids, dtype=np.int64)

    @cached_property
    def speeds_mps(self) -> FloatArray:
        return self._motion[:, 0]

    @cached_property
    def odometry(self) -> FloatArray:
        return self._motion[:, 2:5]

    @cached_property
    def _motion(self) -> FloatArray:
        return np.array(self.motions, dtype=np.float64).reshape(-1, 5)

    @property
    def from_s(self) -> float:
        return self.stamps[0] if self.stamps else 0.0

    @property
    def to_s(self) -> float:
        return self.stamps[-1] if self.stamps else 0.0

    @cached_property
    def tick_s(self) -> float:
        """Between two ticks, as a rule."""
        steps = np.diff(self.clocks_s)[np.diff(self.ids) == 1]
        return float(np.median(steps)) if len(steps) else 0.05

    def add(self, entry: Entry) -> None:
        if entry.topic == "/ego":
            ego, m = entry.value, entry.message
            self.frame_ids.append(m.frame_id)
            self.stamps.append(entry.time_s)
            self.clocks.append(m.time_s)
            self.motions.append((ego.speed_mps, ego.yaw_rate_rps, ego.odometry.x, ego.odometry.y, ego.odometry.yaw))
        elif entry.topic.startswith(CAMERA_PREFIX):
            name = entry.topic.removeprefix(CAMERA_PREFIX)
            self.pictures.setdefault(name, Pictures()).add(len(self.stamps) - 1, entry.value)
        elif entry.topic == "/hint":
            self.hints.append(len(self.stamps) - 1)
        elif entry.topic == "/truth":
            self.truths[entry.value.frame_id] = entry.value
        elif entry.topic == "/users":
            self.users.append((len(self.stamps) - 1, entry.value))
        elif entry.topic == "/control":
            self.steers.append((len(self.stamps) - 1, entry.value.steer))
        else:
            self._list_of(entry.topic).append((len(self.stamps) - 1, entry.value))

    def _list_of(self, topic: str) -> list[tuple[float, Any]]:
        lists: Mapping[str, list[Any]] = {
            "/labels": self.labels, "/schedule": self.schedules, "/timeline": self.timelines,
            "/trajectory": self.trajectories,
        }  # fmt: skip
        return lists[topic]

    @cached_property
    def tick_of(self) -> Mapping[int, int]:
        """Frame -> the first tick that bears its number."""
        return {frame: tick for tick, frame in reversed(list(enumerate(self.frame_ids)))}

    def surroundings(self) -> list[tuple[int, tuple[RoadUser, ...]]]:
        """All others in the world's frame, by tick: as the world said, or as a collection labelled them."""
        if self.users or not self.labels:
            return self.users
        return [
            (self.tick_of[labels.frame_id], _in_world(labels, self.truths[labels.frame_id].pose))
            for _, labels in self.labels
            if labels.boxes is not None and labels.frame_id in self.truths and labels.frame_id in self.tick_of
        ]


def scan_log(path: Path) -> Scan:
    """As far as the file goes. Raises UserError for what is no log of a drive."""
    if not path.is_file():
        raise UserError(f"log={path}: no such file")
    scan = Scan(path, read_end(path))
    try:
        scan.cameras = _cameras_of(path)
        for entry in read_drive(path, _TOPICS):
            if scan.stamps or entry.topic in ("/ego", "/truth"):
                scan.add(entry)
    except UserError as error:
        if not scan.stamps:
            raise
        scan.damage = str(error).removeprefix(f"{path}: ")
    if not scan.stamps and scan.end.is_whole:
        raise UserError(f"{path} holds no drive: there is no /ego in it")
    scan.cameras = scan.cameras or tuple(scan.pictures)
    return scan


def _cameras_of(path: Path) -> tuple[str, ...]:
    """Of the rig that the log tells of; none if it does not."""
    records = read_metadata(path, head=True)
    try:
        return rig_of_record(records[RIG]).names if RIG in records else ()
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: what it says of its rig is damaged: {error}") from error


def _in_world(labels: Labels, ego: Pose2D) -> tuple[RoadUser, ...]:
    offset = labels.virtual_offset
    found = []
    for box in labels.boxes or ():
        place = ego.transform_from_local(offset.transform_from_local(np.array([[box.x, box.y]])))[0]
        pose = Pose2D(float(place[0]), float(place[1]), box.yaw + offset.yaw + ego.yaw)
        found.append(RoadUser(box.track_id, box.type_id, pose, box.z, box.length, box.width, box.height))
    return tuple(found)
