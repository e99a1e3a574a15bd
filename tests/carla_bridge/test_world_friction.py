"""Friction triggers: inside the tyres have the trigger's friction, outside their own."""

from __future__ import annotations

import pytest
from world_helpers import car, make_world, run

from carla_bridge.embedded.types import Pose
from carla_bridge.embedded.vehicle_physics import GRIP


def braking_distance(friction: float | None, x: float = 0.0) -> float:
    world = make_world()
    ego = car(world)
    if friction is not None:
        sizes = {f"extent_{axis}": (2, str(100.0 * size)) for axis, size in zip("xyz", (200.0, 5.0, 2.0), strict=True)}
        world.spawn("static.trigger.friction", 1, {"friction": (2, str(friction)), **sizes}, Pose(x, 0.0, 0.0))
    world.set_target_velocity(ego, (15.0, 0.0, 0.0))
    world.apply_vehicle_control(ego, brake=1.0)
    run(world, 12.0)
    assert abs(world.actors[ego].velocity[0]) < 0.05
    return world.actors[ego].pose.x


def test_braking_distance_follows_the_trigger():
    dry = braking_distance(None)
    assert braking_distance(3.5) == pytest.approx(dry, rel=1e-6)
    assert braking_distance(1.0) > 1.8 * dry
    assert braking_distance(1.0, x=1000.0) == dry  # far away
    assert braking_distance(0.5) == pytest.approx(15.0**2 / (2.0 * 9.81 * GRIP * 0.5 / 3.5), rel=0.15)


def test_outside_the_tyres_are_as_before_even_after_new_physics():
    world = make_world()
    ego = car(world)
    sizes = {f"extent_{axis}": (2, "500") for axis in "xyz"}
    trigger = world.spawn("static.trigger.friction", 1, {"friction": (2, "0.5"), **sizes}, Pose()).id
    before = world.bodies.param.copy()
    world.step(0.05)
    assert (world.bodies.param != before).any()
    world.set_physics_control(ego, world.physics_control(ego))
    world.step(0.05)
    assert (world.bodies.param != before).any()
    world.destroy(trigger)
    world.step(0.05)
    assert (world.bodies.param == before).all()
