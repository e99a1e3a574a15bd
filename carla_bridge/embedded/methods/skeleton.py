"""Components, bones and sockets of actors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from carla_bridge.embedded.actors import Actor, ActorKind, compose
from carla_bridge.embedded.messages import Wire, pack_pose
from carla_bridge.embedded.methods.actors import find
from carla_bridge.embedded.rpc import Call, CarlaError, MethodTable
from carla_bridge.embedded.skeleton import bones, component_names, sockets
from carla_bridge.embedded.types import Pose

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()
Parts = Callable[[Actor], dict[str, Pose]]


@methods.value
def get_actor_component_names(call: Call[Server], actor_id: int) -> list[str]:
    return component_names(find(call.server, actor_id))


@methods.value
def get_actor_component_world_transform(call: Call[Server], actor_id: int, name: str) -> Wire:
    return pack_pose(_component(call.server, actor_id, name).pose)


@methods.value
def get_actor_component_relative_transform(call: Call[Server], actor_id: int, name: str) -> Wire:
    _component(call.server, actor_id, name)
    return pack_pose(Pose())


def _component(server: Server, actor_id: int, name: str) -> Actor:
    actor = find(server, actor_id)
    if name not in component_names(actor):
        raise CarlaError(f"actor {actor_id} has no component {name!r}; it has: {', '.join(component_names(actor))}")
    return actor


@methods.value
def get_actor_bone_names(call: Call[Server], actor_id: int) -> list[str]:
    return list(bones(find(call.server, actor_id)))


@methods.value
def get_actor_bone_world_transforms(call: Call[Server], actor_id: int) -> Wire:
    return _in_the_world(call.server, actor_id, bones)


@methods.value
def get_actor_bone_relative_transforms(call: Call[Server], actor_id: int) -> Wire:
    return _on_the_actor(call.server, actor_id, bones)


@methods.value
def get_actor_socket_names(call: Call[Server], actor_id: int) -> list[str]:
    return list(sockets(find(call.server, actor_id)))


@methods.value
def get_actor_socket_world_transforms(call: Call[Server], actor_id: int) -> Wire:
    return _in_the_world(call.server, actor_id, sockets)


@methods.value
def get_actor_socket_relative_transforms(call: Call[Server], actor_id: int) -> Wire:
    return _on_the_actor(call.server, actor_id, sockets)


@methods.value
def get_bones_transform(call: Call[Server], actor_id: int) -> Wire:
    return _skeleton(find(call.server, actor_id, ActorKind.WALKER))


@methods.value
def get_vehicle_bone_world_transforms(call: Call[Server], actor_id: int) -> Wire:
    return _skeleton(find(call.server, actor_id, ActorKind.VEHICLE))


def _in_the_world(server: Server, actor_id: int, parts: Parts) -> Wire:
    actor = find(server, actor_id)
    return [pack_pose(compose(actor.pose, pose)) for pose in parts(actor).values()]


def _on_the_actor(server: Server, actor_id: int, parts: Parts) -> Wire:
    return [pack_pose(pose) for pose in parts(find(server, actor_id)).values()]


def _skeleton(actor: Actor) -> Wire:
    """Name, world transform, transform in the actor, transform in the parent bone (here the same) of each bone."""
    return [
        [
            [name, pack_pose(compose(actor.pose, pose)), pack_pose(pose), pack_pose(pose)]
            for name, pose in bones(actor).items()
        ]
    ]
