"""Vehicles: controls, lamps, physics."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from carla_bridge.embedded.ackermann import AckermannGains, AckermannTarget
from carla_bridge.embedded.actors import ActorKind
from carla_bridge.embedded.messages import Wire, number, pack_vector, unpack_vector, unpack_vehicle_control, whole
from carla_bridge.embedded.methods.actors import addressing, find
from carla_bridge.embedded.rpc import Call, MethodTable
from carla_bridge.embedded.vehicle_physics import Gear, VehiclePhysics, Wheel

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()
LAST_WHEEL, ALL_DOORS = 3, 6  # of carla.VehicleWheelLocation, carla.VehicleDoor


@methods.void
def apply_control_to_vehicle(call: Call[Server], actor_id: int, control: Wire) -> None:
    with addressing(actor_id):
        call.server.world.apply_vehicle_control(actor_id, *unpack_vehicle_control(control))


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
        call.server.world.set_vehicle_lights(actor_id, whole(state[0]))


@methods.value
def get_wheel_steer_angle(call: Call[Server], actor_id: int, wheel: int) -> float:
    with addressing(actor_id):
        return call.server.world.wheel_steer_angle(actor_id, wheel)


@methods.void
def set_wheel_steer_direction(call: Call[Server], actor_id: int, wheel: int, degrees: float) -> None:
    """Accepted: it turns the wheel in the picture only (CARLA's documentation), and wheels are no parts here."""
    find(call.server, actor_id, ActorKind.VEHICLE)
    whole(wheel, most=LAST_WHEEL)
    number(degrees)


@methods.value
def get_wheel_pitch_angle(call: Call[Server], actor_id: int, wheel: int) -> float:
    with addressing(actor_id):
        return call.server.world.commands.wheel_pitch(actor_id, whole(wheel))


@methods.void
def set_wheel_pitch_angle(call: Call[Server], actor_id: int, wheel: int, degrees: float) -> None:
    with addressing(actor_id):
        call.server.world.commands.set_wheel_pitch(actor_id, whole(wheel), number(degrees))


@methods.void
def open_vehicle_door(call: Call[Server], actor_id: int, door: int) -> None:
    """Accepted: no client can ask for a door's state, and the bodies here are closed."""
    find(call.server, actor_id, ActorKind.VEHICLE)
    whole(door, most=ALL_DOORS)


@methods.void
def close_vehicle_door(call: Call[Server], actor_id: int, door: int) -> None:
    """Accepted, as `open_vehicle_door`."""
    find(call.server, actor_id, ActorKind.VEHICLE)
    whole(door, most=ALL_DOORS)


@methods.void
def show_vehicle_debug_telemetry(call: Call[Server], actor_id: int, enabled: bool = True) -> None:
    """Accepted: it draws into the simulator's own window, and there is none."""
    find(call.server, actor_id, ActorKind.VEHICLE)


@methods.value
def get_telemetry_data(call: Call[Server], actor_id: int) -> Wire:
    with addressing(actor_id):
        data = call.server.world.commands.telemetry(actor_id)
    head = [getattr(data, field.name) for field in fields(data)][:-1]
    return [*head, [list(astuple(wheel)) for wheel in data.wheels]]


@methods.void
def apply_ackermann_control_to_vehicle(call: Call[Server], actor_id: int, control: Wire) -> None:
    target = AckermannTarget(*(number(value) for value in control[:5]))
    with addressing(actor_id):
        call.server.world.commands.steer_to(actor_id, target)


@methods.value
def get_ackermann_controller_settings(call: Call[Server], actor_id: int) -> Wire:
    with addressing(actor_id):
        return list(astuple(call.server.world.commands.gains(actor_id)))


@methods.void
def apply_ackermann_controller_settings(call: Call[Server], actor_id: int, settings: Wire) -> None:
    with addressing(actor_id):
        call.server.world.commands.set_gains(actor_id, AckermannGains(*(number(value) for value in settings[:6])))


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
