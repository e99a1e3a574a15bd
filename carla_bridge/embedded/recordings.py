"""Recordings of episodes: one file each, in a folder that the server owns.

A file is MAGIC, then records: kind u8, length u32, payload. The first is the HEADER; FRAME holds the poses of all that
moves, packed; the rest is MessagePack. A file that was cut off (the server died) can be read up to the cut.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgpack
import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.actors import Actor, ActorKind
from carla_bridge.embedded.types import Pose
from carla_bridge.embedded.world import World

MAGIC = b"e2e-drive recording 1\n"
MAX_BYTES = 256 * 1024 * 1024  # a recording ends here: 30 cars for two hours
HEADER, ADDED, REMOVED, COLLISION, LIGHT, FRAME = range(6)
RECORD = struct.Struct("<BI")
FRAME_HEADER = struct.Struct("<Qd")  # number, simulated seconds since the recording began
MOVING = np.dtype([("id", "<u4"), ("pose", "<f4", 6)])
MOVERS = (ActorKind.VEHICLE, ActorKind.WALKER)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()+-]{0,199}")


class RecordingError(ValueError):
    """A recording cannot be made or read; the message is one line."""


def path_of(folder: Path, name: str) -> Path:
    """Where a recording is: the last part of whatever path a client names, always in our own folder."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    if not _NAME.fullmatch(last):
        raise RecordingError(f"a recording cannot be called {last[:60]!r}")
    return folder / last


@dataclass(frozen=True)
class RecordedActor:
    id: int
    type_id: str
    kind: ActorKind
    uid: int
    pose: Pose
    attributes: Mapping[str, tuple[int, str]]

    @staticmethod
    def of(actor: Actor) -> RecordedActor:
        return RecordedActor(actor.id, actor.type_id, actor.kind, actor.uid, actor.pose, dict(actor.attributes))


@dataclass
class RecordedFrame:
    number: int
    elapsed_s: float
    moving: npt.NDArray[np.void]  # of MOVING
    added: list[RecordedActor] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    collisions: list[tuple[int, int]] = field(default_factory=list)  # 0: the static world
    lights: list[tuple[int, int]] = field(default_factory=list)  # id, state


class Recorder:
    """Writes one recording while the world steps."""

    def __init__(self, path: Path, world: World) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise RecordingError(f"cannot record to {path}: {error.strerror}") from error
        self.path, self.world = path, world
        self._began_s = world.elapsed_s
        self._known: dict[int, Actor] = {}
        self._shown: dict[int, int] = {}
        self._size = self._file.write(MAGIC)
        self._write(HEADER, _packed([world.town.name, time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())]))
        self.frame()

    def frame(self) -> bool:
        """Put down the world as it is now; False when the recording has become too long."""
        for gone in [actor_id for actor_id in self._known if actor_id not in self.world.actors]:
            del self._known[gone]
            self._write(REMOVED, _packed(gone))
        for actor in self.world.actors.values():
            if actor.id not in self._known:
                self._known[actor.id] = actor
                self._write(ADDED, _packed_actor(actor))
            if actor.light is not None and self._shown.get(actor.id) != int(actor.light.state):
                self._shown[actor.id] = int(actor.light.state)
                self._write(LIGHT, _packed([actor.id, self._shown[actor.id]]))
        for collision in self.world.collisions:
            self._write(COLLISION, _packed([collision.actor_id, collision.other_id]))
        movers = [actor for actor in self.world.actors.values() if actor.kind in MOVERS]
        moving = np.zeros(len(movers), MOVING)
        for row, actor in zip(moving, movers, strict=True):
            row["id"], row["pose"] = actor.id, _six(actor.pose)
        header = FRAME_HEADER.pack(self.world.frame, self.world.elapsed_s - self._began_s)
        self._write(FRAME, header + moving.tobytes())
        return self._size < MAX_BYTES

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, kind: int, payload: bytes) -> None:
        self._size += self._file.write(RECORD.pack(kind, len(payload)) + payload)


@dataclass(frozen=True)
class Recording:
    """A recording, read."""

    town: str
    date: str
    frames: list[RecordedFrame]

    @property
    def duration_s(self) -> float:
        return self.frames[-1].elapsed_s if self.frames else 0.0

    def actors(self) -> dict[int, RecordedActor]:
        """Everybody who was ever there."""
        return {actor.id: actor for frame in self.frames for actor in frame.added}


def read(path: Path) -> Recording:
    """RecordingError for what is no recording of ours."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"recording {path.name} not found") from error
    if not data.startswith(MAGIC):
        raise RecordingError(f"{path.name} is no recording of the embedded world")
    town = date = ""
    frames: list[RecordedFrame] = []
    nothing = np.zeros(0, MOVING)
    coming = RecordedFrame(0, 0.0, nothing)
    for kind, payload in _records(data):
        if kind == HEADER:
            town, date = msgpack.unpackb(payload)
        elif kind == ADDED:
            coming.added.append(_unpacked_actor(payload))
        elif kind == REMOVED:
            coming.removed.append(msgpack.unpackb(payload))
        elif kind == COLLISION:
            coming.collisions.append(tuple(msgpack.unpackb(payload)))
        elif kind == LIGHT:
            coming.lights.append(tuple(msgpack.unpackb(payload)))
        elif kind == FRAME:
            coming.number, coming.elapsed_s = FRAME_HEADER.unpack_from(payload)
            coming.moving = np.frombuffer(payload, MOVING, offset=FRAME_HEADER.size)
            frames.append(coming)
            coming = RecordedFrame(0, 0.0, nothing)
    return Recording(town, date, frames)


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = len(MAGIC)
    while at + RECORD.size <= len(data):
        kind, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        if at + length > len(data):
            return
        yield kind, data[at : at + length]
        at += length


def _packed_actor(actor: Actor) -> bytes:
    attributes = [[name, kind, value] for name, (kind, value) in actor.attributes.items()]
    return _packed([actor.id, actor.type_id, int(actor.kind), actor.uid, _six(actor.pose), attributes])


def _unpacked_actor(payload: bytes) -> RecordedActor:
    actor_id, type_id, kind, uid, pose, attributes = msgpack.unpackb(payload)
    known = {name: (attribute_kind, value) for name, attribute_kind, value in attributes}
    return RecordedActor(actor_id, type_id, ActorKind(kind), uid, Pose(*pose), known)


def _six(pose: Pose) -> list[float]:
    return [float(v) for v in (pose.x, pose.y, pose.z, pose.pitch, pose.yaw, pose.roll)]


def _packed(value: object) -> bytes:
    packed = msgpack.packb(value)
    assert isinstance(packed, bytes)
    return packed
