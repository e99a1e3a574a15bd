"""CARLA 0.9.16's wire structures: MessagePack arrays for RPC, packed little-endian bytes for streams.

`pack_*` makes what is sent, `unpack_*` reads what a client sent. A structure is an array of its fields in CARLA's
declared order (LibCarla/source/carla/rpc, geom and sensor of the public carla repository document that order). The
client crashes on a wrong stream payload, so every layout here is checked byte by byte in the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np

from carla_bridge.embedded.types import Box, Pose, Weather

Wire = Any  # what msgpack packs and unpacks
Vector = Sequence[float]

MAX_NUMBER = 1e9  # of any quantity
MAX_COORDINATE = 1e6  # [m] or [deg]
MAX_TEXT = 4096
MAX_GEAR = 100
MAX_ATTRIBUTES = 256


class SensorType(IntEnum):
    """Index in CARLA 0.9.16's sensor registry: tells the client how to read a stream message."""

    COLLISION = 0
    DEPTH = 1
    NORMALS = 2
    DVS = 3
    GNSS = 4
    IMU = 5
    OBSTACLE = 7
    FLOW = 8
    RADAR = 9
    SEMANTIC_LIDAR = 10
    LIDAR = 11
    RGB = 13
    SEMANTIC = 14
    INSTANCE = 15
    SNAPSHOT = 17


class AttributeType(IntEnum):
    BOOL = 1
    INT = 2
    FLOAT = 3
    STRING = 4
    COLOUR = 5


# ------------------------------------------------------------------------------------------------- RPC structures


def pack_vector(v: Vector) -> Wire:
    return [float(v[0]), float(v[1]), float(v[2])]


def number(value: Any, most: float = MAX_NUMBER) -> float:
    """A finite number within -most..most; the one place where what clients send is checked for it."""
    result = float(value)
    if not -most <= result <= most:  # not-a-number too
        raise ValueError(f"a number between {-most:g} and {most:g} is needed, received {result}")
    return result


def whole(value: Any, least: int = 0, most: int = 2**32 - 1) -> int:
    """An integer within least..most."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"a whole number between {least} and {most} is needed, received {str(value)[:40]}")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"a text of at most {MAX_TEXT} characters is needed, received {str(value)[:40]!r}")
    return value


def unpack_vector(wire: Wire) -> tuple[float, float, float]:
    x, y, z = wire[:3]
    return number(x), number(y), number(z)


def pack_pose(pose: Pose) -> Wire:
    return [[float(pose.x), float(pose.y), float(pose.z)], [float(pose.pitch), float(pose.yaw), float(pose.roll)]]


def unpack_pose(wire: Wire) -> Pose:
    (x, y, z), (pitch, yaw, roll) = wire[0][:3], wire[1][:3]
    far = MAX_COORDINATE
    place = number(x, far), number(y, far), number(z, far)
    return Pose(*place, number(pitch, far), number(yaw, far), number(roll, far))


def unpack_location(wire: Wire) -> tuple[float, float, float]:
    """A place in the world; a vector may be larger."""
    x, y, z = wire[:3]
    return number(x, MAX_COORDINATE), number(y, MAX_COORDINATE), number(z, MAX_COORDINATE)


def pack_box(centre: Pose, extent: Vector, actor_id: int = 0) -> Wire:
    location, rotation = pack_pose(centre)
    return [location, pack_vector(extent), rotation, actor_id]


def pack_level_box(box: Box) -> Wire:
    return pack_box(box.centre, box.extent)


def pack_token(token: bytes) -> Wire:
    return [token]


def unpack_vehicle_control(wire: Wire) -> tuple[float, float, float, bool, bool, bool, int]:
    """Throttle, steer, brake, hand brake, reverse, manual gear shift, gear; the world limits the first three."""
    throttle, steer, brake, hand_brake, reverse, manual, gear = wire[:7]
    if type(gear) is not int or not -MAX_GEAR <= gear <= MAX_GEAR:
        raise ValueError(f"gear {str(gear)[:40]}")
    return float(throttle), float(steer), float(brake), bool(hand_brake), bool(reverse), bool(manual), gear


@dataclass(frozen=True)
class EpisodeSettings:
    """carla.WorldSettings, in wire order."""

    synchronous_mode: bool = False
    no_rendering_mode: bool = False
    fixed_delta_seconds: float | None = None  # [s]
    substepping: bool = True
    max_substep_delta_time: float = 0.01  # [s]
    max_substeps: int = 10
    max_culling_distance: float = 0.0  # [m]
    deterministic_ragdolls: bool = True
    tile_stream_distance: float = 3000.0  # [m]
    actor_active_distance: float = 2000.0  # [m]
    spectator_as_ego: bool = True

    def pack(self) -> Wire:
        wire = list(astuple(self))
        wire[2] = [False] if self.fixed_delta_seconds is None else [True, float(self.fixed_delta_seconds)]
        return wire

    @staticmethod
    def unpack(wire: Wire) -> EpisodeSettings:
        """A shorter array leaves the last fields at their defaults. ValueError for what is no settings."""
        defaults = astuple(EpisodeSettings())
        values = [*wire[: len(defaults)], *defaults[len(wire) :]]
        # CARLA reads a fixed step of 0 as "variable".
        values[2] = (number(values[2][1]) or None) if values[2] and values[2][0] else None
        checked: list[Any] = [_like(default, value) for default, value in zip(defaults, values, strict=True)]
        return EpisodeSettings(*checked)


def _like(default: object, value: Any) -> object:
    """A value of the default's type; the client's reader insists on it when it is told its own settings."""
    if value is None or isinstance(default, bool):
        return value if value is None else bool(value)
    return whole(value, -(2**31), 2**31 - 1) if isinstance(default, int) else number(value)


def pack_weather(weather: Weather) -> Wire:
    return list(astuple(weather))


def unpack_weather(wire: Wire) -> Weather:
    return Weather(*(number(value) for value in wire[: len(fields(Weather))]))


@dataclass(frozen=True)
class StreetLight:
    """carla.rpc.LightState, in wire order; group 2 is street lights."""

    id: int
    location: tuple[float, float, float]
    intensity: float
    group: int
    colour: tuple[int, int, int]
    active: bool

    def pack(self) -> Wire:
        return [self.id, pack_vector(self.location), self.intensity, self.group, list(self.colour), self.active]

    @staticmethod
    def unpack(wire: Wire) -> StreetLight:
        light_id, location, intensity, group, colour, active = wire[:6]
        red, green, blue = (whole(channel, 0, 255) for channel in colour[:3])
        place = unpack_location(location)
        return StreetLight(
            whole(light_id), place, number(intensity), whole(group, 0, 255), (red, green, blue), bool(active)
        )


@dataclass(frozen=True)
class AttributeDefinition:
    """One attribute of a blueprint; every value travels as text."""

    id: str
    type: AttributeType
    value: str
    recommended: tuple[str, ...] = ()
    modifiable: bool = True
    restricted: bool = False  # only recommended values are accepted

    def pack(self) -> Wire:
        return [self.id, int(self.type), self.value, list(self.recommended), self.modifiable, self.restricted]


@dataclass(frozen=True)
class ActorDefinition:
    """A blueprint."""

    uid: int
    id: str
    tags: str
    attributes: tuple[AttributeDefinition, ...]

    def pack(self) -> Wire:
        return [self.uid, self.id, self.tags, [attribute.pack() for attribute in self.attributes]]


@dataclass(frozen=True)
class ActorDescription:
    """What a client asks to be spawned."""

    uid: int
    id: str
    attributes: dict[str, tuple[int, str]]

    @staticmethod
    def unpack(wire: Wire) -> ActorDescription:
        uid, type_id, attributes = wire[:3]
        if len(attributes) > MAX_ATTRIBUTES:
            raise ValueError(f"{len(attributes)} attributes are too many")
        known = {text(name): (whole(kind, 0, 255), text(value)) for name, kind, value in attributes}
        return ActorDescription(whole(uid), text(type_id), known)


def pack_actor(
    actor_id: int,
    parent_id: int,
    uid: int,
    type_id: str,
    attributes: Mapping[str, tuple[int, str]],
    box_centre: Vector,
    extent: Vector,
    box_rotation: Vector,
    semantic_tags: Iterable[int],
    token: bytes,
) -> Wire:
    description = [uid, type_id, [[name, int(kind), str(value)] for name, (kind, value) in attributes.items()]]
    box = [pack_vector(box_centre), pack_vector(extent), pack_vector(box_rotation), actor_id]
    return [actor_id, parent_id, description, box, bytes(semantic_tags), token]


# ----------------------------------------------------------------------------------------------- stream structures

SENSOR_HEADER = struct.Struct("<QQd6f")
IMAGE_HEADER = struct.Struct("<IIf")
EPISODE_HEADER = struct.Struct("<Qdf3iI")
ACTOR_STATE = struct.Struct("<IB15f")  # id, state, transform, velocity, angular velocity, acceleration
UNION_BYTES = 54
# throttle, steer, brake, hand brake, reverse, manual gear, gear, speed limit, lights, at light, light id, failure
VEHICLE_STATE = struct.Struct("<3f3?if2BIB24x")
WALKER_STATE = struct.Struct("<4f?37x")
# The same for many actors at once: the union's members lie over each other.
_CAR = np.dtype(
    [
        ("pedals", "<f4", 3),
        ("switches", "u1", 3),
        ("gear", "<i4"),
        ("limit", "<f4"),
        ("light_state", "u1"),
        ("at_light", "u1"),
        ("light_id", "<u4"),
        ("failure", "u1"),
    ]
)
_WALKER = np.dtype([("walk", "<f4", 4), ("jump", "u1")])
ACTOR_RECORD = np.dtype(
    {
        "names": ["id", "state", "motion", "vehicle", "walker"],
        "formats": ["<u4", "u1", ("<f4", 15), _CAR, _WALKER],
        "offsets": [0, 4, 5, 65, 65],
        "itemsize": ACTOR_STATE.size + UNION_BYTES,
    }
)
LIGHT_STATE = struct.Struct("<32s4fI?B")
SIGN_STATE = struct.Struct("<32s22x")
NO_STATE = bytes(UNION_BYTES)
ACTIVE = 1
STATE_BYTES = 4  # at the end of EPISODE_HEADER: the simulation state
MAP_CHANGE = 1  # its bits
LIGHT_UPDATE = 2  # street lights changed: clients ask for them again


def sensor_header(sensor: SensorType, frame: int, timestamp_s: float, pose: Pose) -> bytes:
    return SENSOR_HEADER.pack(sensor, frame, timestamp_s, pose.x, pose.y, pose.z, pose.pitch, pose.yaw, pose.roll)


def image_header(width: int, height: int, fov_deg: float) -> bytes:
    return IMAGE_HEADER.pack(width, height, fov_deg)


def snapshot_header(
    frame: int, timestamp_s: float, episode_id: int, wall_s: float, delta_s: float, state: int
) -> bytes:
    return sensor_header(SensorType.SNAPSHOT, frame, timestamp_s, Pose()) + EPISODE_HEADER.pack(
        episode_id, wall_s, delta_s, 0, 0, 0, state
    )


def actor_state(
    actor_id: int, pose: Pose, velocity: Vector, angular: Vector, acceleration: Vector, union: bytes
) -> bytes:
    return (
        ACTOR_STATE.pack(
            actor_id,
            ACTIVE,
            pose.x,
            pose.y,
            pose.z,
            pose.pitch,
            pose.yaw,
            pose.roll,
            *velocity,
            *angular,
            *acceleration,
        )
        + union
    )


def light_union(
    signal_id: str,
    green_s: float,
    yellow_s: float,
    red_s: float,
    elapsed_s: float,
    pole_index: int,
    frozen: bool,
    state: int,
) -> bytes:
    # The client reads the id as a C string in 32 bytes.
    return LIGHT_STATE.pack(signal_id.encode()[:31], green_s, yellow_s, red_s, elapsed_s, pole_index, frozen, state)


def sign_union(signal_id: str) -> bytes:
    return SIGN_STATE.pack(signal_id.encode()[:31])
