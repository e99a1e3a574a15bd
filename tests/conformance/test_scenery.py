"""The static world as clients see it: objects, street lights, signs, drawings, weather, components and bones."""

from __future__ import annotations

import math
from queue import Queue

import carla
import numpy as np
import pytest

PRESETS = [name for name in dir(carla.WeatherParameters) if name[0].isupper()]


def test_environment_objects(world: carla.World) -> None:
    everything = world.get_environment_objects()
    buildings = world.get_environment_objects(carla.CityObjectLabel.Buildings)
    assert 0 < len(buildings) < len(everything)
    assert len({thing.id for thing in everything}) == len(everything)
    assert {thing.id for thing in buildings} <= {thing.id for thing in everything}
    assert len(world.get_level_bbs(carla.CityObjectLabel.Buildings)) == len(buildings)
    assert set(world.get_names_of_all_objects()) == {thing.name for thing in everything}
    world.enable_environment_objects({buildings[0].id}, False)  # told in the log that it cannot be
    world.tick()


def test_weather_round_trip_and_presets(world: carla.World) -> None:
    seen = set()
    for name in PRESETS:
        weather = getattr(carla.WeatherParameters, name)
        world.set_weather(weather)
        assert world.get_weather() == weather
        seen.add(tuple(getattr(weather, field) for field in ("cloudiness", "precipitation", "sun_altitude_angle")))
    assert len(seen) > 10


def test_weather_that_is_none_is_refused(world: carla.World) -> None:
    before = world.get_weather()
    broken = world.get_weather()
    broken.fog_density = math.nan
    world.set_weather(broken)
    assert world.get_weather() == before


def test_street_lights_follow_the_sun_and_the_client(world: carla.World) -> None:
    manager = world.get_lightmanager()
    lights = manager.get_all_lights()
    assert len(lights) > 10
    assert not any(light.is_on for light in lights)
    world.set_weather(carla.WeatherParameters.ClearNight)
    world.tick()
    world.tick()
    assert all(light.is_on for light in manager.get_all_lights())
    manager.turn_off(lights[:3])
    manager.set_intensity(lights[:3], 123.0)
    for _ in range(3):
        world.tick()
    states = manager.get_all_lights()
    assert [light.is_on for light in states[:4]] == [False, False, False, True]
    assert states[0].intensity == pytest.approx(123.0)
    assert len(manager.get_all_lights(carla.LightGroup.Street)) == len(lights)


def test_traffic_lights_and_their_landmarks(world: carla.World) -> None:
    """What connects lights with the road network, each way."""
    town = world.get_map()
    lights = list(world.get_actors().filter("traffic.traffic_light"))
    landmarks = [landmark for landmark in town.get_all_landmarks() if landmark.type == "1000001"]
    assert {landmark.id for landmark in landmarks} == {light.get_opendrive_id() for light in lights}
    for light in lights[::7]:
        assert world.get_traffic_light_from_opendrive_id(light.get_opendrive_id()).id == light.id
        group = light.get_group_traffic_lights()
        assert light.id in {member.id for member in group}
        assert 0 <= light.get_pole_index() < len(group)
        assert len(light.get_light_boxes()) >= 1
        stops = light.get_stop_waypoints()
        assert len(stops) >= 1
        assert all(stop.transform.location.distance(light.get_location()) < 60.0 for stop in stops)
        assert len(light.get_affected_lane_waypoints()) >= 1
        junction = stops[0].next(15.0)[0].get_junction()
        if junction is not None:
            assert light.id in {member.id for member in world.get_traffic_lights_in_junction(junction.id)}
    found = world.get_traffic_light(landmarks[0])
    assert found.get_opendrive_id() == landmarks[0].id
    waypoint = town.get_waypoint(lights[0].get_stop_waypoints()[0].transform.location)
    before = waypoint.previous(10.0)[0]
    assert len(world.get_traffic_lights_from_waypoint(before, 40.0)) >= 1


def test_signs_are_actors(client: carla.Client, world: carla.World) -> None:
    world = client.load_world("Larkhill", False)
    world.tick()
    signs = [actor for actor in world.get_actors().filter("traffic.*") if actor.type_id != "traffic.traffic_light"]
    assert {"traffic.stop"} <= {sign.type_id for sign in signs}
    by_id = {landmark.id: landmark for landmark in world.get_map().get_all_landmarks()}
    for sign in signs:
        assert isinstance(sign, carla.TrafficSign)
        assert max(sign.trigger_volume.extent.x, sign.trigger_volume.extent.y) > 0.5
        assert not sign.destroy()
    stops = [landmark for landmark in by_id.values() if landmark.type == "206"]
    assert stops
    assert all(world.get_traffic_sign(stop).type_id == "traffic.stop" for stop in stops)


def rgb_camera(world: carla.World, place: carla.Transform) -> tuple[carla.Sensor, Queue[carla.Image]]:
    blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
    for name, value in (("image_size_x", "160"), ("image_size_y", "120"), ("fov", "90")):
        blueprint.set_attribute(name, value)
    camera = world.spawn_actor(blueprint, place)
    images: Queue[carla.Image] = Queue()
    camera.listen(images.put)
    return camera, images


def magenta(image: carla.Image) -> int:
    pixels = np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)[:, :, :3].astype(int)
    return int(((pixels[:, :, 0] > 200) & (pixels[:, :, 1] < 60) & (pixels[:, :, 2] > 200)).sum())


def test_drawings_are_seen_as_long_as_they_live(world: carla.World) -> None:
    start = world.get_map().get_spawn_points()[0]
    eye = carla.Transform(start.location + carla.Location(z=2.0), start.rotation)
    camera, images = rgb_camera(world, eye)
    colour = carla.Color(255, 0, 255)
    ahead = eye.location + 8.0 * eye.get_forward_vector()

    def seen() -> int:
        world.tick()
        return magenta(images.get(timeout=10.0))

    assert seen() == 0
    up = carla.Location(z=1.0)
    drawings = (
        lambda life: world.debug.draw_point(ahead, 0.5, colour, life),
        lambda life: world.debug.draw_line(ahead - up, ahead + up, 0.2, colour, life),
        lambda life: world.debug.draw_arrow(ahead - up, ahead + up, 0.2, 0.5, colour, life),
        lambda life: world.debug.draw_box(
            carla.BoundingBox(ahead, carla.Vector3D(1.0, 1.0, 1.0)), eye.rotation, 0.1, colour, life
        ),
        lambda life: world.debug.draw_string(ahead, "MMMM", False, colour, life),
    )
    for draw in drawings:
        draw(-1.0)
        assert seen() > 10
        assert seen() == 0
    drawings[0](0.12)
    assert [seen() > 10 for _ in range(4)] == [True, True, False, False]
    behind = eye.location - 8.0 * eye.get_forward_vector()
    world.debug.draw_line(behind, behind - up, 0.2, colour, 0.2)
    assert seen() == 0
    world.debug.draw_line(behind, ahead, 0.2, colour, -1.0)  # past the camera
    assert seen() >= 0
    camera.stop()


def test_components_and_bones(world: carla.World, vehicle: carla.Vehicle) -> None:
    assert len(vehicle.get_component_names()) >= 1
    world_place = vehicle.get_component_world_transform(vehicle.get_component_names()[0])
    assert world_place.location.distance(vehicle.get_location()) < 1e-3
    names, places = vehicle.get_bone_names(), vehicle.get_bone_world_transforms()
    assert len(names) == len(places) > 4
    assert all(place.location.distance(vehicle.get_location()) < 4.0 for place in places)
    assert len(vehicle.get_socket_names()) == len(vehicle.get_socket_world_transforms())
    with pytest.raises(RuntimeError, match="has no component"):
        vehicle.get_component_world_transform("nothing")


def test_a_walkers_skeleton_stands_on_its_feet(world: carla.World) -> None:
    blueprint = world.get_blueprint_library().find("walker.pedestrian.0001")
    point = world.get_map().get_spawn_points()[3]
    walker = world.spawn_actor(blueprint, carla.Transform(point.location + carla.Location(z=1.0)))
    for _ in range(10):
        world.tick()
    bones = {bone.name: bone for bone in walker.get_bones().bone_transforms}
    middle = walker.get_location().z
    assert bones["crl_root"].world.location.z < middle < bones["crl_Head__C"].world.location.z
    left, right = bones["crl_hand__L"].relative.location.y, bones["crl_hand__R"].relative.location.y
    assert left < 0.0 < right
