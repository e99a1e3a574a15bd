"""Friction triggers through the unmodified client, in the manner of CARLA's own example."""

from __future__ import annotations

import carla


def braking_distance(world: carla.World, vehicle: carla.Vehicle, start: carla.Transform) -> float:
    vehicle.set_transform(start)
    vehicle.apply_control(carla.VehicleControl())
    vehicle.set_target_velocity(10.0 * start.get_forward_vector())
    world.tick()
    vehicle.apply_control(carla.VehicleControl(brake=1.0))
    for _ in range(160):
        world.tick()
    assert vehicle.get_velocity().length() < 0.05
    return vehicle.get_location().distance(start.location)


def test_brakes_are_worse_in_a_slippery_box_and_as_good_as_before_outside(
    world: carla.World, vehicle: carla.Vehicle
) -> None:
    start = vehicle.get_transform()
    dry = braking_distance(world, vehicle, start)
    blueprint = world.get_blueprint_library().find("static.trigger.friction")
    extent = carla.Location(5000.0, 700.0, 700.0)
    blueprint.set_attribute("friction", str(0.7))
    blueprint.set_attribute("extent_x", str(extent.x))
    blueprint.set_attribute("extent_y", str(extent.y))
    blueprint.set_attribute("extent_z", str(extent.z))
    trigger = world.spawn_actor(blueprint, start)
    slippery = braking_distance(world, vehicle, start)
    assert trigger.destroy()
    assert slippery > 2.0 * dry
    assert abs(braking_distance(world, vehicle, start) - dry) < 0.05
