"""The blueprint library: what can be spawned, and with which attributes.

Ids, attribute names and defaults are those of CARLA 0.9.16's blueprint library reference, so that scripts written for
CARLA find what they look for; only things that this world really simulates are offered.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from carla_bridge.embedded.actors import PROTOTYPE_OF
from carla_bridge.embedded.messages import ActorDefinition, AttributeDefinition, AttributeType

_COLOURS = ("180,180,185", "20,20,24", "140,20,22", "24,52,110", "235,235,230", "92,98,104", "20,72,48", "196,128,32")
_DRIVERS = tuple(str(number) for number in range(1, 5))


def _text(
    name: str, value: str, *recommended: str, modifiable: bool = True, restricted: bool = False
) -> AttributeDefinition:
    return AttributeDefinition(name, AttributeType.STRING, value, recommended, modifiable, restricted)


def _integer(name: str, value: int, *recommended: int, modifiable: bool = True) -> AttributeDefinition:
    return AttributeDefinition(name, AttributeType.INT, str(value), tuple(str(r) for r in recommended), modifiable)


def _real(name: str, value: float, *recommended: float) -> AttributeDefinition:
    return AttributeDefinition(name, AttributeType.FLOAT, str(value), tuple(str(r) for r in recommended))


def _flag(name: str, value: bool, *, modifiable: bool = True) -> AttributeDefinition:
    return AttributeDefinition(name, AttributeType.BOOL, str(value).lower(), (), modifiable)


def _fixed(name: str, value: str) -> AttributeDefinition:
    return _text(name, value, value, modifiable=False)


# ---------------------------------------------------------------------------------------------------------- vehicles


@dataclass(frozen=True)
class _VehicleKind:
    base_type: str
    special_type: str = ""


_BASE_TYPE = {"truck": "truck", "van": "van"}
_KIND = {
    "vehicle.ford.ambulance": _VehicleKind("van", "emergency"),
    "vehicle.carlamotors.firetruck": _VehicleKind("truck", "emergency"),
    "vehicle.mitsubishi.fusorosa": _VehicleKind("bus"),
}


def _paint(type_id: str) -> str:
    """A default colour of its own for each model, so that traffic does not come in one colour."""
    return _COLOURS[sorted(PROTOTYPE_OF).index(type_id) % len(_COLOURS)]


def _vehicle(type_id: str, prototype: str) -> tuple[AttributeDefinition, ...]:
    kind = _KIND.get(type_id, _VehicleKind(_BASE_TYPE.get(prototype, "car")))
    generation = "2" if type_id.endswith(("2020", "2021")) else "1"
    return (
        _text("role_name", "autopilot", "autopilot", "scenario", "ego_vehicle", "hero"),
        AttributeDefinition("color", AttributeType.COLOUR, _paint(type_id), _COLOURS),
        AttributeDefinition("driver_id", AttributeType.INT, _DRIVERS[0], _DRIVERS, True, True),
        _flag("sticky_control", True),
        _flag("terramechanics", False),
        _fixed("object_type", ""),
        _integer("number_of_wheels", 4, 4, modifiable=False),
        _integer("generation", int(generation), int(generation), modifiable=False),
        _fixed("base_type", kind.base_type),
        _fixed("special_type", kind.special_type),
        _flag("has_dynamic_doors", False, modifiable=False),
        _flag("has_lights", True, modifiable=False),
        _text("ros_name", type_id),
    )


# ------------------------------------------------------------------------------------------------- walkers and props


def _walker(number: int) -> tuple[AttributeDefinition, ...]:
    return (
        _text("role_name", "pedestrian", "pedestrian"),
        _flag("is_invincible", True),
        # The client's example scripts read the three as: standing, walking, running. [m/s]
        AttributeDefinition("speed", AttributeType.FLOAT, "0.0", ("0.0", "1.43", "2.8")),
        _fixed("gender", "female" if number % 2 else "male"),
        _fixed("age", "adult"),
        _integer("generation", 1, 1, modifiable=False),
        _flag("can_use_wheelchair", False, modifiable=False),
        _text("ros_name", f"walker.pedestrian.{number:04d}"),
    )


_PROPS = ("box01", "box02", "box03", "container", "streetbarrier", "trafficcone01", "constructioncone", "mailbox")


def _prop(name: str) -> tuple[AttributeDefinition, ...]:
    return (
        _text("role_name", "prop", "prop"),
        _fixed("size", "medium"),
        _text("ros_name", f"static.prop.{name}"),
    )


# ----------------------------------------------------------------------------------------------------------- sensors


def _sensor(type_id: str, *own: AttributeDefinition, ticks: bool = True) -> tuple[AttributeDefinition, ...]:
    common = (_text("role_name", "front", "front"), _text("ros_name", type_id))
    return common + ((_real("sensor_tick", 0.0),) if ticks else ()) + own


_FRAME = (_integer("image_size_x", 800), _integer("image_size_y", 600), _real("fov", 90.0))
# Not in CARLA: 4 smooths the edges at about twice the price of a picture.
_SMOOTHING = AttributeDefinition("samples", AttributeType.INT, "4", ("1", "4"), True, True)
_GNSS_NOISE = tuple(
    _real(f"noise_{axis}_{kind}", 0.0) for axis, kind in itertools.product(("alt", "lat", "lon"), ("bias", "stddev"))
)
_IMU_NOISE = (
    *(_real(f"noise_accel_stddev_{axis}", 0.0) for axis in "xyz"),
    *(_real(f"noise_gyro_{kind}_{axis}", 0.0) for kind, axis in itertools.product(("bias", "stddev"), "xyz")),
)
_SENSORS: dict[str, tuple[AttributeDefinition, ...]] = {
    "sensor.camera.rgb": _sensor("sensor.camera.rgb", *_FRAME, _SMOOTHING),
    **{
        f"sensor.camera.{kind}": _sensor(f"sensor.camera.{kind}", *_FRAME)
        for kind in ("depth", "semantic_segmentation", "instance_segmentation")
    },
    "sensor.other.gnss": _sensor("sensor.other.gnss", _integer("noise_seed", 0), *_GNSS_NOISE),
    "sensor.other.imu": _sensor("sensor.other.imu", _integer("noise_seed", 0), *_IMU_NOISE),
    "sensor.other.collision": _sensor("sensor.other.collision", ticks=False),
    "sensor.other.lane_invasion": _sensor("sensor.other.lane_invasion", ticks=False),
}
CLIENT_SIDE_SENSORS = frozenset({"sensor.other.lane_invasion"})  # computed in the client: no stream


def _entries() -> Iterator[tuple[str, tuple[AttributeDefinition, ...]]]:
    for type_id, prototype in PROTOTYPE_OF.items():
        yield type_id, _vehicle(type_id, prototype)
    for number in range(1, 5):
        yield f"walker.pedestrian.{number:04d}", _walker(number)
    for name in _PROPS:
        yield f"static.prop.{name}", _prop(name)
    yield from _SENSORS.items()


@lru_cache(maxsize=1)
def library() -> dict[str, ActorDefinition]:
    """Blueprints by id; uids count from 1 in a fixed order."""
    return {
        type_id: ActorDefinition(uid, type_id, type_id.replace(".", ","), attributes)
        for uid, (type_id, attributes) in enumerate(_entries(), start=1)
    }


def complete(type_id: str, given: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
    """A spawn request's attributes, with the blueprint's defaults where the client sent none. KeyError: no such id."""
    defaults = {attribute.id: (int(attribute.type), attribute.value) for attribute in library()[type_id].attributes}
    return {**defaults, **given}
