"""What an actor is: its kind, its shape, and where it is. Everything in CARLA coordinates (see types.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from carla_bridge.embedded.catalogue import PHYSICS_CLASS, PROPS, VEHICLES, WALKERS
from carla_bridge.embedded.types import Label, Pose

Vec3 = tuple[float, float, float]


class ActorKind(IntEnum):
    """What an actor can do; decides which fields of `Actor` have a meaning."""

    VEHICLE = 0
    WALKER = 1
    PROP = 2
    TRAFFIC_LIGHT = 3
    SENSOR = 4
    SPECTATOR = 5
    CONTROLLER = 6  # controller.ai.walker: has a parent and no body
    SIGN = 7  # traffic.stop, traffic.speed_limit.30, ...: stays for the whole episode


class LightState(IntEnum):
    """carla.TrafficLightState."""

    RED = 0
    YELLOW = 1
    GREEN = 2
    OFF = 3


@dataclass(frozen=True)
class VehicleControl:
    """The driver's input, carla.VehicleControl."""

    throttle: float = 0.0  # 0..1
    steer: float = 0.0  # -1 (left)..1 (right)
    brake: float = 0.0  # 0..1
    hand_brake: bool = False
    reverse: bool = False
    manual_gear_shift: bool = False
    gear: int = 0  # as reported: -1 reverse, 0 neutral, 1.. forward


@dataclass(frozen=True)
class WalkerControl:
    """carla.WalkerControl."""

    direction: Vec3 = (1.0, 0.0, 0.0)  # unit vector, world
    speed: float = 0.0  # [m/s]
    jump: bool = False


@dataclass
class LightStatus:
    """One traffic light: its lamp and its clock."""

    signal_id: str
    pole_index: int
    group: int
    phase: int
    state: LightState = LightState.RED
    green_s: float = 7.0
    yellow_s: float = 2.5
    red_s: float = 1.0  # all lights of the group red, between two phases
    elapsed_s: float = 0.0  # since the lamp last changed
    frozen: bool = False


@dataclass(eq=False)
class Actor:
    """One thing in the episode. The world writes it at the end of each step; setters go through `World`."""

    id: int
    type_id: str
    kind: ActorKind
    pose: Pose  # world
    uid: int = 0  # of its blueprint
    attributes: dict[str, tuple[int, str]] = field(default_factory=dict)  # id -> (attribute type, value)
    parent_id: int = 0
    attachment: int = 0
    relative: Pose | None = None  # to the parent
    stream_id: int | None = None
    velocity: Vec3 = (0.0, 0.0, 0.0)  # [m/s] world
    angular_velocity: Vec3 = (0.0, 0.0, 0.0)  # [deg/s] world, about x, y, z
    acceleration: Vec3 = (0.0, 0.0, 0.0)  # [m/s2] world, without gravity
    extent: Vec3 = (0.0, 0.0, 0.0)  # half sizes of its box [m]; for a traffic light: of its trigger volume
    box_centre: Vec3 = (0.0, 0.0, 0.0)  # in the actor's frame
    box_rotation: Vec3 = (0.0, 0.0, 0.0)  # pitch, yaw, roll in the actor's frame (only lights' trigger volumes)
    semantic_tags: tuple[int, ...] = ()
    prototype: int | None = None  # index into the renderer's prototypes
    tint: Vec3 = (1.0, 1.0, 1.0)
    control: VehicleControl = field(default_factory=VehicleControl)  # vehicles
    light_flags: int = 0  # vehicles: carla.VehicleLightState
    speed_limit_kmh: float = 0.0  # vehicles
    at_light_id: int = 0  # vehicles: the light whose trigger volume holds its front, 0 = none
    at_light_state: LightState = LightState.GREEN  # vehicles: that light's lamp; green where there is no light
    walker: WalkerControl = field(default_factory=WalkerControl)  # walkers
    light: LightStatus | None = None  # traffic lights
    sign_id: str = ""  # signs: of the OpenDRIVE signal

    @property
    def at_traffic_light(self) -> bool:
        """Whether a light holds this vehicle back: it is at one, and the lamp is not green."""
        return self.at_light_id != 0 and self.at_light_state != LightState.GREEN

    def attribute(self, name: str, default: str = "") -> str:
        """The value of one blueprint attribute, as the string that the wire carries."""
        return self.attributes[name][1] if name in self.attributes else default


@dataclass(frozen=True)
class Shape:
    """The bounding box of a prototype: its middle in the prototype's own frame, and its half sizes."""

    centre: Vec3
    extent: Vec3


# Which mesh stands for a blueprint; `prototype_name` falls back by the blueprint's family.
PROTOTYPE_OF: dict[str, str] = {
    type_id: model.prototype for family in (VEHICLES, WALKERS, PROPS) for type_id, model in family.items()
}
_FAMILY_PROTOTYPE = {"vehicle.": "car_sedan", "walker.": "pedestrian", "static.prop.": "box"}
LIGHT_PROTOTYPE = {
    LightState.RED: "light_red",
    LightState.YELLOW: "light_yellow",
    LightState.GREEN: "light_green",
    LightState.OFF: "light_off",
}
# Labels of a mesh: the thing itself first, then who rides on it. Not here: vehicles are cars, props are dynamic.
_TAGS: dict[str, tuple[Label, ...]] = {
    "truck": (Label.TRUCK,),
    "hgv": (Label.TRUCK,),
    "firetruck": (Label.TRUCK,),
    "pickup": (Label.TRUCK,),
    "bus": (Label.BUS,),
    "motorbike": (Label.MOTORCYCLE, Label.RIDER),
    "scooter": (Label.MOTORCYCLE, Label.RIDER),
    "bicycle": (Label.BICYCLE, Label.RIDER),
    "street_sign": (Label.TRAFFIC_SIGNS,),
    "chain_barrier": (Label.FENCES,),
    **dict.fromkeys(
        ("bench", "billboard", "cabinet", "fountain", "frame", "hut", "pergola", "post", "shelter", "slide", "stall"),
        (Label.STATIC,),
    ),
}
_KIND_BY_PREFIX = {
    "vehicle.": ActorKind.VEHICLE,
    "walker.": ActorKind.WALKER,
    "static.": ActorKind.PROP,
    "util.": ActorKind.PROP,  # util.actor.empty: a place that moves, without a body
    "sensor.": ActorKind.SENSOR,
    "controller.": ActorKind.CONTROLLER,
    "traffic.traffic_light": ActorKind.TRAFFIC_LIGHT,
    "traffic.": ActorKind.SIGN,
    "spectator": ActorKind.SPECTATOR,
}


def kind_of(type_id: str) -> ActorKind:
    """The kind of a blueprint id; ValueError for one that this world cannot hold."""
    for prefix, kind in _KIND_BY_PREFIX.items():
        if type_id.startswith(prefix):
            return kind
    raise ValueError(f"no such kind of actor: {type_id!r}")


def prototype_name(type_id: str) -> str | None:
    """The mesh that stands for a blueprint, None for what is not seen (sensors, triggers)."""
    if type_id in PROTOTYPE_OF:
        return PROTOTYPE_OF[type_id]
    for prefix, name in _FAMILY_PROTOTYPE.items():
        if type_id.startswith(prefix):
            return name
    return None


def semantic_tags_of(type_id: str) -> tuple[int, ...]:
    """CARLA's labels of an actor's pixels."""
    name = prototype_name(type_id)
    if name is None:
        return ()
    if type_id.startswith("walker."):
        return (int(Label.PEDESTRIANS),)
    usual = Label.DYNAMIC if type_id.startswith("static.") else Label.CAR
    return tuple(int(label) for label in _TAGS.get(name, (usual,)))


def extent_of(type_id: str) -> Vec3 | None:
    """Half sizes [m] of a blueprint's bounding box; None for a blueprint that the catalogue does not hold."""
    model = VEHICLES.get(type_id) or WALKERS.get(type_id) or PROPS.get(type_id)
    if model is None:
        return None
    length, width, height = model.size
    return (length / 2.0, width / 2.0, height / 2.0)


def physics_class(type_id: str) -> str:
    """Name of the class of vehicle, which decides its mass and power (dynamics.py)."""
    name = prototype_name(type_id) or "car_sedan"
    return PHYSICS_CLASS.get(name, name)


def colour_of_type(type_id: str) -> str:
    """The colour "r,g,b" of what has no colour attribute: walkers' clothes, props; empty where the mesh says it all."""
    model = WALKERS.get(type_id) or PROPS.get(type_id)
    return "" if model is None else model.colour


def tint_of(colour: str) -> Vec3:
    """An attribute value "r,g,b" (0..255 each) as 0..1; white when it is empty."""
    if not colour:
        return (1.0, 1.0, 1.0)
    red, green, blue = (int(part) / 255.0 for part in colour.split(","))
    return (red, green, blue)


def load_shapes() -> Mapping[str, Shape]:
    """Bounding boxes of the prototype meshes, in the order of the renderer's prototypes."""
    from carla_bridge.embedded.towns.prototypes import PROTOTYPES, prototype_extent, prototype_meshes

    shapes: dict[str, Shape] = {}
    for name, mesh in zip(PROTOTYPES, prototype_meshes(), strict=True):
        x, y, z = ((mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2.0).tolist()
        shapes[name] = Shape((x, y, z), prototype_extent(name))
    return shapes


def compose(parent: Pose, relative: Pose) -> Pose:
    """World pose of what is mounted at `relative` on `parent`: the product of their matrices.

    Plain floats instead of 4x4 arrays: every sensor needs it on every tick.
    """
    a, b = _rotation(parent), _rotation(relative)
    tx, ty, tz = relative.x, relative.y, relative.z
    forward = [a[i][0] * b[0][0] + a[i][1] * b[1][0] + a[i][2] * b[2][0] for i in range(3)]
    bottom = [sum(a[2][k] * b[k][j] for k in range(3)) for j in (1, 2)]
    # At a pitch of 90 degrees yaw and roll turn about one axis; CARLA's own decomposition is not unique there either.
    pitch = math.degrees(math.asin(min(1.0, max(-1.0, forward[2]))))
    return Pose(
        parent.x + a[0][0] * tx + a[0][1] * ty + a[0][2] * tz,
        parent.y + a[1][0] * tx + a[1][1] * ty + a[1][2] * tz,
        parent.z + a[2][0] * tx + a[2][1] * ty + a[2][2] * tz,
        pitch,
        math.degrees(math.atan2(forward[1], forward[0])),
        math.degrees(math.atan2(-bottom[0], bottom[1])),
    )


def relative_to(parent: Pose, pose: Pose) -> Pose:
    """The pose seen from `parent`: `compose(parent, relative_to(parent, pose)) == pose`."""
    a, b = _rotation(parent), _rotation(pose)
    dx, dy, dz = pose.x - parent.x, pose.y - parent.y, pose.z - parent.z
    m = [[sum(a[k][i] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    x, y, z = (a[0][i] * dx + a[1][i] * dy + a[2][i] * dz for i in range(3))
    pitch = math.degrees(math.asin(min(1.0, max(-1.0, m[2][0]))))
    yaw, roll = math.degrees(math.atan2(m[1][0], m[0][0])), math.degrees(math.atan2(-m[2][1], m[2][2]))
    return Pose(x, y, z, pitch, yaw, roll)


def _rotation(pose: Pose) -> tuple[Vec3, Vec3, Vec3]:
    """The rotation part of `Pose.matrix` as rows of plain floats."""
    yaw, pitch, roll = math.radians(pose.yaw), math.radians(pose.pitch), math.radians(pose.roll)
    cy, sy, cp, sp, cr, sr = (
        math.cos(yaw),
        math.sin(yaw),
        math.cos(pitch),
        math.sin(pitch),
        math.cos(roll),
        math.sin(roll),
    )
    return (
        (cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr),
        (cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr),
        (sp, -cp * sr, cp * cr),
    )
