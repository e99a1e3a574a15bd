"""The protobuf messages of a drive log, declared as a table and built at import.

Building the descriptors here keeps the log free of generated code, of a protoc at install time, and of a tie to one
protobuf release; the descriptors are also written into every log, so any MCAP viewer reads it without us.
Cameras use Foxglove's own `foxglove.CompressedImage`. Frames of reference are those of `bev.types`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "e2e_drive"

_POSE = "Pose2D"
_TYPES = {
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}

# message -> fields in the order of their numbers; "[]" marks a repeated field, another message's name nests it.
# A field may be added at the end of a message, never moved, renamed or removed: old logs must stay readable.
MESSAGES: dict[str, dict[str, str]] = {
    _POSE: {"x": "double", "y": "double", "yaw": "double"},
    "EgoState": {
        "frame_id": "int64",
        "time_s": "double",
        "speed_mps": "double",
        "yaw_rate_rps": "double",
        "odometry": _POSE,
        "standing_s": "double",
    },
    "RouteHint": {"frame_id": "int64", "command": "string", "distance_m": "double"},
    "TrajectoryMsg": {
        "frame_id": "int64",
        "time_s": "double",
        "origin": _POSE,
        "path_xy": "float[]",
        "speed_probabilities": "float[]",
        "waypoints_xy": "float[]",
        "probabilities": "double[]",
        "light_probabilities": "double[]",
    },
    "ControlMsg": {"throttle": "double", "brake": "double", "steer": "double", "trajectory_frame_id": "int64"},
    "ScheduleMsg": {
        "frame_id": "int64",
        "stages": "string[]",
        "places": "string[]",
        "tensors": "string[]",
        "codecs": "string[]",
        "has_fallback_at": "bool",
        "fallback_at_s": "double",
        "expected_latency_s": "double",
        "policy": "string",
        "model": "string",
        "precisions": "string[]",
        "decided_at": "string",
        "fifo": "bool",
    },
    "SpanMsg": {"stage": "string", "resource": "string", "start_s": "double", "end_s": "double", "bytes": "int64"},
    "TimelineMsg": {
        "frame_id": "int64",
        "capture_s": "double",
        "dropped": "bool",
        "ready_s": "double",
        "spans": "SpanMsg[]",
        "used_fallback": "bool",
        "bytes_up": "int64",
        "bytes_down": "int64",
        "car_j": "double",
    },
    "LinkMsg": {
        "up_bps": "double",
        "down_bps": "double",
        "rtt_s": "double",
        "loss": "double",
        "rsu": "int64",
        "available": "bool",
        "distance_m": "double",
        "line_of_sight": "bool",
        "blocking_vehicles": "int64",
        "wan_rtt_s": "double",
        "wan_bps": "double",
        "has_geometry": "bool",
        "geometry_rsu": "int64",
        "blocker_height_m": "double",
        "geometry_speed_mps": "double",
    },
    # What tensors weighed when they left their tier in this frame, one entry a (tensor, codec).
    "PayloadsMsg": {"frame_id": "int64", "tensors": "string[]", "codecs": "string[]", "bytes": "int64[]"},
    # What the world knows and the network must not: for scoring, training and replay only.
    "TruthMsg": {"frame_id": "int64", "pose": _POSE, "speed_mps": "double", "route_progress_m": "double"},
    "LabelsMsg": {
        "frame_id": "int64",
        "virtual_offset": _POSE,
        "bev_shape": "int64[]",
        "bev_bits": "bytes",
        "path_xy": "float[]",
        "target_speed_mps": "double",
        "light": "int64",
        "has_boxes": "bool",
        "boxes": "BoxMsg[]",
        "unknown_bits": "bytes",
        "manoeuvre": "int64",
        "light_distance_m": "double",
        "stop_reason": "string",
    },
    "BoxMsg": {
        "track_id": "int64",
        "type_id": "string",
        "kind": "int64",
        "x": "float",
        "y": "float",
        "z": "float",
        "yaw": "float",
        "length": "float",
        "width": "float",
        "height": "float",
        "vx": "float",
        "vy": "float",
        "visible": "float",
    },
    "InfractionMsg": {"kind": "string", "message": "string"},
}


def _build_file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="e2e_drive/drive_log.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field_name, kind) in enumerate(fields.items(), start=1):
            repeated, kind = kind.endswith("[]"), kind.removesuffix("[]")
            label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            if kind in _TYPES:
                field.type = _TYPES[kind]
            else:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    return file


# A pool of our own: the process-wide one belongs to generated code (Foxglove's, CARLA's neighbours').
_pool = DescriptorPool()
_pool.Add(_build_file())


def message_class(name: str) -> Any:
    """The class of the message `name` of the table above."""
    return GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
