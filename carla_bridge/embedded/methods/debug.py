"""carla.DebugHelper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carla_bridge.embedded.debug import DebugShape
from carla_bridge.embedded.messages import Wire
from carla_bridge.embedded.rpc import Call, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()


@methods.void
def draw_debug_shape(call: Call[Server], shape: Wire) -> None:
    world = call.server.world
    call.server.drawings.add(DebugShape.unpack(shape, world.frame, world.elapsed_s))


@methods.void
def clear_debug_shape(call: Call[Server]) -> None:
    call.server.drawings.clear(texts=False)


@methods.void
def clear_debug_string(call: Call[Server]) -> None:
    call.server.drawings.clear(texts=True)
