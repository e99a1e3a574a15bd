"""The static world: boxes, objects, map layers, street lights."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from carla_bridge.embedded.messages import StreetLight, Wire, pack_level_box, pack_pose
from carla_bridge.embedded.once import Once
from carla_bridge.embedded.rpc import Call, CarlaError, MethodTable
from carla_bridge.embedded.types import Label

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

once = Once(logging.getLogger(__name__))
methods = MethodTable()
ANY_LABEL = 255
STREAM_CONNECT_LIMIT_S = 0.25  # [wall s]


@methods.value
def get_all_level_BBs(call: Call[Server], label: int = ANY_LABEL) -> Wire:
    return [pack_level_box(box) for box in call.server.world.level_boxes(label)]


@methods.value
def get_environment_objects(call: Call[Server], label: int = ANY_LABEL) -> Wire:
    """Every box of the scenery is one object; ids count over all boxes, so they do not depend on the label asked."""
    boxes = enumerate(call.server.world.level_boxes(ANY_LABEL), start=1)
    return [
        [pack_pose(box.centre), pack_level_box(box), number, _object_name(box.label, number), int(box.label)]
        for number, box in boxes
        if label in (ANY_LABEL, int(box.label))
    ]


@methods.void
def enable_environment_objects(call: Call[Server], object_ids: list[int], enabled: bool) -> None:
    """The scenery is one mesh: its parts cannot be hidden one by one."""
    count = len(call.server.world.level_boxes(ANY_LABEL))
    unknown = [number for number in object_ids if not 1 <= number <= count]
    if unknown:
        raise CarlaError(f"there is no environment object {unknown[0]}")
    if not enabled:
        once.warn("hide", "environment objects stay visible: the embedded world cannot hide them")
        raise CarlaError("the embedded world cannot hide environment objects")


@methods.value
def get_names_of_all_objects(call: Call[Server]) -> list[str]:
    boxes = enumerate(call.server.world.level_boxes(ANY_LABEL), start=1)
    return [_object_name(box.label, number) for number, box in boxes]


def _object_name(label: Label, number: int) -> str:
    return f"{label.name.title().replace('_', '')}_{number}"


@methods.void
def load_map_layer(call: Call[Server], layers: int) -> None:
    """All layers are there always."""


@methods.void
def unload_map_layer(call: Call[Server], layers: int) -> None:
    once.warn("layers", "map layers stay: the towns of the embedded world are of one piece")


@methods.value
async def query_lights_state(call: Call[Server], endpoint: str = "") -> Wire:
    """The street lights.

    It is the client's last call before `get_world` returns, while its stream of snapshots is being connected: waiting
    for that socket lets a client of a world that stands still see its actors from the first line on.
    """
    await call.server.world_stream.taken_up(STREAM_CONNECT_LIMIT_S)
    return [light.pack() for light in call.server.street_lights.states()]


@methods.void
def update_lights_state(call: Call[Server], endpoint: str, lights: list[Wire], discard_client: bool = False) -> None:
    call.server.street_lights.update([StreetLight.unpack(light) for light in lights])


@methods.void
def update_day_night_cycle(call: Call[Server], endpoint: str, active: bool) -> None:
    """Whether the lights follow the sun."""
    call.server.street_lights.day_night_cycle = bool(active)
    call.server.street_lights.follow(call.server.weather.sun_altitude_angle)
