"""The client library's own TrafficManager drives in this world."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import carla
import pytest

CARS = 12


@pytest.fixture
def traffic_manager(client: carla.Client, world: carla.World) -> Iterator[carla.TrafficManager]:
    manager = new_traffic_manager(client)
    yield manager
    manager.shut_down()


def new_traffic_manager(client: carla.Client) -> carla.TrafficManager:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    manager = client.get_trafficmanager(port)
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(5)
    return manager


def drive(client: carla.Client, world: carla.World, port: int, ticks: int) -> tuple[bytes, list[float], float, int]:
    """Positions as bytes, distances to lane centres, mean distance driven, ticks spent standing at a red light."""
    town = world.get_map()
    points = town.get_spawn_points()
    points = points[:: len(points) // CARS][:CARS]
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    autopilot = carla.command.SetAutopilot(carla.command.FutureActor, True, port)
    answers = client.apply_batch_sync(
        [carla.command.SpawnActor(blueprint, point).then(autopilot) for point in points], True
    )
    cars = [world.get_actor(answer.actor_id) for answer in answers]
    track, offsets, driven, waiting = bytearray(), [], 0.0, 0
    for tick in range(ticks):
        world.tick()
        for car in cars:
            at = car.get_location()
            driven += car.get_velocity().length() * 0.05 / CARS
            track += struct.pack("<3f", at.x, at.y, at.z)
            waiting += car.is_at_traffic_light() and car.get_velocity().length() < 0.1
            if tick % 20 == 0:
                waypoint = town.get_waypoint(at)
                if not waypoint.is_junction:
                    lane = waypoint.transform.location
                    offsets.append(((lane.x - at.x) ** 2 + (lane.y - at.y) ** 2) ** 0.5)
    client.apply_batch_sync([carla.command.DestroyActor(car.id) for car in cars], True)
    return bytes(track), offsets, driven, waiting


def test_traffic_keeps_lanes_and_stops_at_red(
    client: carla.Client, world: carla.World, traffic_manager: carla.TrafficManager
) -> None:
    _, offsets, driven, waiting = drive(client, world, traffic_manager.get_port(), 400)
    offsets.sort()
    assert offsets[len(offsets) // 2] < 0.25
    assert offsets[int(0.9 * len(offsets))] < 0.6
    assert driven > 30.0
    assert waiting > 0


def test_one_seed_one_traffic(client: carla.Client, world: carla.World) -> None:
    tracks = []
    for _ in range(2):
        world = client.reload_world(False)
        manager = new_traffic_manager(client)
        tracks.append(drive(client, world, manager.get_port(), 200)[0])
        manager.shut_down()
    assert tracks[0] == tracks[1]
