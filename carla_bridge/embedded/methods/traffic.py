"""Who runs a traffic manager: it lives in a client process, the server only introduces clients to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carla_bridge.embedded.messages import Wire
from carla_bridge.embedded.rpc import Call, CarlaError, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()


@methods.value
def is_traffic_manager_running(call: Call[Server], port: int) -> bool:
    return port in call.server.traffic_managers


@methods.value
def get_traffic_manager_running(call: Call[Server], port: int) -> Wire:
    entry = call.server.traffic_managers.get(port)
    if entry is None:
        raise CarlaError(f"no traffic manager runs on port {port}")
    return [entry[0], port]


@methods.value
def add_traffic_manager_running(call: Call[Server], address: Wire) -> bool:
    """False when that port is taken already. Forgotten when the connection that registered it closes."""
    host, port = address[:2]
    if port in call.server.traffic_managers:
        return False
    call.server.traffic_managers[port] = (host, call.connection)
    return True


@methods.void
def destroy_traffic_manager(call: Call[Server], port: int) -> None:
    call.server.traffic_managers.pop(port, None)
