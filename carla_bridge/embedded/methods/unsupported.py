"""Calls of the 0.9.16 client that this world cannot serve: each is answered with a sentence that says so. A module that
does serve one of them takes precedence (MethodTable.fill).

The client turns the sentence into RuntimeError for the calls it waits for; it drops the answers of the others, so those
are told once in the server's log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from carla_bridge.embedded.once import Once
from carla_bridge.embedded.rpc import Call, CarlaError, Envelope, Method, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

log = logging.getLogger(__name__)
methods = MethodTable()

WAITED_FOR_VALUES = (
    "get_ackermann_controller_settings",
    "get_telemetry_data",
    "get_wheel_pitch_angle",
    "get_gbuffer_token",
    "get_navigation_mesh",
)
WAITED_FOR_VOIDS = (
    "apply_color_texture_to_objects",
    "apply_float_color_texture_to_objects",
    "enable_gbuffers",
    "set_ignored_vehicles",
    "console_command",
)
NOT_WAITED_FOR = (
    "add_actor_force",
    "add_actor_angular_impulse",
    "add_actor_impulse_at_location",
    "add_actor_force_at_location",
    "apply_ackermann_control_to_vehicle",
    "apply_ackermann_controller_settings",
    "set_actor_dead",
    "set_wheel_steer_direction",
    "set_wheel_pitch_angle",
    "set_bones_transform",
    "blend_pose",
    "get_pose_from_animation",
    "set_walker_state",
    "open_vehicle_door",
    "close_vehicle_door",
    "enable_sensor_for_ros",
    "set_annotations_traverse_translucency",
    "show_vehicle_debug_telemetry",
    "enable_carsim",
    "use_carsim_road",
    "enable_chrono_physics",
    "send",
    "freeze_traffic_light",
)

once = Once(log)


@methods.value
def is_sensor_enabled_for_ros(call: Call[Server], stream_id: int) -> bool:
    return False


@methods.void
def disable_sensor_for_ros(call: Call[Server], stream_id: int) -> None:
    """None is enabled."""


@methods.value
def are_gbuffers_enabled(call: Call[Server], actor_id: int) -> bool:
    return False


@methods.value
def get_ignored_vehicles(call: Call[Server], actor_id: int) -> list[int]:
    return []


@methods.void
def restore_physx_physics(call: Call[Server], actor_id: int) -> None:
    """No other physics can be chosen."""


def _refuse(name: str) -> Any:
    text = f"{name} is not supported by the embedded world"

    def refuse(call: Call[Server], *_: object) -> None:
        once.warn(name, text)
        raise CarlaError(text)

    return refuse


for _name in WAITED_FOR_VALUES:
    methods.add(Method(_name, _refuse(_name), Envelope.VALUE))
for _name in (*WAITED_FOR_VOIDS, *NOT_WAITED_FOR):
    methods.add(Method(_name, _refuse(_name), Envelope.VOID))
