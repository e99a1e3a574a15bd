"""Bench2Drive's published layout (`docs/anno.md` of its repository): one folder a clip, ten frames a second.

CLIP/anno/00000.json.gz         car, sensors and boxes of all others, in CARLA's left-handed world
CLIP/camera/rgb_front/00000.jpg and five other cameras
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bev import Camera, Command, FloatArray, Pose2D, RouteHint
from carla_bridge.boxes import PARKED
from carla_bridge.convert import (
    Pose3D,
    control_from_numbers,
    pose_from_matrix,
    pose_from_numbers,
    rigid,
    turn_rates_from_numbers,
)
from e2e_drive.errors import UserError
from e2e_drive.exchange.fields import Record, read_json
from e2e_drive.exchange.foreign import ForeignDrive, ForeignFrame, SourceCamera
from e2e_drive.logs import RoadUser

FRAME_S = 0.1
_ANNO = "the annotation of a frame of Bench2Drive"
_SUFFIX = ".json.gz"
_COMMANDS = {1: Command.LEFT, 2: Command.RIGHT, 3: Command.STRAIGHT}  # CARLA's RoadOption; the others turn nowhere
_OTHERS = ("vehicle", "walker")  # classes of boxes that become road users
_FAR = RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M)


def open_bench2drive(source: Path) -> ForeignDrive:
    """source: the folder of one clip."""
    paths = _annotations(source)
    first = _read(paths[0])
    cameras = _cameras(first)
    seeing = tuple(camera for camera in cameras if _folder(source, camera.name).is_dir())
    if not seeing:
        raise UserError(
            f"{source / 'camera'}: no pictures; folders such as {_folder(source, 'CAM_FRONT').name} are needed"
        )
    return ForeignDrive(
        source=source,
        cameras=seeing,
        frames=_frames(source, paths, tuple(camera.name for camera in seeing)),
        count=len(paths),
        period_s=FRAME_S,
        blind=tuple(camera.name for camera in cameras if camera not in seeing),
        about={"format": "bench2drive", "source": source.name},
    )


def _annotations(source: Path) -> list[Path]:
    folder = source / "anno"
    if not source.is_dir():
        raise UserError(f"source={source}: no such folder; one clip of Bench2Drive is needed")
    if not folder.is_dir():
        clips = sorted(path.parent.relative_to(source).as_posix() for path in source.glob("*/anno"))
        clips += sorted(path.parent.relative_to(source).as_posix() for path in source.glob("*/*/anno"))
        hint = f"name one of its clips: {', '.join(clips[:5])}" if clips else "one clip of Bench2Drive is needed"
        raise UserError(f"source={source}: there is no folder anno; {hint}")
    paths = sorted(path for path in folder.glob("*" + _SUFFIX) if path.name.removesuffix(_SUFFIX).isdigit())
    if not paths:
        raise UserError(f"{folder}: no annotations; files such as 00000{_SUFFIX} are needed")
    return paths


def _read(path: Path) -> Record:
    return Record(read_json(path, _ANNO), str(path))


def _folder(source: Path, camera: str) -> Path:
    return source / "camera" / camera.replace("CAM_", "rgb_").lower()


def _number(path: Path) -> int:
    return int(path.name.removesuffix(_SUFFIX))


def _cameras(anno: Record) -> tuple[SourceCamera, ...]:
    sensors, base = anno.record("sensors"), _base(_ego(anno))
    found = []
    for name in sensors.values:
        if not name.startswith("CAM_"):
            continue  # lidar, radars, and a picture from above that no car has
        sensor = sensors.record(name)
        mount = pose_from_matrix(sensor.numbers("cam2ego", (4, 4)))  # "ego" of theirs is the actor
        width, height = (round(sensor.number(field)) for field in ("image_size_x", "image_size_y"))
        x, y, z = (np.array([mount.x, mount.y, mount.z]) - base).tolist()
        fov_rad = math.radians(sensor.number("fov"))
        ours = Camera(name, width, height, fov_rad, x, y, z, mount.yaw, mount.pitch, mount.roll)
        found.append(SourceCamera(name, width, height, sensor.numbers("intrinsic", (3, 3)), ours.ego_from_optical))
    if not found:
        raise UserError(f"{sensors.where}: no camera; names such as CAM_FRONT are needed")
    return tuple(found)


def _frames(source: Path, paths: list[Path], cameras: tuple[str, ...]) -> Iterator[ForeignFrame]:
    first = _number(paths[0])
    for path in paths:
        anno, number = _read(path), _number(path)
        ego = _ego(anno)
        body = _pose(ego)
        x, y, z = rigid(body, _base(ego))[:3, 3].tolist()
        *_, yaw_rate = turn_rates_from_numbers(_angular_velocity(anno))
        yield ForeignFrame(
            number=number,
            time_s=round((number - first) * FRAME_S, 6),
            pose=Pose2D(x, y, body.yaw),
            z_m=z,
            speed_mps=anno.number("speed", default=ego.number("speed", default=0.0)),
            yaw_rate_rps=yaw_rate,
            control=control_from_numbers(*(anno.number(name, default=0.0) for name in ("throttle", "brake", "steer"))),
            hint=_hint(anno),
            pictures={name: _folder(source, name) / f"{number:05d}.jpg" for name in cameras},
            users=tuple(_user(box) for box in anno.records("bounding_boxes") if box.any("class") in _OTHERS),
        )


def _ego(anno: Record) -> Record:
    for box in anno.records("bounding_boxes"):
        if box.any("class") == "ego_vehicle":
            return box
    raise UserError(f"{anno.where}: bounding_boxes: there is no box of class ego_vehicle")


def _pose(box: Record) -> Pose3D:
    """Of an actor; its origin need not be the middle of its box."""
    return pose_from_numbers(box.numbers("location", (3,)).tolist(), box.numbers("rotation", (3,)).tolist())


def _base(ego: Record) -> FloatArray:
    """(3,) our ego frame's origin, on the ground below the middle of the box, in the actor's frame."""
    middle = pose_from_numbers(ego.numbers("bbx_loc", (3,)).tolist(), (0.0, 0.0, 0.0))
    return np.array([middle.x, middle.y, middle.z - ego.numbers("extent", (3,))[2]])


def _user(box: Record) -> RoadUser:
    """Parked cars of the town have a wrong rotation, their matrix is right (Bench2Drive's known issues)."""
    is_parked = box.values.get("state") == "static"
    turn = pose_from_matrix(np.linalg.inv(box.numbers("world2vehicle", (4, 4)))) if is_parked else _pose(box)
    centre = pose_from_numbers(box.numbers("center", (3,)).tolist(), (0.0, 0.0, 0.0))
    length, width, height = (2.0 * box.numbers("extent", (3,))).tolist()
    try:
        actor_id = int(box.any("id"))
    except (TypeError, ValueError) as error:
        raise UserError(f"{box.where}: field 'id' must be a number, received {box.any('id')!r}") from error
    type_id = PARKED if is_parked else box.text("type_id")
    return RoadUser(actor_id, type_id, Pose2D(centre.x, centre.y, turn.yaw), centre.z, length, width, height)


def _angular_velocity(anno: Record) -> tuple[float, float, float]:
    """Of the gyroscope [rad/s], 0 where it says nothing."""
    values = anno.values.get("angular_velocity")
    if not isinstance(values, list) or len(values) != 3:
        return (0.0, 0.0, 0.0)
    x, y, z = (float(v) if isinstance(v, int | float) and math.isfinite(v) else 0.0 for v in values)
    return (x, y, z)


def _hint(anno: Record) -> RouteHint:
    """The next point of the route at which it turns, the nearby one or the one behind it."""
    for which in ("near", "far"):
        command = _COMMANDS.get(round(anno.number(f"command_{which}", default=-1.0)))
        if command is not None:
            away = [anno.number(f"{axis}_command_{which}") - anno.number(axis) for axis in ("x", "y")]
            return RouteHint(command, min(math.hypot(*away), RouteHint.MAX_DISTANCE_M))
    return _FAR
