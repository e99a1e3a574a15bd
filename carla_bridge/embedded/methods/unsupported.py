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
    "set_bones_transform",
    "blend_pose",
    "get_pose_from_animation",
    "enable_sensor_for_ros",
    "set_annotations_traverse_translucency",
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
