"""Questions about the scenery: rays, boxes, objects, street lights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carla_bridge.embedded.messages import Wire, pack_level_box, pack_pose, pack_vector, unpack_vector
from carla_bridge.embedded.rpc import Call, MethodTable
from carla_bridge.embedded.types import Label

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()
ANY_LABEL = 255
STREAM_CONNECT_LIMIT_S = 0.25  # [wall s]


@methods.value
def cast_ray(call: Call[Server], start: Wire, end: Wire) -> Wire:
    hits = call.server.world.cast_ray(unpack_vector(start), unpack_vector(end))
    return [[pack_vector(point), int(label)] for point, label in hits]


@methods.value
def project_point(call: Call[Server], origin: Wire, direction: Wire, distance: float) -> Wire:
    hit = call.server.world.project_point(unpack_vector(origin), unpack_vector(direction), float(distance))
    if hit is None:
        return [False, [[0.0, 0.0, 0.0], 0]]
    point, label = hit
    return [True, [pack_vector(point), int(label)]]


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


@methods.value
def get_names_of_all_objects(call: Call[Server]) -> list[str]:
    boxes = enumerate(call.server.world.level_boxes(ANY_LABEL), start=1)
    return [_object_name(box.label, number) for number, box in boxes]


@methods.value
async def query_lights_state(call: Call[Server], endpoint: str = "") -> Wire:
    """There are no street lights.

    It is the client's last call before `get_world` returns, while its stream of snapshots is being connected: waiting
    for that socket lets a client of a world that stands still see its actors from the first line on.
    """
    await call.server.world_stream.taken_up(STREAM_CONNECT_LIMIT_S)
    return []


def _object_name(label: Label, number: int) -> str:
    return f"{label.name.title().replace('_', '')}_{number}"
