"""The recorder: what it writes down can be read, and be replayed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import carla
import pytest

Start = Callable[..., "tuple[Popen[str], int]"]


@pytest.fixture
def client(start_world: Start, tmp_path: Path) -> carla.Client:
    _, port = start_world("--recordings", str(tmp_path), "--fixed-delta", "0.05")
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(20.0)
    return client


def test_a_drive_is_recorded_told_and_replayed(client: carla.Client, tmp_path: Path) -> None:
    world = client.get_world()
    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    hero = library.find("vehicle.tesla.model3")
    hero.set_attribute("role_name", "hero")
    path = client.start_recorder("../../drive.log")
    assert path == str(tmp_path / "drive.log")  # nowhere else
    car = world.spawn_actor(hero, points[0])
    for _ in range(20):
        world.tick()
    # a second one in its way
    there = car.get_transform()
    there.location += 7.0 * there.get_forward_vector() + carla.Location(z=0.3)
    parked = world.spawn_actor(library.find("vehicle.audi.tt"), there)
    way = []
    for k in range(100):
        car.apply_control(carla.VehicleControl(throttle=0.6))
        world.tick()
        if k < 30:
            way.append(car.get_location())
    client.stop_recorder()

    info = client.show_recorder_file_info("drive.log", False)
    assert "Map: Gridley" in info
    assert f"Create {car.id}: vehicle.tesla.model3" in info
    assert "Frames: 121" in info
    duration = re.search(r"Duration: ([\d.]+) seconds", info)
    assert duration is not None
    assert float(duration.group(1)) == pytest.approx(6.0, abs=0.01)
    assert len(client.show_recorder_file_info(path, True)) > len(info)

    hits = client.show_recorder_collisions("drive.log", "h", "v")
    assert re.search(rf"\b{car.id}\b.*model3.*\b{parked.id}\b.*audi\.tt", hits)
    assert "audi.tt" not in client.show_recorder_collisions("drive.log", "w", "a")
    assert "audi.tt" in client.show_recorder_actors_blocked("drive.log", 0.3, 100.0)
    assert "audi.tt" not in client.show_recorder_actors_blocked("drive.log", 60.0, 100.0)

    world = client.reload_world(False)
    assert "Replaying" in client.replay_file("drive.log", 1.0, 1.5, 0, False)
    world.tick()
    again = world.get_actors().filter("vehicle.tesla.model3")[0]
    distances = []
    for k in range(1, 25):
        world.tick()
        distances.append(again.get_location().distance(way[k]))
    assert max(distances) < 0.3
    for _ in range(20):
        world.tick()
    assert math.isfinite(again.get_location().x)


def test_refusals(client: carla.Client, tmp_path: Path) -> None:
    (tmp_path / "other.log").write_bytes(b"something else")
    for name, what in (("nothing.log", "not found"), ("other.log", "no recording"), ("..", "cannot be called")):
        with pytest.raises(RuntimeError, match=what):
            client.show_recorder_file_info(name, False)
    with pytest.raises(RuntimeError, match="cannot be called"):
        client.start_recorder("")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.log"]
