"""Actors of any kind: spawn, find, move, destroy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from carla_bridge.embedded.actors import Actor, ActorKind
from carla_bridge.embedded.messages import (
    ActorDescription,
    Wire,
    number,
    pack_vector,
    unpack_location,
    unpack_pose,
    unpack_vector,
    whole,
)
from carla_bridge.embedded.rpc import Call, CarlaError, MethodTable
from carla_bridge.embedded.snapshot import actor_record

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()
MAX_ANGULAR = 1e13


@contextlib.contextmanager
def addressing(actor_id: int) -> Iterator[None]:
    """Turns the world's refusals into the text that the client's user reads."""
    try:
        yield
    except KeyError as error:
        raise CarlaError(f"actor {actor_id} not found") from error
    except TypeError as error:
        raise CarlaError(f"actor {actor_id}: {error}") from error


def find(server: Server, actor_id: int, kind: ActorKind | None = None) -> Actor:
    actor = server.world.actors.get(actor_id)
    if actor is None:
        raise CarlaError(f"actor {actor_id} not found")
    if kind is not None and actor.kind is not kind:
        raise CarlaError(f"actor {actor_id} is no {kind.name.lower().replace('_', ' ')} but a {actor.type_id}")
    return actor


@methods.value
def spawn_actor(call: Call[Server], description: Wire, transform: Wire) -> Wire:
    actor = call.server.spawn(ActorDescription.unpack(description), unpack_pose(transform))
    return actor_record(actor, call.server.streams)


@methods.value
def spawn_actor_with_parent(
    call: Call[Server], description: Wire, transform: Wire, parent_id: int, attachment: int = 0, socket: str = ""
) -> Wire:
    """A spring arm (attachment 1 and 2) is held rigidly; sockets do not exist here."""
    description, pose = ActorDescription.unpack(description), unpack_pose(transform)
    actor = call.server.spawn(description, pose, whole(parent_id), whole(attachment))
    return actor_record(actor, call.server.streams)


@methods.value
def destroy_actor(call: Call[Server], actor_id: int) -> bool:
    return call.server.destroy(actor_id)


@methods.value
def get_actors_by_id(call: Call[Server], actor_ids: list[int]) -> Wire:
    actors = call.server.world.actors
    return [actor_record(actors[actor_id], call.server.streams) for actor_id in actor_ids if actor_id in actors]


@methods.value
def get_spectator(call: Call[Server]) -> Wire:
    world = call.server.world
    return actor_record(world.actors[world.spectator_id], call.server.streams)


@methods.value
def get_actor_bounding_box(call: Call[Server], actor_id: int) -> Wire:
    actor = find(call.server, actor_id)
    return [pack_vector(actor.box_centre), pack_vector(actor.extent), pack_vector(actor.box_rotation), actor_id]


@methods.void
def set_actor_location(call: Call[Server], actor_id: int, location: Wire) -> None:
    actor = find(call.server, actor_id)
    x, y, z = unpack_vector(location)
    call.server.world.set_pose(actor_id, replace(actor.relative or actor.pose, x=x, y=y, z=z))


@methods.void
def set_actor_transform(call: Call[Server], actor_id: int, transform: Wire) -> None:
    with addressing(actor_id):
        call.server.world.set_pose(actor_id, unpack_pose(transform))


@methods.void
def set_actor_target_velocity(call: Call[Server], actor_id: int, velocity: Wire) -> None:
    with addressing(actor_id):
        call.server.world.set_target_velocity(actor_id, unpack_vector(velocity))


@methods.void
def set_actor_target_angular_velocity(call: Call[Server], actor_id: int, degrees_s: Wire) -> None:
    with addressing(actor_id):
        call.server.world.set_target_angular_velocity(actor_id, unpack_vector(degrees_s))


@methods.void
def enable_actor_constant_velocity(call: Call[Server], actor_id: int, velocity: Wire) -> None:
    with addressing(actor_id):
        call.server.world.enable_constant_velocity(actor_id, unpack_vector(velocity))


@methods.void
def disable_actor_constant_velocity(call: Call[Server], actor_id: int) -> None:
    with addressing(actor_id):
        call.server.world.disable_constant_velocity(actor_id)


@methods.void
def add_actor_impulse(call: Call[Server], actor_id: int, impulse: Wire) -> None:
    with addressing(actor_id):
        call.server.world.commands.add_impulse(actor_id, unpack_vector(impulse))


@methods.void
def add_actor_impulse_at_location(call: Call[Server], actor_id: int, impulse: Wire, location: Wire) -> None:
    with addressing(actor_id):
        call.server.world.commands.add_impulse(actor_id, unpack_vector(impulse), unpack_location(location))


@methods.void
def add_actor_force(call: Call[Server], actor_id: int, force: Wire) -> None:
    with addressing(actor_id):
        call.server.world.commands.add_force(actor_id, unpack_vector(force))


@methods.void
def add_actor_force_at_location(call: Call[Server], actor_id: int, force: Wire, location: Wire) -> None:
    with addressing(actor_id):
        call.server.world.commands.add_force(actor_id, unpack_vector(force), unpack_location(location))


def _angular(wire: Wire) -> tuple[float, float, float]:
    """CARLA's units of it (vehicle_commands.ANGULAR_UNIT) are small."""
    x, y, z = wire[:3]
    return number(x, MAX_ANGULAR), number(y, MAX_ANGULAR), number(z, MAX_ANGULAR)


@methods.void
def add_actor_angular_impulse(call: Call[Server], actor_id: int, impulse: Wire) -> None:
    """The client's `add_torque()` sends this too."""
    with addressing(actor_id):
        call.server.world.commands.add_angular_impulse(actor_id, _angular(impulse))


@methods.void
def add_actor_torque(call: Call[Server], actor_id: int, torque: Wire) -> None:
    with addressing(actor_id):
        call.server.world.commands.add_torque(actor_id, _angular(torque))


@methods.void
def set_actor_dead(call: Call[Server], actor_id: int) -> None:
    with addressing(actor_id):
        call.server.world.commands.kill(actor_id)


@methods.void
def set_actor_simulate_physics(call: Call[Server], actor_id: int, enabled: bool) -> None:
    with addressing(actor_id):
        call.server.world.set_simulate_physics(actor_id, enabled)


@methods.void
def set_actor_collisions(call: Call[Server], actor_id: int, enabled: bool) -> None:
    with addressing(actor_id):
        call.server.world.set_collisions(actor_id, enabled)


@methods.void
def set_actor_enable_gravity(call: Call[Server], actor_id: int, enabled: bool) -> None:
    with addressing(actor_id):
        call.server.world.set_enable_gravity(actor_id, enabled)


@methods.void
def apply_control_to_walker(call: Call[Server], actor_id: int, control: Wire) -> None:
    direction, speed, jump = control[:3]
    with addressing(actor_id):
        call.server.world.apply_walker_control(actor_id, unpack_vector(direction), number(speed), bool(jump))


@methods.void
def set_walker_state(call: Call[Server], actor_id: int, transform: Wire, speed: float) -> None:
    """How the client's own pedestrian navigation moves a walker: the place of its feet each tick, and its speed."""
    with addressing(actor_id):
        call.server.world.lead_walker(actor_id, unpack_pose(transform), number(speed))
