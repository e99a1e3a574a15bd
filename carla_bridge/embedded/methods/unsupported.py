"""Calls of the 0.9.16 client that this world cannot serve: each is answered with a sentence that says so.

The client turns the sentence into RuntimeError for the calls it waits for; it drops the answers of the others, so those
are told once in the server's log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from carla_bridge.embedded.rpc import Call, CarlaError, Envelope, Method, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

log = logging.getLogger(__name__)
methods = MethodTable()

WAITED_FOR_VALUES = (
    "start_recorder",
    "show_recorder_file_info",
    "show_recorder_collisions",
    "show_recorder_actors_blocked",
    "replay_file",
    "get_ackermann_controller_settings",
    "get_telemetry_data",
    "get_wheel_pitch_angle",
    "get_actor_component_names",
    "get_actor_bone_names",
    "get_actor_socket_names",
    "get_actor_bone_world_transforms",
    "get_actor_bone_relative_transforms",
    "get_actor_socket_world_transforms",
    "get_actor_socket_relative_transforms",
    "get_actor_component_world_transform",
    "get_actor_component_relative_transform",
    "get_vehicle_bone_world_transforms",
    "get_bones_transform",
    "is_sensor_enabled_for_ros",
    "get_gbuffer_token",
    "are_gbuffers_enabled",
    "get_ignored_vehicles",
    "get_navigation_mesh",
)
WAITED_FOR_VOIDS = (
    "copy_opendrive_to_file",
    "load_map_layer",
    "unload_map_layer",
    "apply_color_texture_to_objects",
    "apply_float_color_texture_to_objects",
    "enable_gbuffers",
    "set_ignored_vehicles",
    "console_command",
)
NOT_WAITED_FOR = (
    "stop_recorder",
    "stop_replayer",
    "set_replayer_time_factor",
    "set_replayer_ignore_hero",
    "set_replayer_ignore_spectator",
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
    "enable_environment_objects",
    "enable_sensor_for_ros",
    "disable_sensor_for_ros",
    "set_annotations_traverse_translucency",
    "show_vehicle_debug_telemetry",
    "enable_carsim",
    "use_carsim_road",
    "enable_chrono_physics",
    "restore_physx_physics",
    "send",
    "draw_debug_shape",
    "clear_debug_shape",
    "clear_debug_string",
    "update_lights_state",
    "update_day_night_cycle",
    "freeze_traffic_light",
)

_told: set[str] = set()


def _refuse(name: str) -> Any:
    text = f"{name} is not supported by the embedded world"

    def refuse(call: Call[Server], *_: object) -> None:
        if name not in _told:
            _told.add(name)
            log.warning(text)
        raise CarlaError(text)

    return refuse


for _name in WAITED_FOR_VALUES:
    methods.add(Method(_name, _refuse(_name), Envelope.VALUE))
for _name in (*WAITED_FOR_VOIDS, *NOT_WAITED_FOR):
    methods.add(Method(_name, _refuse(_name), Envelope.VOID))
