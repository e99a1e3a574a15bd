"""Vehicles: controls, lamps, physics."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from carla_bridge.embedded.actors import ActorKind
from carla_bridge.embedded.dynamics import Gear, VehiclePhysics, Wheel
from carla_bridge.embedded.messages import Wire, pack_vector, unpack_vector
from carla_bridge.embedded.methods.actors import addressing, find
from carla_bridge.embedded.rpc import Call, MethodTable

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()


@methods.void
def apply_control_to_vehicle(call: Call[Server], actor_id: int, control: Wire) -> None:
    throttle, steer, brake, hand_brake, reverse, manual, gear = control[:7]
    with addressing(actor_id):
        call.server.world.apply_vehicle_control(actor_id, throttle, steer, brake, hand_brake, reverse, manual, gear)


@methods.void
def set_actor_autopilot(call: Call[Server], actor_id: int, enabled: bool) -> None:
    with addressing(actor_id):
        call.server.world.set_autopilot(actor_id, enabled)


@methods.value
def get_vehicle_light_states(call: Call[Server]) -> Wire:
    actors = call.server.world.actors.values()
    return [[actor.id, actor.light_flags] for actor in actors if actor.kind is ActorKind.VEHICLE]


@methods.value
def get_vehicle_light_state(call: Call[Server], actor_id: int) -> Wire:
    return [find(call.server, actor_id, ActorKind.VEHICLE).light_flags]


@methods.void
def set_vehicle_light_state(call: Call[Server], actor_id: int, state: Wire) -> None:
    with addressing(actor_id):
        call.server.world.set_vehicle_lights(actor_id, int(state[0]))


@methods.value
def get_wheel_steer_angle(call: Call[Server], actor_id: int, wheel: int) -> float:
    with addressing(actor_id):
        return call.server.world.wheel_steer_angle(actor_id, wheel)


@methods.value
def get_physics_control(call: Call[Server], actor_id: int) -> Wire:
    with addressing(actor_id):
        return pack_physics(call.server.world.physics_control(actor_id))


@methods.void
def apply_physics_control(call: Call[Server], actor_id: int, physics: Wire) -> None:
    with addressing(actor_id):
        call.server.world.set_physics_control(actor_id, unpack_physics(physics))


def pack_physics(physics: VehiclePhysics) -> Wire:
    """carla.VehiclePhysicsControl; dataclass order is wire order, only the nested structures need care."""
    wire = list(astuple(physics))
    names = list(VehiclePhysics.__dataclass_fields__)
    wire[names.index("torque_curve")] = [list(point) for point in physics.torque_curve]
    wire[names.index("steering_curve")] = [list(point) for point in physics.steering_curve]
    wire[names.index("forward_gears")] = [list(astuple(gear)) for gear in physics.forward_gears]
    wire[names.index("center_of_mass")] = pack_vector(physics.center_of_mass)
    wire[names.index("wheels")] = [[*astuple(wheel)[:-1], pack_vector(wheel.position)] for wheel in physics.wheels]
    return wire


def unpack_physics(wire: Wire) -> VehiclePhysics:
    names = list(VehiclePhysics.__dataclass_fields__)
    fields = dict(zip(names, wire[: len(names)], strict=True))
    fields["torque_curve"] = tuple((float(x), float(y)) for x, y in fields["torque_curve"])
    fields["steering_curve"] = tuple((float(x), float(y)) for x, y in fields["steering_curve"])
    fields["forward_gears"] = tuple(Gear(*gear[:3]) for gear in fields["forward_gears"])
    fields["center_of_mass"] = unpack_vector(fields["center_of_mass"])
    fields["wheels"] = tuple(Wheel(*[*wheel[:9], unpack_vector(wheel[9])]) for wheel in fields["wheels"])
    return VehiclePhysics(**fields)
