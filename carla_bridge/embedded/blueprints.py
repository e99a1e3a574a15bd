"""The blueprint library: what can be spawned, and with which attributes.

Ids, attribute names and defaults are those of CARLA 0.9.16's blueprint library reference, so that scripts written for
CARLA find what they look for; only things that this world really simulates are offered.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

from carla_bridge.embedded.catalogue import PROPS, VEHICLES, WALKERS, PropModel, VehicleModel, WalkerModel
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


def _colours(model: VehicleModel) -> tuple[str, ...]:
    """What is in uniform comes in that colour only."""
    return (model.colour,) if model.special_type in ("emergency", "taxi") else _COLOURS


def _paint(type_id: str, model: VehicleModel) -> str:
    """A default colour of its own for each model, so that traffic does not come in one colour."""
    return model.colour or _COLOURS[sorted(VEHICLES).index(type_id) % len(_COLOURS)]


def _vehicle(type_id: str, model: VehicleModel) -> tuple[AttributeDefinition, ...]:
    return (
        _text("role_name", "autopilot", "autopilot", "scenario", "ego_vehicle", "hero"),
        AttributeDefinition("color", AttributeType.COLOUR, _paint(type_id, model), _colours(model)),
        AttributeDefinition("driver_id", AttributeType.INT, _DRIVERS[0], _DRIVERS, True, True),
        _flag("sticky_control", True),
        _flag("terramechanics", False),
        _fixed("object_type", ""),
        _integer("number_of_wheels", model.wheels, model.wheels, modifiable=False),
        _integer("generation", model.generation, model.generation, modifiable=False),
        _fixed("base_type", model.base_type),
        _fixed("special_type", model.special_type),
        _flag("has_dynamic_doors", model.has_doors, modifiable=False),
        _flag("has_lights", model.has_lights, modifiable=False),
        _text("ros_name", type_id),
    )


# ------------------------------------------------------------------------------------------------- walkers and props


def _walker(type_id: str, model: WalkerModel) -> tuple[AttributeDefinition, ...]:
    return (
        _text("role_name", "pedestrian", "pedestrian"),
        _flag("is_invincible", True),
        # The client's example scripts read the three as: standing, walking, running. [m/s]
        AttributeDefinition("speed", AttributeType.FLOAT, "0.0", ("0.0", "1.43", "2.8")),
        _fixed("gender", model.gender),
        _fixed("age", model.age),
        _integer("generation", model.generation, model.generation, modifiable=False),
        _flag("can_use_wheelchair", False, modifiable=False),
        _text("ros_name", type_id),
    )


_SIZES = ((0.2, "tiny"), (0.6, "small"), (1.5, "medium"), (3.0, "big"), (math.inf, "huge"))  # largest edge up to [m]


def _prop(type_id: str, model: PropModel) -> tuple[AttributeDefinition, ...]:
    return (
        _text("role_name", "prop", "prop"),
        _fixed("size", next(word for limit, word in _SIZES if max(model.size) <= limit)),
        _text("ros_name", type_id),
    )


_FRICTION_TRIGGER = (
    _text("role_name", "front", "front"),
    _real("friction", 3.5),
    *(_real(f"extent_{axis}", 1.0) for axis in "xyz"),  # half sizes [cm]: CARLA, "How to add friction triggers"
)
_WITHOUT_BODY: dict[str, tuple[AttributeDefinition, ...]] = {
    "static.trigger.friction": _FRICTION_TRIGGER,
    "controller.ai.walker": (_text("role_name", "default"),),
    "util.actor.empty": (_text("role_name", "default"),),
}


# ----------------------------------------------------------------------------------------------------------- sensors


def _sensor(type_id: str, *own: AttributeDefinition, ticks: bool = True) -> tuple[AttributeDefinition, ...]:
    common = (_text("role_name", "front", "front"), _text("ros_name", type_id))
    return common + ((_real("sensor_tick", 0.0),) if ticks else ()) + own


_FRAME = (
    _integer("image_size_x", 800),
    _integer("image_size_y", 600),
    _real("fov", 90.0),
    _real("lens_circle_falloff", 5.0),
    _real("lens_circle_multiplier", 0.0),
    _real("lens_k", -1.0),
    _real("lens_kcube", 0.0),
    _real("lens_x_size", 0.08),
    _real("lens_y_size", 0.08),
)
# Of these only exposure_compensation, gamma and, with manual exposure, iso, shutter_speed and fstop change a picture.
_EXPOSURE = (
    _flag("enable_postprocess_effects", True),
    _text("exposure_mode", "histogram", "histogram", "manual"),
    *(
        _real(name, value)
        for name, value in {
            "exposure_compensation": 0.0,
            "gamma": 2.2,
            "iso": 100.0,
            "shutter_speed": 200.0,
            "fstop": 1.4,
            "min_fstop": 1.2,
            "exposure_min_bright": 10.0,
            "exposure_max_bright": 12.0,
            "exposure_speed_up": 3.0,
            "exposure_speed_down": 1.0,
            "calibration_constant": 16.0,
            "bloom_intensity": 0.675,
            "lens_flare_intensity": 0.1,
            "focal_distance": 1000.0,
            "blur_amount": 1.0,
            "blur_radius": 0.0,
            "motion_blur_intensity": 0.45,
            "motion_blur_max_distortion": 0.35,
            "motion_blur_min_object_screen_size": 0.1,
            "slope": 0.88,
            "toe": 0.55,
            "shoulder": 0.26,
            "black_clip": 0.0,
            "white_clip": 0.04,
            "temp": 6500.0,
            "tint": 0.0,
            "chromatic_aberration_intensity": 0.0,
            "chromatic_aberration_offset": 0.0,
        }.items()
    ),
    _integer("blade_count", 5),
)
# Not in CARLA: 4 smooths the edges at about twice the price of a picture.
_SMOOTHING = AttributeDefinition("samples", AttributeType.INT, "4", ("1", "4"), True, True)
_EVENTS = (
    _real("positive_threshold", 0.3),
    _real("negative_threshold", 0.3),
    _real("sigma_positive_threshold", 0.0),
    _real("sigma_negative_threshold", 0.0),
    _integer("refractory_period_ns", 0),
    _flag("use_log", True),
    _real("log_eps", 0.001),
)
_GNSS_NOISE = tuple(
    _real(f"noise_{axis}_{kind}", 0.0) for axis, kind in itertools.product(("alt", "lat", "lon"), ("bias", "stddev"))
)
_IMU_NOISE = (
    *(_real(f"noise_accel_stddev_{axis}", 0.0) for axis in "xyz"),
    *(_real(f"noise_gyro_{kind}_{axis}", 0.0) for kind, axis in itertools.product(("bias", "stddev"), "xyz")),
)
_LIDAR = (
    _integer("channels", 32),
    _real("range", 10.0),
    _integer("points_per_second", 56000),
    _real("rotation_frequency", 10.0),
    _real("upper_fov", 10.0),
    _real("lower_fov", -30.0),
    _real("horizontal_fov", 360.0),
)
_LIDAR_LOSSES = (
    _real("atmosphere_attenuation_rate", 0.004),
    _integer("noise_seed", 0),
    _real("dropoff_general_rate", 0.45),
    _real("dropoff_intensity_limit", 0.8),
    _real("dropoff_zero_intensity", 0.4),
    _real("noise_stddev", 0.0),
)
_RADAR = (
    _real("horizontal_fov", 30.0),
    _real("vertical_fov", 30.0),
    _real("range", 100.0),
    _integer("points_per_second", 1500),
    _integer("noise_seed", 0),
)
_OBSTACLE = (
    _real("distance", 5.0),
    _real("hit_radius", 0.5),
    _flag("only_dynamics", False),
    _flag("debug_linetrace", False),
)
_SENSORS: dict[str, tuple[AttributeDefinition, ...]] = {
    "sensor.camera.rgb": _sensor("sensor.camera.rgb", *_FRAME, *_EXPOSURE, _SMOOTHING),
    **{
        f"sensor.camera.{kind}": _sensor(f"sensor.camera.{kind}", *_FRAME)
        for kind in ("depth", "semantic_segmentation", "instance_segmentation", "normals", "optical_flow")
    },
    "sensor.camera.dvs": _sensor("sensor.camera.dvs", *_FRAME, *_EXPOSURE, *_EVENTS),
    "sensor.other.gnss": _sensor("sensor.other.gnss", _integer("noise_seed", 0), *_GNSS_NOISE),
    "sensor.other.imu": _sensor("sensor.other.imu", _integer("noise_seed", 0), *_IMU_NOISE),
    "sensor.lidar.ray_cast": _sensor("sensor.lidar.ray_cast", *_LIDAR, *_LIDAR_LOSSES),
    "sensor.lidar.ray_cast_semantic": _sensor("sensor.lidar.ray_cast_semantic", *_LIDAR),
    "sensor.other.radar": _sensor("sensor.other.radar", *_RADAR),
    "sensor.other.obstacle": _sensor("sensor.other.obstacle", *_OBSTACLE),
    "sensor.other.collision": _sensor("sensor.other.collision", ticks=False),
    "sensor.other.lane_invasion": _sensor("sensor.other.lane_invasion", ticks=False),
}
CLIENT_SIDE_SENSORS = frozenset({"sensor.other.lane_invasion"})  # computed in the client: no stream


def _entries() -> Iterator[tuple[str, tuple[AttributeDefinition, ...]]]:
    for type_id, vehicle in VEHICLES.items():
        yield type_id, _vehicle(type_id, vehicle)
    for type_id, walker in WALKERS.items():
        yield type_id, _walker(type_id, walker)
    for type_id, prop in PROPS.items():
        yield type_id, _prop(type_id, prop)
    yield from _WITHOUT_BODY.items()
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
