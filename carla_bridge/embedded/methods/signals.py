"""Traffic lights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carla_bridge.embedded.messages import Wire, number, pack_level_box
from carla_bridge.embedded.methods.actors import addressing
from carla_bridge.embedded.rpc import Call, CarlaError, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()
KNOWN_STATES = range(4)  # red, yellow, green, off


def _duration(seconds: float) -> float:
    return max(0.0, number(seconds))


@methods.void
def set_traffic_light_state(call: Call[Server], actor_id: int, state: int) -> None:
    if state not in KNOWN_STATES:
        raise CarlaError(f"traffic light state {state}: red 0, yellow 1, green 2 and off 3 can be set")
    with addressing(actor_id):
        call.server.world.set_light_state(actor_id, state)


@methods.void
def set_traffic_light_green_time(call: Call[Server], actor_id: int, seconds: float) -> None:
    with addressing(actor_id):
        call.server.world.set_light_times(actor_id, green_s=_duration(seconds))


@methods.void
def set_traffic_light_yellow_time(call: Call[Server], actor_id: int, seconds: float) -> None:
    with addressing(actor_id):
        call.server.world.set_light_times(actor_id, yellow_s=_duration(seconds))


@methods.void
def set_traffic_light_red_time(call: Call[Server], actor_id: int, seconds: float) -> None:
    with addressing(actor_id):
        call.server.world.set_light_times(actor_id, red_s=_duration(seconds))


@methods.void
def freeze_all_traffic_lights(call: Call[Server], frozen: bool) -> None:
    call.server.world.freeze_lights(bool(frozen))


@methods.void
def reset_traffic_light_group(call: Call[Server], actor_id: int) -> None:
    with addressing(actor_id):
        call.server.world.reset_lights(actor_id)


@methods.void
def reset_all_traffic_lights(call: Call[Server]) -> None:
    call.server.world.reset_lights()


@methods.value
def get_group_traffic_lights(call: Call[Server], actor_id: int) -> list[int]:
    with addressing(actor_id):
        return call.server.world.group_lights(actor_id)


@methods.value
def get_light_boxes(call: Call[Server], actor_id: int) -> Wire:
    with addressing(actor_id):
        return [pack_level_box(box) for box in call.server.world.light_boxes(actor_id)]
