"""Ackermann control, forces, telemetry, jumps and the other requests for one vehicle or walker."""

from __future__ import annotations

import math
import socket
import time

import carla
import msgpack
import pytest

DELTA_S = 0.05
IN_DEGREES = math.radians(1.0) * 1e-4  # CARLA's angular impulses are kg cm2 deg/s


def speed(actor: carla.Actor) -> float:
    return float(actor.get_velocity().length())


def drive(world: carla.World, seconds: float) -> None:
    for _ in range(round(seconds / DELTA_S)):
        world.tick()


@pytest.fixture
def walker(world: carla.World) -> carla.Walker:
    place = world.get_map().get_spawn_points()[3]
    place.location.z += 1.0
    walker = world.spawn_actor(world.get_blueprint_library().find("walker.pedestrian.0001"), place)
    drive(world, 1.5)  # falls onto its feet
    return walker


def neutral(vehicle: carla.Vehicle) -> None:
    vehicle.apply_control(carla.VehicleControl(manual_gear_shift=True, gear=0))


def straight_ahead(world: carla.World, place: carla.Transform) -> float:
    """[m] for which the lane goes straight on, at most 100."""
    waypoint, heading = world.get_map().get_waypoint(place.location), place.get_forward_vector()
    for metres in range(5, 100, 5):
        off = [one.transform.location - place.location for one in waypoint.next(metres)]
        if not any(math.sqrt(max(0.0, d.length() ** 2 - d.dot(heading) ** 2)) < 0.5 for d in off):
            return metres
    return 100.0


def test_ackermann_reaches_a_speed_and_holds_it(world: carla.World, vehicle: carla.Vehicle) -> None:
    spawn_points = world.get_map().get_spawn_points()
    vehicle.set_transform(max(spawn_points, key=lambda place: straight_ahead(world, place)))
    drive(world, 1.0)
    vehicle.apply_ackermann_control(carla.VehicleAckermannControl(speed=5.0, acceleration=2.0))
    fastest = 0.0
    for _ in range(140):
        before = speed(vehicle)
        world.tick()
        fastest = max(fastest, speed(vehicle) - before)
    assert fastest < 2.5 * DELTA_S  # the wanted acceleration is a limit, give or take the engine
    held = []
    for _ in range(60):
        world.tick()
        held.append(speed(vehicle))
    assert held == pytest.approx([5.0] * 60, abs=0.2)

    vehicle.apply_control(carla.VehicleControl(brake=1.0))
    drive(world, 2.0)
    assert speed(vehicle) == pytest.approx(0.0, abs=0.01)


def test_ackermann_in_a_batch_turns_the_wheels_at_a_rate(
    client: carla.Client, world: carla.World, vehicle: carla.Vehicle
) -> None:
    control = carla.VehicleAckermannControl(steer=0.3, steer_speed=0.2, speed=2.0)
    (answer,) = client.apply_batch_sync([carla.command.ApplyVehicleAckermannControl(vehicle.id, control)], False)
    assert not answer.error
    drive(world, 0.5)
    angle = math.radians(vehicle.get_wheel_steer_angle(carla.VehicleWheelLocation.FL_Wheel))
    assert angle == pytest.approx(0.1, abs=0.03)
    drive(world, 4.0)
    angle = math.radians(vehicle.get_wheel_steer_angle(carla.VehicleWheelLocation.FL_Wheel))
    assert angle == pytest.approx(0.3, abs=0.03)
    assert vehicle.get_wheel_steer_angle(carla.VehicleWheelLocation.BL_Wheel) == 0.0
    assert vehicle.get_angular_velocity().z > 5.0


def test_ackermann_goes_backwards_and_stops(world: carla.World, vehicle: carla.Vehicle) -> None:
    vehicle.apply_ackermann_control(carla.VehicleAckermannControl(speed=-2.0))
    drive(world, 8.0)
    heading = vehicle.get_transform().get_forward_vector()
    assert vehicle.get_velocity().dot(heading) == pytest.approx(-2.0, abs=0.2)
    assert vehicle.get_control().reverse
    vehicle.apply_ackermann_control(carla.VehicleAckermannControl(speed=0.0))
    drive(world, 8.0)
    assert speed(vehicle) == 0.0


def test_ackermann_settings(world: carla.World, vehicle: carla.Vehicle) -> None:
    settings = vehicle.get_ackermann_controller_settings()
    assert (settings.speed_kp, settings.accel_kp) == pytest.approx((0.15, 0.01))
    settings.speed_kp = 0.3
    vehicle.apply_ackermann_controller_settings(settings)
    assert vehicle.get_ackermann_controller_settings() == settings


def test_impulse_and_force(world: carla.World, vehicle: carla.Vehicle) -> None:
    mass = vehicle.get_physics_control().mass
    heading = vehicle.get_transform().get_forward_vector()
    neutral(vehicle)
    world.tick()
    vehicle.add_impulse(heading * (6.0 * mass))
    world.tick()
    assert vehicle.get_velocity().dot(heading) == pytest.approx(6.0, abs=0.05)

    before = vehicle.get_velocity().dot(heading)
    vehicle.add_force(heading * (10.0 * mass))
    world.tick()
    assert vehicle.get_velocity().dot(heading) - before == pytest.approx(10.0 * DELTA_S, abs=0.02)
    before = vehicle.get_velocity().dot(heading)
    world.tick()  # it acted for one step only
    assert vehicle.get_velocity().dot(heading) < before


def test_torque_turns(client: carla.Client, world: carla.World, vehicle: carla.Vehicle) -> None:
    box, mass = vehicle.bounding_box.extent, vehicle.get_physics_control().mass
    inertia = mass * (box.x**2 + box.y**2) / 3.0
    place = vehicle.get_transform()
    place.location.z += 5.0  # in the air nothing holds it
    for push in (vehicle.add_angular_impulse, vehicle.add_torque):  # the client sends the same for both
        vehicle.set_transform(place)
        vehicle.set_target_velocity(carla.Vector3D())
        vehicle.set_target_angular_velocity(carla.Vector3D())
        world.tick()
        push(carla.Vector3D(z=0.5 * inertia / IN_DEGREES))
        world.tick()
        assert math.radians(vehicle.get_angular_velocity().z) == pytest.approx(0.5, rel=0.02)
    vehicle.set_target_angular_velocity(carla.Vector3D())
    client.apply_batch_sync([carla.command.ApplyTorque(vehicle.id, carla.Vector3D(z=0.5 * inertia / IN_DEGREES))])
    world.tick()
    assert math.radians(vehicle.get_angular_velocity().z) == pytest.approx(0.5 * DELTA_S, rel=0.02)


def test_telemetry_is_that_of_the_motion(world: carla.World, vehicle: carla.Vehicle) -> None:
    physics = vehicle.get_physics_control()
    drive(world, 0.5)
    parked = vehicle.get_telemetry_data()
    assert sum(wheel.tire_load for wheel in parked.wheels) == pytest.approx(physics.mass * 9.81, rel=1e-3)
    assert [wheel.omega for wheel in parked.wheels] == [0.0] * 4
    assert [wheel.normalized_tire_load for wheel in parked.wheels] == pytest.approx([1.0] * 4, abs=0.02)

    vehicle.apply_control(carla.VehicleControl(throttle=0.6))
    drive(world, 2.0)
    data = vehicle.get_telemetry_data()
    assert data.speed == pytest.approx(speed(vehicle), abs=0.01)
    assert data.throttle == pytest.approx(0.6)
    assert data.gear == vehicle.get_control().gear
    assert 500.0 < data.engine_rpm <= physics.max_rpm
    assert sum(wheel.tire_load for wheel in data.wheels) == pytest.approx(physics.mass * 9.81, rel=1e-3)
    assert data.wheels[0].tire_load < data.wheels[2].tire_load  # accelerating presses on the rear axle
    assert sum(wheel.long_force for wheel in data.wheels) > physics.mass * 0.5
    for wheel, spec in zip(data.wheels, physics.wheels, strict=True):
        assert wheel.omega * spec.radius / 100.0 == pytest.approx(data.speed * (1.0 + wheel.long_slip), rel=0.02)


def test_wheel_angle_follows_the_steering(world: carla.World, vehicle: carla.Vehicle) -> None:
    front, rear = carla.VehicleWheelLocation.FR_Wheel, carla.VehicleWheelLocation.BR_Wheel
    vehicle.apply_control(carla.VehicleControl(steer=0.3))
    drive(world, 1.0)
    right = vehicle.get_wheel_steer_angle(front)
    vehicle.apply_control(carla.VehicleControl(steer=-0.3))
    drive(world, 1.0)
    assert right == pytest.approx(-vehicle.get_wheel_steer_angle(front))
    assert right > 5.0
    vehicle.set_wheel_steer_direction(front, 40.0)  # only seen
    vehicle.set_wheel_pitch_angle(rear, 30.0)
    assert vehicle.get_wheel_steer_angle(front) == pytest.approx(-right)
    assert vehicle.get_wheel_pitch_angle(rear) == pytest.approx(30.0)


def test_harmless_requests(world: carla.World, vehicle: carla.Vehicle) -> None:
    vehicle.open_door(carla.VehicleDoor.All)
    vehicle.close_door(carla.VehicleDoor.FL)
    vehicle.show_debug_telemetry(True)
    vehicle.restore_physx_physics()
    world.tick()
    assert vehicle.get_failure_state() == carla.VehicleFailureState.NONE


def test_walker_jumps_and_lands(world: carla.World, walker: carla.Walker) -> None:
    ground = walker.get_location().z
    walker.apply_control(carla.WalkerControl(carla.Vector3D(1.0, 0.0, 0.0), 0.0, True))
    world.tick()
    walker.apply_control(carla.WalkerControl(carla.Vector3D(1.0, 0.0, 0.0), 0.0, False))
    heights = []
    for _ in range(40):
        world.tick()
        heights.append(walker.get_location().z - ground)
    assert 0.5 < max(heights) < 1.2
    assert heights[-1] == pytest.approx(0.0, abs=1e-3)


def test_impulse_throws_a_walker(world: carla.World, walker: carla.Walker) -> None:
    walker.add_impulse(carla.Vector3D(0.0, 0.0, 80.0 * 3.0))
    before = walker.get_location().z
    drive(world, 0.2)
    assert walker.get_location().z > before + 0.2


def send(world_port: int, name: str, *args: object) -> None:
    """A call that the Python client has no method for."""
    with socket.create_connection(("127.0.0.1", world_port), timeout=5.0) as sock:
        sock.sendall(msgpack.packb([0, 1, name, [[False], *args]]))
        unpacker = msgpack.Unpacker()
        until = time.monotonic() + 5.0
        while time.monotonic() < until:
            unpacker.feed(sock.recv(4096))
            for message in unpacker:
                assert message == [1, 1, None, [[False]]]
                return


def test_dead_actors_stay_dead(
    world: carla.World, vehicle: carla.Vehicle, walker: carla.Walker, world_port: int
) -> None:
    vehicle.set_target_velocity(vehicle.get_transform().get_forward_vector() * 8.0)
    world.tick()
    send(world_port, "set_actor_dead", vehicle.id)
    send(world_port, "set_actor_dead", walker.id)
    vehicle.apply_control(carla.VehicleControl(brake=1.0))
    walker.apply_control(carla.WalkerControl(carla.Vector3D(1.0, 0.0, 0.0), 2.0))
    place = walker.get_location()
    drive(world, 1.0)
    assert 6.5 < speed(vehicle) < 8.0  # it rolls on
    assert vehicle.get_control().brake == 0.0
    assert walker.get_location().distance_2d(place) < 0.01
    assert walker.get_transform().rotation.roll == pytest.approx(90.0)


def test_impulse_beside_the_middle_turns(world: carla.World, vehicle: carla.Vehicle, world_port: int) -> None:
    box, mass, place = vehicle.bounding_box.extent, vehicle.get_physics_control().mass, vehicle.get_transform()
    place.location.z += 5.0
    vehicle.set_transform(place)
    world.tick()
    side, at = place.get_right_vector(), place.location + place.get_forward_vector() * 1.5
    push = side * (0.4 * mass)
    send(world_port, "add_actor_impulse_at_location", vehicle.id, [push.x, push.y, push.z], [at.x, at.y, at.z])
    world.tick()
    assert vehicle.get_velocity().dot(side) == pytest.approx(0.4, abs=0.01)
    expected = 1.5 * 0.4 * 3.0 / (box.x**2 + box.y**2)
    assert math.radians(vehicle.get_angular_velocity().z) == pytest.approx(expected, rel=0.02)
