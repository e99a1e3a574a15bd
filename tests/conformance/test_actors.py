"""Spawning, moving, batches, lights and rays through the unmodified client."""

from __future__ import annotations

import carla
import pytest


def test_spawn_drive_destroy(world: carla.World, vehicle: carla.Vehicle) -> None:
    start = vehicle.get_transform()
    vehicle.apply_control(carla.VehicleControl(throttle=0.5))
    for _ in range(40):
        world.tick()
    moved = vehicle.get_transform().location - start.location
    forward = start.get_forward_vector()
    assert moved.x * forward.x + moved.y * forward.y > 3.0
    assert vehicle.get_velocity().length() > 3.0
    assert vehicle.get_control().throttle == pytest.approx(0.5)
    assert vehicle.bounding_box.extent.x > 1.5
    assert vehicle.get_speed_limit() > 0.0
    assert vehicle.attributes["role_name"] == "autopilot"
    assert vehicle.destroy()
    world.tick()
    assert vehicle.id not in {actor.id for actor in world.get_actors()}


def test_spawning_on_top_of_a_car_fails(world: carla.World, vehicle: carla.Vehicle) -> None:
    blueprint = world.get_blueprint_library().find("vehicle.audi.tt")
    with pytest.raises(RuntimeError, match="collision at spawn position"):
        world.spawn_actor(blueprint, vehicle.get_transform())
    assert world.try_spawn_actor(blueprint, vehicle.get_transform()) is None


def test_batch_spawns_at_every_spawn_point(client: carla.Client, world: carla.World) -> None:
    points = world.get_map().get_spawn_points()
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    spawn, lights = carla.command.SpawnActor, carla.command.SetVehicleLightState
    flags = carla.VehicleLightState.LowBeam
    commands = [spawn(blueprint, point).then(lights(carla.command.FutureActor, flags)) for point in points]
    answers = client.apply_batch_sync(commands, True)
    assert [answer.error for answer in answers if answer.error] == []
    cars = [world.get_actor(answer.actor_id) for answer in answers]
    for car, point in zip(cars, points, strict=True):
        assert car.get_location().distance(point.location) < 0.6
        assert car.get_light_state() == flags
    gone = client.apply_batch_sync(
        [carla.command.DestroyActor(car.id) for car in cars] + [carla.command.DestroyActor(999_999)], True
    )
    assert [bool(answer.error) for answer in gone] == [False] * len(cars) + [True]
    assert len(world.get_actors().filter("vehicle.*")) == 0


def test_batch_refuses_command_by_command(client: carla.Client, vehicle: carla.Vehicle) -> None:
    control = carla.VehicleControl(brake=1.0)
    good, bad = (carla.command.ApplyVehicleControl(number, control) for number in (vehicle.id, 999_999))
    answers = client.apply_batch_sync([good, bad, good], False)
    assert [answer.error for answer in answers] == ["", "actor 999999 not found", ""]


def test_transforms_and_velocities_are_set(world: carla.World, vehicle: carla.Vehicle) -> None:
    target = world.get_map().get_spawn_points()[5]
    vehicle.set_transform(target)
    vehicle.set_target_velocity(carla.Vector3D(0.0, 0.0, 0.0))
    world.tick()
    assert vehicle.get_location().distance(target.location) < 0.6
    vehicle.set_simulate_physics(False)
    height = carla.Transform(carla.Location(1.0, 2.0, 30.0), carla.Rotation(5.0, 6.0, 7.0))
    vehicle.set_transform(height)
    world.tick()
    at, turn = vehicle.get_location(), vehicle.get_transform().rotation
    assert (at.z, turn.pitch, turn.yaw, turn.roll) == pytest.approx((30.0, 5.0, 6.0, 7.0), abs=1e-3)


def test_physics_control_round_trip(vehicle: carla.Vehicle) -> None:
    physics = vehicle.get_physics_control()
    assert len(physics.wheels) == 4
    assert physics.mass > 500.0
    physics.mass = 2345.0
    wheels = physics.wheels
    wheels[0].tire_friction = 1.25
    physics.wheels = wheels
    vehicle.apply_physics_control(physics)
    read = vehicle.get_physics_control()
    assert (read.mass, read.wheels[0].tire_friction) == pytest.approx((2345.0, 1.25))
    assert [(p.x, p.y) for p in read.torque_curve] == [(p.x, p.y) for p in physics.torque_curve]


def test_walkers_walk(world: carla.World) -> None:
    blueprint = world.get_blueprint_library().find("walker.pedestrian.0001")
    point = world.get_map().get_spawn_points()[3]
    walker = world.spawn_actor(blueprint, point)
    world.tick()
    start = walker.get_location()
    walker.apply_control(carla.WalkerControl(point.get_forward_vector(), 1.4))
    for _ in range(20):
        world.tick()
    assert walker.get_location().distance(start) == pytest.approx(1.4, abs=0.2)
    assert walker.get_control().speed == pytest.approx(1.4)


def test_traffic_lights(world: carla.World) -> None:
    lights = world.get_actors().filter("traffic.traffic_light*")
    assert len(lights) >= 8
    light = lights[0]
    group = light.get_group_traffic_lights()
    assert light.id in {member.id for member in group}
    light.set_state(carla.TrafficLightState.Green)
    light.freeze(True)
    light.set_green_time(3.0)
    for _ in range(5):
        world.tick()
    assert light.get_state() == carla.TrafficLightState.Green
    assert light.is_frozen()
    assert light.get_green_time() == pytest.approx(3.0)
    assert len(light.get_light_boxes()) == 1
    landmarks = {landmark.id for landmark in world.get_map().get_all_landmarks()}
    assert light.get_opendrive_id() in landmarks
    world.freeze_all_traffic_lights(False)
    world.reset_all_traffic_lights()
    states = set()
    for _ in range(300):
        world.tick()
        showing = [member.get_state() for member in group]
        states.update(showing)
        assert carla.TrafficLightState.Red in showing  # never all of a junction's approaches at once
    colours = carla.TrafficLightState
    assert states == {colours.Red, colours.Yellow, colours.Green}


def test_a_car_before_a_light_is_at_it(world: carla.World, vehicle: carla.Vehicle) -> None:
    light = world.get_actors().filter("traffic.traffic_light*")[0]
    light.set_state(carla.TrafficLightState.Red)
    light.freeze(True)
    stop = light.get_stop_waypoints()[0].previous(3.5)[0].transform  # the front ends up behind the stop line
    stop.location.z += 0.3
    vehicle.set_transform(stop)
    for _ in range(3):
        world.tick()
    assert vehicle.is_at_traffic_light()
    assert vehicle.get_traffic_light().id == light.id
    assert vehicle.get_traffic_light_state() == carla.TrafficLightState.Red


def test_rays(world: carla.World, vehicle: carla.Vehicle) -> None:
    at = vehicle.get_location()
    above = carla.Location(at.x, at.y, 50.0)
    hits = world.cast_ray(above, carla.Location(at.x, at.y, -1.0))
    assert next(hit.label for hit in hits) == carla.CityObjectLabel.Car
    ground = world.ground_projection(above + carla.Location(0.0, 0.0, 1.0), 100.0)
    assert ground is not None
    assert ground.location.z > 0.5
    boxes = world.get_level_bbs(carla.CityObjectLabel.Buildings)
    assert len(boxes) > 0
    objects = world.get_environment_objects(carla.CityObjectLabel.Buildings)
    assert len(objects) == len(boxes)
