"""What a collection knows about each camera frame, and its messages: labels of the expert and the world, depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage

from bev import FloatArray, ImageArray, Pose2D
from e2e_drive.logs.poses import pose_message, pose_of
from e2e_drive.logs.schema import message_class

DEPTH_UNIT_M = 0.01
FAR_M = 655.35  # the sky, or as good as: the largest number of 16 bits

_Labels = message_class("LabelsMsg")
_Box = message_class("BoxMsg")


@dataclass(frozen=True)
class BoxLabel:
    """One vehicle or pedestrian in the virtual ego's frame, which tilts with the car's body, so that the rig's cameras
    project it right on hills too.

    track_id: the same through a drive. kind: `bev.BoxKind`. x, y, z: of the box's centre [m]. vx, vy: its velocity over
    ground along the frame's axes [m/s]. visible: share 0..1 of the box that the rig's cameras see.
    """

    track_id: int
    type_id: str
    kind: int
    x: float
    y: float
    z: float
    yaw: float
    length: float
    width: float
    height: float
    vx: float
    vy: float
    visible: float


@dataclass(frozen=True)
class Labels:
    """What the expert and the world say about one camera frame, seen from the *virtual* ego pose the cameras were
    shifted to.

    virtual_offset: that pose in the true ego frame. bev: (classes, rows, columns) of 0 or 1.
    path: (N, 2) in the virtual frame. light: 0 none, 1 green, 2 red or yellow, for our lane.
    bev_unknown: (rows, columns), 1 where something stands that no camera can see; `bev` does not show it.
    manoeuvre: `planner.Manoeuvre`. light_distance_m: front bumper to the line of our light, -1 without one.
    stop_reason: what holds the expert's speed down. Logs from before there were boxes lack both of them.
    """

    frame_id: int
    virtual_offset: Pose2D
    bev: ImageArray
    path: FloatArray
    target_speed_mps: float
    light: int
    bev_unknown: ImageArray | None = None
    boxes: tuple[BoxLabel, ...] | None = None
    manoeuvre: int = 0
    light_distance_m: float = -1.0
    stop_reason: str = ""


def labels_message(labels: Labels) -> Any:
    message = _Labels(
        frame_id=labels.frame_id,
        virtual_offset=pose_message(labels.virtual_offset),
        bev_shape=labels.bev.shape,
        bev_bits=np.packbits(labels.bev.astype(bool)).tobytes(),
        path_xy=np.ravel(labels.path).tolist(),
        target_speed_mps=labels.target_speed_mps,
        light=labels.light,
        has_boxes=labels.boxes is not None,
        boxes=[_Box(**vars(box)) for box in labels.boxes or ()],
        manoeuvre=labels.manoeuvre,
        light_distance_m=labels.light_distance_m,
        stop_reason=labels.stop_reason,
    )
    if labels.bev_unknown is not None:
        message.unknown_bits = np.packbits(labels.bev_unknown.astype(bool)).tobytes()
    return message


def labels_of(message: Any) -> Labels:
    shape = tuple(message.bev_shape)
    return Labels(
        frame_id=message.frame_id,
        virtual_offset=pose_of(message.virtual_offset),
        bev=_bits(message.bev_bits, shape),
        path=np.array(message.path_xy, dtype=np.float32).reshape(-1, 2),
        target_speed_mps=message.target_speed_mps,
        light=message.light,
        bev_unknown=_bits(message.unknown_bits, shape[1:]) if message.unknown_bits else None,
        boxes=tuple(map(_box_of, message.boxes)) if message.has_boxes else None,
        manoeuvre=message.manoeuvre,
        light_distance_m=message.light_distance_m if message.has_boxes else -1.0,
        stop_reason=message.stop_reason,
    )


def _box_of(message: Any) -> BoxLabel:
    return BoxLabel(**{name: getattr(message, name) for name in BoxLabel.__dataclass_fields__})


def _bits(packed: bytes, shape: tuple[int, ...]) -> ImageArray:
    count = int(np.prod(shape))
    if len(packed) * 8 < count:
        raise ValueError(f"labels hold {len(packed)} bytes of a raster of shape {shape}: they are damaged")
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=count).reshape(shape)


def depth_message(name: str, depth_m: npt.NDArray[np.float32], time_s: float) -> Any:
    """(H, W) metres along the optical axis -> Foxglove's CompressedImage: a PNG of 16 bits in centimetres."""
    centimetres = np.clip(np.rint(depth_m / DEPTH_UNIT_M), 0.0, 65535.0).astype(np.uint16)
    ok, png = cv2.imencode(".png", centimetres, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not ok:
        raise ValueError(f"camera {name!r}: depth of shape {depth_m.shape} cannot be compressed")
    message = CompressedImage(frame_id=name, data=png.tobytes(), format="png")
    message.timestamp.FromNanoseconds(round(time_s * 1e9))
    return message


def depth_of(message: Any) -> npt.NDArray[np.float32]:
    """(H, W) metres along the optical axis, `FAR_M` for the sky and what is farther."""
    centimetres = cv2.imdecode(np.frombuffer(message.data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if centimetres is None or centimetres.dtype != np.uint16 or centimetres.ndim != 2:
        raise ValueError(f"the depth of camera {message.frame_id!r} is no 16-bit {message.format}")
    return centimetres.astype(np.float32) * np.float32(DEPTH_UNIT_M)
