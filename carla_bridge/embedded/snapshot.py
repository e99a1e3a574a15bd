"""Actors of a `World` as the client sees them: descriptions over RPC, states in the world snapshot."""

from __future__ import annotations

from typing import Any

from carla_bridge.embedded.actors import Actor, ActorKind
from carla_bridge.embedded.messages import (
    NO_STATE,
    VEHICLE_STATE,
    WALKER_STATE,
    actor_state,
    light_union,
    pack_actor,
    sign_union,
    snapshot_header,
)
from carla_bridge.embedded.stream import StreamHub
from carla_bridge.embedded.types import Label
from carla_bridge.embedded.world import World


def actor_record(actor: Actor, streams: StreamHub) -> Any:
    """carla.rpc.Actor: what `get_actors_by_id` and the spawn calls answer."""
    token = b"" if actor.stream_id is None else streams.token(actor.stream_id)
    return pack_actor(
        actor.id,
        actor.parent_id,
        actor.uid,
        actor.type_id,
        actor.attributes,
        actor.box_centre,
        actor.extent,
        actor.box_rotation,
        actor.semantic_tags,
        token,
    )


def scenery_record(label: Label) -> Any:
    """The other side of a collision with something that is no actor."""
    name = "unknown" if label is Label.NONE else label.name.lower().replace("_", "")
    zero = (0.0, 0.0, 0.0)
    return pack_actor(0, 0, 0, f"static.{name}", {}, zero, zero, zero, (int(label),), b"")


def snapshot(world: World, wall_s: float, state: int = 0) -> bytes:
    """The payload of one message of the world stream. state: bits, MAP_CHANGE and LIGHT_UPDATE."""
    parts = [snapshot_header(world.frame, world.elapsed_s, world.episode_id, wall_s, world.delta_s, state)]
    for actor in world.actors.values():
        parts.append(
            actor_state(actor.id, actor.pose, actor.velocity, actor.angular_velocity, actor.acceleration, _union(actor))
        )
    return b"".join(parts)


def _union(actor: Actor) -> bytes:
    if actor.kind is ActorKind.VEHICLE:
        control = actor.control
        return VEHICLE_STATE.pack(
            control.throttle,
            control.steer,
            control.brake,
            control.hand_brake,
            control.reverse,
            control.manual_gear_shift,
            control.gear,
            actor.speed_limit_kmh,
            int(actor.at_light_state),
            actor.at_traffic_light,
            actor.at_light_id,
            0,
        )
    if actor.kind is ActorKind.WALKER:
        return WALKER_STATE.pack(*actor.walker.direction, actor.walker.speed, actor.walker.jump)
    light = actor.light
    if light is not None:
        return light_union(
            light.signal_id,
            light.green_s,
            light.yellow_s,
            light.red_s,
            light.elapsed_s,
            light.pole_index,
            light.frozen,
            int(light.state),
        )
    return sign_union(actor.sign_id) if actor.kind is ActorKind.SIGN else NO_STATE
