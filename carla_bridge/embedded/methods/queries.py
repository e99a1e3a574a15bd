"""Questions about what is where: rays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carla_bridge.embedded.messages import Wire, number, pack_vector, unpack_location, unpack_vector
from carla_bridge.embedded.rpc import Call, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()


@methods.value
def cast_ray(call: Call[Server], start: Wire, end: Wire) -> Wire:
    hits = call.server.world.cast_ray(unpack_location(start), unpack_location(end))
    return [[pack_vector(point), int(label)] for point, label in hits]


@methods.value
def project_point(call: Call[Server], origin: Wire, direction: Wire, distance: float) -> Wire:
    """The first surface that is seen in a direction, to the triangle."""
    start, along = np.array(unpack_location(origin)), np.array(unpack_vector(direction))
    length, rays = float(np.linalg.norm(along)), call.server.rays
    if length == 0.0:
        return [False, [[0.0, 0.0, 0.0], 0]]
    hits = rays.cast(rays.frame(call.server.world.instances()), start, along / length, number(distance))
    if not np.isfinite(hits.distance[0]):
        return [False, [[0.0, 0.0, 0.0], 0]]
    return [True, [pack_vector(start + hits.distance[0] * along / length), int(hits.label[0])]]
