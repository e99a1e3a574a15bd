"""The unmodified client connects, reads the world, sets it and ticks it."""

from __future__ import annotations

import socket

import carla
import pytest

DELTA_S = 0.05  # of the world fixture


def test_version_and_maps(client: carla.Client) -> None:
    assert client.get_server_version() == client.get_client_version()
    assert any(name.endswith("/Gridley") for name in client.get_available_maps())


def test_asynchronous_world_runs_by_itself(client: carla.Client) -> None:
    world = client.load_world("Gridley")
    assert not world.get_settings().synchronous_mode
    first = world.wait_for_tick().frame
    assert world.wait_for_tick().frame > first


def test_settings_round_trip(world: carla.World) -> None:
    settings = world.get_settings()
    assert settings.synchronous_mode
    assert settings.fixed_delta_seconds == pytest.approx(DELTA_S)
    settings.fixed_delta_seconds, settings.max_substeps = 0.1, 12
    world.apply_settings(settings)
    read = world.get_settings()
    assert (read.fixed_delta_seconds, read.max_substeps) == (pytest.approx(0.1), 12)
    world.tick()
    assert world.get_snapshot().timestamp.delta_seconds == pytest.approx(0.1)


def test_ticks_are_consecutive_and_last_delta(world: carla.World) -> None:
    before = world.get_snapshot().timestamp
    for k in range(1, 30):
        assert world.tick() == before.frame + k
        now = world.get_snapshot().timestamp
        assert now.frame == before.frame + k
        assert now.elapsed_seconds == pytest.approx(before.elapsed_seconds + k * DELTA_S, abs=1e-9)


def test_second_client_sees_the_same_actors(world: carla.World, world_port: int) -> None:
    other = carla.Client("127.0.0.1", world_port)
    other.set_timeout(10.0)
    ids = {actor.id for actor in other.get_world().get_actors()}  # without a tick in between
    assert ids == {actor.id for actor in world.get_actors()}
    assert len(ids) > 1


def test_map_is_drivable(world: carla.World) -> None:
    town = world.get_map()
    points = town.get_spawn_points()
    assert len(points) >= 20
    assert len(town.get_topology()) >= 16
    for point in points:
        waypoint = town.get_waypoint(point.location)
        assert waypoint.lane_type == carla.LaneType.Driving
        assert waypoint.transform.location.distance(point.location) < 1.0
        assert abs((waypoint.transform.rotation.yaw - point.rotation.yaw + 180.0) % 360.0 - 180.0) < 5.0


def test_blueprints(world: carla.World) -> None:
    library = world.get_blueprint_library()
    for pattern in ("vehicle.*", "walker.*", "static.*", "sensor.*"):
        assert len(library.filter(pattern)) > 0
    car = library.find("vehicle.lincoln.mkz_2020")
    assert int(car.get_attribute("number_of_wheels")) == 4
    assert car.get_attribute("base_type").as_str() == "car"
    assert len(car.get_attribute("color").recommended_values) > 0
    car.set_attribute("role_name", "hero")
    assert len(library.find("walker.pedestrian.0001").get_attribute("speed").recommended_values) == 3
    camera = library.find("sensor.camera.rgb")
    assert {"image_size_x", "image_size_y", "fov", "sensor_tick"} <= {attribute.id for attribute in camera}


def test_reload_starts_another_episode(client: carla.Client, world: carla.World) -> None:
    blueprint = world.get_blueprint_library().find("vehicle.audi.tt")
    car = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0])
    world.tick()
    fresh = client.reload_world(False)
    assert fresh.get_settings().synchronous_mode
    assert len(fresh.get_actors().filter("vehicle.*")) == 0
    again = fresh.spawn_actor(blueprint, world.get_map().get_spawn_points()[0])
    assert again.id > car.id  # ids are never used twice
    with pytest.raises(RuntimeError, match="Gridley"):
        client.load_world("Nowhere")


def test_weather_is_remembered(world: carla.World) -> None:
    weather = world.get_weather()
    weather.cloudiness = 33.0
    world.set_weather(weather)
    assert world.get_weather().cloudiness == pytest.approx(33.0)


def test_unsupported_calls_say_so(world: carla.World) -> None:
    texture = carla.TextureColor(2, 2)
    with pytest.raises(RuntimeError, match="apply_color_texture_to_objects is not supported by the embedded world"):
        world.apply_color_texture_to_object("Buildings_1", carla.MaterialParameter.Diffuse, texture)


def test_bad_bytes_close_that_connection_only(world: carla.World, world_port: int) -> None:
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\x94\x00\x01\xa1x\xc0", b"\xc1" * 64, b"\x93\x00\x01\x02"):
        with socket.create_connection(("127.0.0.1", world_port), timeout=5.0) as sock:
            sock.sendall(junk)
            assert sock.recv(16) == b""
    with socket.create_connection(("127.0.0.1", world_port + 1), timeout=5.0) as sock:
        sock.sendall(b"\xff\xff\xff\xff")  # no such stream
        assert sock.recv(16) == b""
    world.tick()


def test_reloading_again_and_again(client: carla.Client, world: carla.World) -> None:
    """A snapshot that reaches the episode which the client is just leaving can crash it: none may be sent then."""
    episodes = set()
    for _ in range(20):
        world = client.reload_world(False)
        episodes.add(world.id)
        assert world.tick() == world.get_snapshot().frame
    assert len(episodes) == 20
