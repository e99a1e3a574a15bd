"""Who runs a traffic manager: it lives in a client process, the server only introduces clients to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carla_bridge.embedded.messages import Wire, text, whole
from carla_bridge.embedded.rpc import Call, CarlaError, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()


@methods.value
def is_traffic_manager_running(call: Call[Server], port: int) -> bool:
    return call.server.traffic_managers.host(port) is not None


@methods.value
def get_traffic_manager_running(call: Call[Server], port: int) -> Wire:
    host = call.server.traffic_managers.host(port)
    if host is None:
        raise CarlaError(f"no traffic manager runs on port {port}")
    return [host, port]


@methods.value
def add_traffic_manager_running(call: Call[Server], address: Wire) -> bool:
    """False when that port is taken already. Forgotten when the connection that registered it closes."""
    host, port = text(address[0]), whole(address[1], 0, 65535)
    return call.server.traffic_managers.add(port, host, call.connection)


@methods.void
def destroy_traffic_manager(call: Call[Server], port: int) -> None:
    call.server.traffic_managers.remove(port)
