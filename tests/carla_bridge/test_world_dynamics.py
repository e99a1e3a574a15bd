"""Vehicles against closed-form motion."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_helpers import car, make_world, run

from carla_bridge.embedded.types import Pose
from carla_bridge.embedded.vehicle_physics import (
    AIR_DENSITY,
    DEFAULT_TIRE_FRICTION,
    ENGINE_BRAKE_M_S2,
    FULL_BRAKE_M_S2,
    GRAVITY_M_S2,
    GRIP,
    ROLLING_COEFFICIENT,
    WHEELBASE_SHARE,
)


def speed_of(world, actor_id: int) -> float:
    return math.hypot(*world.actors[actor_id].velocity[:2])


def test_coasting_in_neutral_follows_the_drag_equation():
    world = make_world()
    ego = car(world)
    physics = world.physics_control(ego)
    _, ey, ez = world.actors[ego].extent
    world.set_target_velocity(ego, (30.0, 0.0, 0.0))
    world.apply_vehicle_control(ego, manual=True, gear=0)
    run(world, 20.0)
    # m dv/dt = -a - b v^2  =>  v(t) = sqrt(a/b) tan(atan(v0 sqrt(b/a)) - t sqrt(ab)/m)
    a = ROLLING_COEFFICIENT * physics.mass * GRAVITY_M_S2
    b = 0.5 * AIR_DENSITY * physics.drag_coefficient * 0.85 * 2 * ey * 2 * ez
    expected = math.sqrt(a / b) * math.tan(math.atan(30.0 * math.sqrt(b / a)) - 20.0 * math.sqrt(a * b) / physics.mass)
    assert speed_of(world, ego) == pytest.approx(expected, rel=1e-3)


def test_full_braking_stops_in_the_ballistic_distance_and_stays():
    world = make_world()
    ego = car(world)
    world.set_target_velocity(ego, (20.0, 0.0, 0.0))
    world.apply_vehicle_control(ego, brake=1.0)
    run(world, 4.0)
    stopped = world.actors[ego].pose
    assert 0.9 < stopped.x / (20.0**2 / (2 * FULL_BRAKE_M_S2)) <= 1.01  # rolling resistance and drag help a little
    run(world, 2.0)
    assert world.actors[ego].pose == stopped
    assert world.actors[ego].velocity == (0.0, 0.0, 0.0)


def test_full_throttle_is_that_of_a_passenger_car():
    world = make_world()
    ego = car(world)
    world.apply_vehicle_control(ego, throttle=1.0)
    ticks = next(k for k in range(400) if (world.step(0.05), speed_of(world, ego) >= 100 / 3.6)[1])
    assert 4.5 < ticks * 0.05 < 9.0
    run(world, 60.0)
    assert 150.0 < 3.6 * speed_of(world, ego) < 300.0


@pytest.mark.parametrize("steer", [-0.3, 0.1, 0.6])
def test_slow_circle_has_the_radius_of_the_bicycle(steer):
    """The rear axle turns on a circle of radius L / tan(wheel angle)."""
    world = make_world()
    ego = car(world)
    for _ in range(200):
        world.apply_vehicle_control(ego, throttle=0.3 if speed_of(world, ego) < 1.0 else 0.0, steer=steer)
        world.step(0.05)
    actor = world.actors[ego]
    base = 2 * WHEELBASE_SHARE * actor.extent[0]
    angle = math.radians(world.wheel_steer_angle(ego, 0))
    assert math.copysign(1.0, angle) == math.copysign(1.0, steer)
    yaw, rate = math.radians(actor.pose.yaw), math.radians(actor.angular_velocity[2])
    forward = actor.velocity[0] * math.cos(yaw) + actor.velocity[1] * math.sin(yaw)
    assert forward / rate == pytest.approx(base / math.tan(angle), rel=0.03)


def test_reverse_turns_the_other_way_round():
    world = make_world()
    ego = car(world)
    world.apply_vehicle_control(ego, throttle=0.3, steer=0.3, reverse=True)
    run(world, 1.5)
    assert world.actors[ego].pose.x < -0.5
    assert world.actors[ego].angular_velocity[2] < 0.0
    assert world.actors[ego].control.gear == -1


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 45.0), st.floats(-1.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.booleans())
def test_grip_bounds_every_acceleration(speed, steer, throttle, brake, hand_brake):
    """Whatever the driver does, the tyres give at most mu g (plus air drag), and nothing blows up."""
    world = make_world()
    ego = car(world)
    world.set_target_velocity(ego, (speed, 0.0, 0.0))
    world.apply_vehicle_control(ego, throttle, steer, brake, hand_brake)
    for _ in range(40):
        before = speed_of(world, ego)
        world.step(0.05)
        actor = world.actors[ego]
        # Fully braking leaves 0.35 of the side grip, half of it in front, where a steered wheel turns it backwards.
        assert math.hypot(*actor.acceleration) < 1.25 * GRIP * GRAVITY_M_S2 + 0.001 * before**2
        assert abs(actor.angular_velocity[2]) < 200.0


def test_brisk_corner_on_the_road_does_not_spin():
    world = make_world()
    ego = car(world)
    world.set_target_velocity(ego, (20.0, 0.0, 0.0))
    world.apply_vehicle_control(ego, throttle=0.2, steer=0.04)
    run(world, 3.0)
    actor = world.actors[ego]
    slip = (math.atan2(actor.velocity[1], actor.velocity[0]) - math.radians(actor.pose.yaw) + math.pi) % (2 * math.pi)
    assert abs(slip - math.pi) < math.radians(4.0)
    lateral = speed_of(world, ego) * math.radians(actor.angular_velocity[2])
    assert 2.0 < lateral < GRIP * GRAVITY_M_S2


def test_without_tyre_friction_nothing_but_drag_acts():
    world = make_world()
    ego = car(world)
    physics = world.physics_control(ego)
    assert physics.wheels[0].tire_friction == DEFAULT_TIRE_FRICTION
    wheels = tuple(replace(wheel, tire_friction=0.0) for wheel in physics.wheels)
    world.set_physics_control(ego, replace(physics, wheels=wheels, drag_coefficient=0.0))
    world.set_target_velocity(ego, (5.0, 1.0, 0.0))
    world.apply_vehicle_control(ego, throttle=1.0, steer=1.0, brake=1.0)
    run(world, 2.0)
    np.testing.assert_allclose(world.actors[ego].velocity, (5.0, 1.0, 0.0), atol=1e-12)


def test_physics_control_comes_back_as_it_was_set():
    world = make_world()
    ego = car(world, 10.0, 5.0, 30.0)
    wanted = replace(world.physics_control(ego), mass=2000.0, drag_coefficient=0.5)
    world.set_physics_control(ego, wanted)
    assert world.physics_control(ego) == wanted


@pytest.mark.parametrize("field", ["mass", "max_rpm", "final_ratio", "clutch_strength"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_physics_control_of_unusable_numbers_is_refused(field, value):
    world = make_world()
    ego = car(world)
    usual = world.physics_control(ego)
    with pytest.raises(ValueError, match=r"mass|finite"):
        world.set_physics_control(ego, replace(usual, **{field: value}))
    assert world.physics_control(ego) == usual


@pytest.mark.parametrize("change", [{"mass": 1e-3}, {"drag_coefficient": -1e9}, {"final_ratio": 1e9}])
def test_nothing_that_a_client_asks_for_ends_beyond_all_numbers(change):
    world = make_world()
    ego, other = car(world), car(world, 20.0, 8.0)
    world.set_physics_control(ego, replace(world.physics_control(ego), **change))
    world.set_target_velocity(ego, (1e9, 1e9, 0.0))
    world.apply_vehicle_control(ego, 1.0, 0.5)
    run(world, 0.5)
    for actor_id in (ego, other):
        actor = world.actors[actor_id]
        assert np.isfinite([actor.pose.x, actor.pose.y, actor.pose.yaw, *actor.velocity, *actor.acceleration]).all()
    assert world.actors[other].pose.x == 20.0


def test_spawned_in_the_air_it_falls_freely_and_rests_on_the_ground():
    world = make_world()
    ego = world.spawn("vehicle.tesla.model3", 1, {}, Pose(0.0, 0.0, 2.0)).id
    run(world, 0.5)
    assert world.actors[ego].pose.z == pytest.approx(2.0 - 0.5 * GRAVITY_M_S2 * 0.5**2, abs=0.03)
    assert world.actors[ego].acceleration[2] == pytest.approx(-GRAVITY_M_S2)
    run(world, 1.0)
    assert world.actors[ego].pose == Pose()


def test_engine_brakes_when_the_throttle_is_closed():
    world = make_world()
    ego = car(world)
    world.set_target_velocity(ego, (10.0, 0.0, 0.0))
    run(world, 1.0)
    assert 10.0 - speed_of(world, ego) == pytest.approx(
        ENGINE_BRAKE_M_S2 + ROLLING_COEFFICIENT * GRAVITY_M_S2, abs=0.05
    )


def test_a_driver_with_a_gain_on_speed_and_heading_settles_on_a_lane():
    """The loop that agents and the traffic manager close: no oscillation at town and at motorway speed."""
    for wanted in (3.0, 12.0, 30.0):
        world = make_world()
        ego = car(world, 0.0, 1.5)
        errors = []
        for _ in range(600):
            actor = world.actors[ego]
            speed = speed_of(world, ego)
            aim = math.degrees(math.atan2(-actor.pose.y, max(6.0, speed))) - actor.pose.yaw
            gas = 0.4 * (wanted - speed)
            world.apply_vehicle_control(ego, min(0.85, max(0.0, gas)), aim / 70.0, min(0.5, max(0.0, -gas)))
            world.step(0.05)
            errors.append(abs(actor.pose.y))
        assert max(errors[-100:]) < 0.05
        assert speed_of(world, ego) == pytest.approx(wanted, abs=1.0)
