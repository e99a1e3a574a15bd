"""Controls and physics of vehicles as CARLA documents them."""

from __future__ import annotations

import math

import carla
import pytest

DELTA_S = 0.05


def forward(vehicle: carla.Vehicle) -> float:
    """[m/s]"""
    return float(vehicle.get_velocity().dot(vehicle.get_transform().get_forward_vector()))


def drive(world: carla.World, vehicle: carla.Vehicle, seconds: float, **control: object) -> float:
    """The forward speed after so long under one control."""
    vehicle.apply_control(carla.VehicleControl(**control))
    for _ in range(round(seconds / DELTA_S)):
        world.tick()
    return forward(vehicle)


def same(one: object, two: object) -> None:
    """Structures of the client, field by field."""
    if isinstance(one, float):
        assert one == pytest.approx(two, rel=1e-5, abs=1e-4)
    elif isinstance(one, (bool, int)):
        assert one == two
    elif hasattr(one, "__iter__"):
        left, right = list(one), list(two)  # type: ignore[call-overload]
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            same(a, b)
    else:
        for name in dir(one):
            if not name.startswith("_") and not callable(getattr(one, name)):
                same(getattr(one, name), getattr(two, name))


def test_physics_control_round_trip(world: carla.World, vehicle: carla.Vehicle) -> None:
    physics = vehicle.get_physics_control()
    names = [name for name in dir(physics) if not name.startswith("_")]
    assert len(names) >= 17, names
    physics.torque_curve = [carla.Vector2D(0.0, 300.0), carla.Vector2D(4000.0, 350.0), carla.Vector2D(7000.0, 200.0)]
    physics.max_rpm, physics.moi = 7000.0, 1.5
    physics.damping_rate_full_throttle = 0.2
    physics.damping_rate_zero_throttle_clutch_engaged = 1.5
    physics.damping_rate_zero_throttle_clutch_disengaged = 0.4
    physics.use_gear_autobox, physics.gear_switch_time, physics.clutch_strength = False, 0.25, 8.0
    physics.final_ratio = 4.1
    physics.forward_gears = [carla.GearPhysicsControl(3.0, 0.4, 0.7), carla.GearPhysicsControl(1.0, 0.5, 0.8)]
    physics.mass, physics.drag_coefficient = 2000.0, 0.25
    physics.center_of_mass = carla.Location(0.1, 0.0, 0.5)
    physics.steering_curve = [carla.Vector2D(0.0, 1.0), carla.Vector2D(100.0, 0.5)]
    physics.use_sweep_wheel_collision = True
    wheels = physics.wheels
    for wheel in wheels:
        wheel.tire_friction, wheel.radius = 3.0, 33.0
    physics.wheels = wheels
    vehicle.apply_physics_control(physics)
    world.tick()
    same(physics, vehicle.get_physics_control())


def test_pedals(world: carla.World, vehicle: carla.Vehicle) -> None:
    slow = drive(world, vehicle, 2.0, throttle=0.3)
    assert 0.5 < slow < drive(world, vehicle, 2.0, throttle=1.0)
    fast = forward(vehicle)
    coasted = drive(world, vehicle, 0.5)
    assert 0.8 * fast < coasted < fast
    assert drive(world, vehicle, 0.5, brake=0.4) < coasted - 1.0
    assert drive(world, vehicle, 4.0, brake=1.0) == pytest.approx(0.0, abs=1e-3)


def test_hand_brake_holds(world: carla.World, vehicle: carla.Vehicle) -> None:
    assert drive(world, vehicle, 2.0, throttle=0.8) > 3.0
    assert drive(world, vehicle, 5.0, hand_brake=True) == pytest.approx(0.0, abs=0.02)


def test_reverse(world: carla.World, vehicle: carla.Vehicle) -> None:
    assert drive(world, vehicle, 2.0, throttle=0.5, reverse=True) < -1.0
    assert vehicle.get_control().reverse
    assert vehicle.get_control().gear == -1


def test_manual_gears(world: carla.World, vehicle: carla.Vehicle) -> None:
    assert drive(world, vehicle, 1.0, throttle=1.0, manual_gear_shift=True, gear=0) == pytest.approx(0.0, abs=0.01)
    assert drive(world, vehicle, 1.5, throttle=0.6, manual_gear_shift=True, gear=1) > 1.0
    assert vehicle.get_control().gear == 1
    drive(world, vehicle, 4.0, brake=1.0)
    assert drive(world, vehicle, 1.5, throttle=0.6, manual_gear_shift=True, gear=-1) < -1.0


def test_steering_turns_to_its_side(world: carla.World, vehicle: carla.Vehicle) -> None:
    drive(world, vehicle, 2.0, throttle=0.5)
    drive(world, vehicle, 0.5, throttle=0.2, steer=0.3)
    assert vehicle.get_angular_velocity().z > 1.0  # to the right, in CARLA's axes
    drive(world, vehicle, 0.7, throttle=0.2, steer=-0.3)
    assert vehicle.get_angular_velocity().z < -1.0


def test_control_that_does_not_stick(world: carla.World) -> None:
    blueprint = world.get_blueprint_library().find("vehicle.lincoln.mkz_2020")
    blueprint.set_attribute("sticky_control", "false")
    vehicle = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0])
    for _ in range(20):
        world.tick()
    vehicle.apply_control(carla.VehicleControl(throttle=1.0))
    world.tick()
    world.tick()
    assert vehicle.get_control().throttle == 0.0


def test_target_velocity(world: carla.World, vehicle: carla.Vehicle) -> None:
    heading = vehicle.get_transform().get_forward_vector()
    vehicle.set_target_velocity(heading * 10.0)
    world.tick()
    assert forward(vehicle) == pytest.approx(10.0, abs=0.3)
    for _ in range(40):
        world.tick()
    assert forward(vehicle) < 9.5  # it is not held


def test_constant_velocity(world: carla.World, vehicle: carla.Vehicle) -> None:
    vehicle.enable_constant_velocity(carla.Vector3D(7.0, 0.0, 0.0))
    assert drive(world, vehicle, 2.0, brake=1.0) == pytest.approx(7.0, abs=0.01)
    vehicle.disable_constant_velocity()
    assert drive(world, vehicle, 3.0, brake=1.0) == pytest.approx(0.0, abs=1e-3)


def test_teleport(world: carla.World, vehicle: carla.Vehicle) -> None:
    there = world.get_map().get_spawn_points()[5]
    vehicle.set_transform(there)
    world.tick()
    assert vehicle.get_location().distance_2d(there.location) < 0.1
    turned = (vehicle.get_transform().rotation.yaw - there.rotation.yaw + 180.0) % 360.0 - 180.0
    assert abs(turned) < 1.0


def test_without_physics(world: carla.World, vehicle: carla.Vehicle) -> None:
    vehicle.set_simulate_physics(False)
    here = vehicle.get_transform()
    drive(world, vehicle, 1.0, throttle=1.0)
    assert vehicle.get_location().distance(here.location) == 0.0
    here.location.z += 3.0
    vehicle.set_transform(here)
    world.tick()
    assert vehicle.get_location().z == pytest.approx(here.location.z, abs=1e-3)
    vehicle.set_simulate_physics(True)
    assert drive(world, vehicle, 2.0, throttle=0.5) > 1.0


def test_without_gravity(world: carla.World, vehicle: carla.Vehicle) -> None:
    up = vehicle.get_transform()
    up.location.z += 4.0
    vehicle.set_enable_gravity(False)
    vehicle.set_transform(up)
    for _ in range(20):
        world.tick()
    assert vehicle.get_location().z == pytest.approx(up.location.z, abs=1e-2)
    vehicle.set_enable_gravity(True)
    for _ in range(round(math.sqrt(2 * 4.0 / 9.81) / DELTA_S) + 10):
        world.tick()
    assert vehicle.get_location().z == pytest.approx(up.location.z - 4.0, abs=0.05)
