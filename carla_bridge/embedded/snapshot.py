"""Actors of a `World` as the client sees them: descriptions over RPC, states in the world snapshot."""

from __future__ import annotations

from typing import Any

import numpy as np

from carla_bridge.embedded import columns as c
from carla_bridge.embedded import reports as r
from carla_bridge.embedded.actors import Actor, ActorKind, LightState
from carla_bridge.embedded.bodies import Bodies
from carla_bridge.embedded.messages import (
    ACTIVE,
    ACTOR_RECORD,
    EPISODE_HEADER,
    NO_STATE,
    SENSOR_HEADER,
    STATE_BYTES,
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
    """The payload of one message of the world stream. state: bits, MAP_CHANGE and LIGHT_UPDATE.

    The actors without a body of their own come first.
    """
    parts = [snapshot_header(world.frame, world.elapsed_s, world.episode_id, wall_s, world.delta_s, state)]
    embodied = world.bodies.row_of
    parts += [
        actor_state(actor.id, actor.pose, actor.velocity, actor.angular_velocity, actor.acceleration, _union(actor))
        for actor in world.actors.values()
        if actor.id not in embodied
    ]
    return b"".join([*parts, _body_records(world.bodies)])


def without_news(payload: bytes) -> bytes:
    """The same snapshot for a client that was not there before: with no bit of the state set."""
    at = SENSOR_HEADER.size + EPISODE_HEADER.size - STATE_BYTES
    nothing = bytes(STATE_BYTES)
    if payload[at : at + STATE_BYTES] == nothing:
        return payload
    return payload[:at] + nothing + payload[at + STATE_BYTES :]


def _body_records(bodies: Bodies) -> bytes:
    """An ACTOR_RECORD of each body."""
    report, kind = bodies.report, bodies.param[:, c.KIND]
    records = np.zeros(len(report), ACTOR_RECORD)
    records["id"], records["state"] = bodies.ids, ACTIVE
    records["motion"] = report[:, : r.ACCELERATION.stop]
    rows = np.flatnonzero(kind == c.VEHICLE)
    cars, told = records["vehicle"], report[rows]
    cars["pedals"][rows] = told[:, r.CONTROL][:, :3]
    cars["switches"][rows] = told[:, r.HAND_BRAKE : r.GEAR]
    cars["gear"][rows], cars["limit"][rows] = told[:, r.GEAR], told[:, r.SPEED_LIMIT]
    cars["light_state"][rows], cars["light_id"][rows] = told[:, r.LIGHT_STATE], told[:, r.LIGHT_ID]
    cars["at_light"][rows] = (told[:, r.LIGHT_ID] != 0) & (told[:, r.LIGHT_STATE] != LightState.GREEN)
    rows = np.flatnonzero(kind == c.WALKER)
    records["walker"]["walk"][rows] = report[rows, r.WALK][:, :4]
    records["walker"]["jump"][rows] = report[rows, r.WALK_JUMP]
    return records.tobytes()


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
