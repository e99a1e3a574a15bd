"""A synchronous world for the unmodified client, emptied between tests."""

from __future__ import annotations

from collections.abc import Iterator

import carla
import pytest

DELTA_S = 0.05


@pytest.fixture(scope="module")
def client(world_port: int) -> carla.Client:
    client = carla.Client("127.0.0.1", world_port)
    client.set_timeout(20.0)
    return client


@pytest.fixture
def world(client: carla.Client) -> Iterator[carla.World]:
    """A fresh episode in synchronous mode."""
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, DELTA_S
    world.apply_settings(settings)
    world = client.load_world("Gridley", False)
    yield world
    for actor in world.get_actors():
        if actor.type_id.startswith("sensor.") and actor.is_listening():
            actor.stop()


@pytest.fixture
def vehicle(world: carla.World) -> carla.Vehicle:
    blueprint = world.get_blueprint_library().find("vehicle.lincoln.mkz_2020")
    vehicle = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0])
    for _ in range(20):  # settles on its wheels
        world.tick()
    return vehicle
