"""apply_batch: many commands in one message, each answered on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from carla_bridge.embedded.messages import ActorDescription, Wire, unpack_pose, unpack_vehicle_control, whole
from carla_bridge.embedded.methods import actors, signals, vehicles
from carla_bridge.embedded.rpc import Call, CarlaError, Envelope, MethodTable, describe

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()

SPAWN, DESTROY, CONTROL, CONSOLE = 0, 1, 2, 20
MAX_DEPTH = 16  # of commands that follow a spawn, and spawn themselves
Command = Callable[..., Any]


def _vehicle_lights(call: Call[Server], actor_id: int, flags: int) -> None:
    vehicles.set_vehicle_light_state(call, actor_id, [flags])


# Index of the command's variant on the wire -> (name, what it does); the payload's first element is the actor's id.
COMMANDS: dict[int, Command] = {
    CONTROL: vehicles.apply_control_to_vehicle,
    3: vehicles.apply_ackermann_control_to_vehicle,
    4: actors.apply_control_to_walker,
    5: vehicles.apply_physics_control,
    6: actors.set_actor_transform,
    7: actors.set_walker_state,
    8: actors.set_actor_target_velocity,
    9: actors.set_actor_target_angular_velocity,
    10: actors.add_actor_impulse,
    11: actors.add_actor_force,
    12: actors.add_actor_angular_impulse,
    13: actors.add_actor_torque,
    14: actors.set_actor_simulate_physics,
    15: actors.set_actor_enable_gravity,
    16: vehicles.set_actor_autopilot,
    17: vehicles.show_vehicle_debug_telemetry,
    18: _vehicle_lights,
    19: actors.set_actor_location,
    21: signals.set_traffic_light_state,
}


@methods.exclusive(Envelope.BARE)
def apply_batch(call: Call[Server], commands: list[Wire], do_tick: bool = False) -> Wire | Awaitable[Wire]:
    answers = [_answer(call, command) for command in commands]
    if not (do_tick and call.server.settings.synchronous_mode):
        return answers
    return _after(call.server.step(), answers)


async def _after(step: asyncio.Future[int], answers: list[Wire]) -> list[Wire]:
    await step
    return answers


def _answer(call: Call[Server], command: Wire, depth: int = 0) -> Wire:
    try:
        return [[1, _execute(call, command, depth)]]
    except CarlaError as error:
        return Envelope.VALUE.failure(str(error))
    except Exception as error:  # boundary: a malformed command fails alone
        return Envelope.VALUE.failure(describe("apply_batch", error))


def _execute(call: Call[Server], command: Wire, depth: int) -> int:
    """Carries out one command; the id of the actor it was about."""
    index, payload = command[0]
    if index == CONTROL:  # a traffic manager sends one for each car and tick: straight to the world
        actor_id, control = payload
        try:
            call.server.world.apply_vehicle_control(actor_id, *unpack_vehicle_control(control))
        except KeyError as error:
            raise CarlaError(f"actor {actor_id} not found") from error
        return int(actor_id)
    if index == SPAWN:
        return _spawn(call, payload, depth)
    if index == DESTROY:
        actor_id = int(payload[0])
        if not call.server.destroy(actor_id):
            raise CarlaError(f"unable to destroy actor {actor_id}: not found")
        return actor_id
    if index == CONSOLE:
        raise CarlaError("batch command ConsoleCommand is not supported by the embedded world")
    if index not in COMMANDS:
        raise CarlaError(f"unknown batch command {index}")
    COMMANDS[index](call, *payload)
    return int(payload[0])


def _spawn(call: Call[Server], payload: Wire, depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise CarlaError(f"commands behind a spawn may be nested {MAX_DEPTH} deep")
    description, transform, parent, attachment, _socket, do_after = payload[:6]
    parent_id, pose = whole(parent[1]) if parent[0] else 0, unpack_pose(transform)
    actor = call.server.spawn(ActorDescription.unpack(description), pose, parent_id, whole(attachment))
    for command in do_after:
        _answer(call, _addressed(command, actor.id), depth + 1)
    return actor.id


def _addressed(command: Wire, actor_id: int) -> Wire:
    """A do_after command with the new actor in place of carla.command.FutureActor."""
    index, payload = command[0]
    if index == SPAWN:
        return [[index, [*payload[:2], [True, actor_id], *payload[3:]]]]
    return [[index, [actor_id, *payload[1:]]]]
