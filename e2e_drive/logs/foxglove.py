"""What a viewer needs to put a drive in place, in Foxglove's own schemas; and what replay reads back of it.

Frames: "world" (ISO 8855) -> "ego" (on the ground below the car's middle) -> one optical frame a camera, which carries
the camera's name. Scene entities name the frame that they are given in. Foxglove ids are those of our own nouns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LinePrimitive_pb2 import LinePrimitive
from foxglove_schemas_protobuf.LocationFix_pb2 import LocationFix
from foxglove_schemas_protobuf.PoseInFrame_pb2 import PoseInFrame
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from scipy.spatial.transform import Rotation

from bev import Camera, CameraRig, FloatArray, Pose2D

WORLD, EGO = "world", "ego"
_USER = "user/"  # + actor id
_COLOURS = {"vehicle": (0.2, 0.5, 1.0, 0.7), "walker": (1.0, 0.6, 0.1, 0.8), "static": (0.6, 0.6, 0.6, 0.7)}
_PATH_COLOUR, _LANE_COLOUR = (0.1, 0.9, 0.3, 0.9), (0.7, 0.7, 0.7, 0.8)
_FOR_EVER_NS, _PATH_LIFE_NS, _USER_LIFE_NS = 0, 500_000_000, 300_000_000


@dataclass(frozen=True)
class RoadUser:
    """Somebody else as a box in the world: pose and z of its centre, whole lengths [m]."""

    actor_id: int
    type_id: str
    pose: Pose2D
    z: float
    length: float
    width: float
    height: float


def calibration_message(camera: Camera, time_s: float) -> Any:
    k = camera.intrinsics
    message = CameraCalibration(
        frame_id=camera.name,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        D=[0.0] * 5,
        K=k.ravel().tolist(),
        R=np.eye(3).ravel().tolist(),
        P=np.hstack([k, np.zeros((3, 1))]).ravel().tolist(),
    )
    message.timestamp.FromNanoseconds(_ns(time_s))
    return message


def mounts_message(rig: CameraRig, time_s: float) -> Any:
    """ego -> every camera's optical frame."""
    message = FrameTransforms()
    for camera in rig.cameras:
        matrix = camera.ego_from_optical
        quaternion = Rotation.from_matrix(matrix[:3, :3]).as_quat()
        _add_transform(message, EGO, camera.name, matrix[:3, 3], quaternion, time_s)
    return message


def ego_transform_message(pose: Pose2D, z_m: float, time_s: float) -> Any:
    """world -> ego."""
    message = FrameTransforms()
    _add_transform(message, WORLD, EGO, (pose.x, pose.y, z_m), _about_z(pose.yaw), time_s)
    return message


def pose_in_frame_message(pose: Pose2D, z_m: float, time_s: float) -> Any:
    message = PoseInFrame(frame_id=WORLD)
    message.timestamp.FromNanoseconds(_ns(time_s))
    _set_pose(message.pose, (pose.x, pose.y, z_m), _about_z(pose.yaw))
    return message


def location_message(latitude_deg: float, longitude_deg: float, time_s: float) -> Any:
    message = LocationFix(frame_id=EGO, latitude=latitude_deg, longitude=longitude_deg)
    message.timestamp.FromNanoseconds(_ns(time_s))
    return message


def users_message(users: Iterable[RoadUser], time_s: float) -> Any:
    """Boxes of all others, in the world."""
    message = SceneUpdate()
    for user in users:
        entity = _entity(message, f"{_USER}{user.actor_id}", WORLD, time_s, _USER_LIFE_NS)
        entity.metadata.add(key="type", value=user.type_id)
        cube = entity.cubes.add()
        _set_pose(cube.pose, (user.pose.x, user.pose.y, user.z), _about_z(user.pose.yaw))
        cube.size.x, cube.size.y, cube.size.z = user.length, user.width, user.height
        _set_colour(cube.color, colour_of(user.type_id))
    return message


def colour_of(type_id: str) -> tuple[float, float, float, float]:
    """Red, green, blue and opacity of somebody's box, 0..1."""
    return _COLOURS.get(type_id.split(".")[0], _COLOURS["static"])


def users_of(message: Any) -> tuple[RoadUser, ...]:
    found = []
    for entity in message.entities:
        cube, q = entity.cubes[0], entity.cubes[0].pose.orientation
        place = cube.pose.position
        found.append(
            RoadUser(
                actor_id=int(entity.id.removeprefix(_USER)),
                type_id=next((pair.value for pair in entity.metadata if pair.key == "type"), ""),
                pose=Pose2D(place.x, place.y, 2.0 * math.atan2(q.z, q.w)),
                z=place.z,
                length=cube.size.x,
                width=cube.size.y,
                height=cube.size.z,
            )
        )
    return tuple(found)


def path_message(path: FloatArray, time_s: float) -> Any:
    """(N, 2) in the ego frame of that time."""
    message = SceneUpdate()
    entity = _entity(message, "path", EGO, time_s, _PATH_LIFE_NS)
    _add_line(entity, path, LinePrimitive.LINE_STRIP, 0.3, _PATH_COLOUR, z_m=0.1)
    return message


def lanes_message(lanes: Mapping[str, FloatArray], time_s: float) -> Any:
    """Outlines of the lanes that may be driven on: name -> (N, 2) polygon in the world."""
    message = SceneUpdate()
    for name, outline in lanes.items():
        entity = _entity(message, name, WORLD, time_s, _FOR_EVER_NS)
        _add_line(entity, outline, LinePrimitive.LINE_LOOP, 0.1, _LANE_COLOUR)
    return message


def lanes_of(message: Any) -> dict[str, FloatArray]:
    return {
        entity.id: np.array([(point.x, point.y) for point in entity.lines[0].points]) for entity in message.entities
    }


def _entity(message: Any, name: str, frame: str, time_s: float, life_ns: int) -> Any:
    entity = message.entities.add(id=name, frame_id=frame)
    entity.timestamp.FromNanoseconds(_ns(time_s))
    entity.lifetime.FromNanoseconds(life_ns)
    return entity


def _add_line(
    entity: Any, points: FloatArray, kind: int, thickness_m: float, colour: Sequence[float], z_m: float = 0.0
) -> None:
    line = entity.lines.add(type=kind, thickness=thickness_m)
    line.pose.orientation.w = 1.0
    _set_colour(line.color, colour)
    for x, y in np.asarray(points).tolist():
        line.points.add(x=x, y=y, z=z_m)


def _add_transform(
    message: Any, parent: str, child: str, place: Sequence[float] | FloatArray, quaternion: Any, time_s: float
) -> None:
    transform = message.transforms.add(parent_frame_id=parent, child_frame_id=child)
    transform.timestamp.FromNanoseconds(_ns(time_s))
    t, q = transform.translation, transform.rotation
    t.x, t.y, t.z = (float(v) for v in place)
    q.x, q.y, q.z, q.w = (float(v) for v in quaternion)


def _set_pose(pose: Any, place: Sequence[float], quaternion: Sequence[float]) -> None:
    p, q = pose.position, pose.orientation
    p.x, p.y, p.z = place
    q.x, q.y, q.z, q.w = quaternion


def _set_colour(colour: Any, rgba: Sequence[float]) -> None:
    colour.r, colour.g, colour.b, colour.a = rgba


def _about_z(yaw: float) -> tuple[float, float, float, float]:
    return (0.0, 0.0, math.sin(yaw / 2.0), math.cos(yaw / 2.0))


def _ns(time_s: float) -> int:
    return round(time_s * 1e9)
