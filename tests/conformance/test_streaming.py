"""Streams as the real client uses them: many listeners, races between listen and tick, changes of mode."""

from __future__ import annotations

import threading
import time
from queue import Queue

import carla
import pytest


def gnss(world: carla.World, parent: carla.Actor) -> carla.Sensor:
    blueprint = world.get_blueprint_library().find("sensor.other.gnss")
    return world.spawn_actor(blueprint, carla.Transform(carla.Location(z=2.0)), attach_to=parent)


def test_five_clients_on_one_stream(world: carla.World, world_port: int, vehicle: carla.Vehicle) -> None:
    sensor = gnss(world, vehicle)
    world.tick()
    counts = [0] * 5
    ready, stop = threading.Barrier(6), threading.Event()

    def listen(number: int) -> None:
        client = carla.Client("127.0.0.1", world_port)
        client.set_timeout(20.0)
        mine = client.get_world().get_actor(sensor.id)

        def count(_: carla.SensorData) -> None:
            counts[number] += 1

        mine.listen(count)
        ready.wait()
        stop.wait()
        mine.stop()

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    ready.wait()
    for _ in range(50):
        world.tick()
    deadline = time.monotonic() + 10.0
    while min(counts) < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert counts == [50] * 5


def test_listen_and_tick_at_once_loses_nothing(world: carla.World, vehicle: carla.Vehicle) -> None:
    for _ in range(10):
        sensor = gnss(world, vehicle)
        readings: Queue[carla.SensorData] = Queue()
        sensor.listen(readings.put)
        frames = [world.tick() for _ in range(5)]
        assert [readings.get(timeout=5.0).frame for _ in range(5)] == frames
        sensor.destroy()
        world.tick()


def test_sensors_destroyed_while_they_send(world: carla.World, vehicle: carla.Vehicle) -> None:
    blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
    blueprint.set_attribute("image_size_x", "320")
    blueprint.set_attribute("image_size_y", "240")
    for _ in range(5):
        camera = world.spawn_actor(blueprint, carla.Transform(carla.Location(x=2.0, z=2.0)), attach_to=vehicle)
        images: Queue[carla.Image] = Queue()
        camera.listen(images.put)
        frame = world.tick()
        assert images.get(timeout=10.0).frame == frame
        camera.destroy()
        world.tick()


def test_modes_back_and_forth(world: carla.World) -> None:
    settings = world.get_settings()
    for _ in range(4):
        settings.synchronous_mode, settings.fixed_delta_seconds = False, None
        world.apply_settings(settings)
        first = world.wait_for_tick(5.0).frame
        assert world.wait_for_tick(5.0).frame > first
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.02
        world.apply_settings(settings)
        frame = world.tick()
        time.sleep(0.1)
        assert world.get_snapshot().frame == frame  # stands still
        assert world.tick() == frame + 1


def test_on_tick_is_told_of_every_frame(world: carla.World) -> None:
    frames: Queue[int] = Queue()
    number = world.on_tick(lambda snapshot: frames.put(snapshot.frame))
    expected = [world.tick() for _ in range(20)]
    assert [frames.get(timeout=5.0) for _ in range(20)] == expected
    world.remove_on_tick(number)
    world.tick()
    time.sleep(0.1)
    assert frames.empty()


def test_two_clients_that_both_tick(world: carla.World, world_port: int) -> None:
    other = carla.Client("127.0.0.1", world_port)
    other.set_timeout(20.0)
    theirs = other.get_world()
    first = world.tick()
    ticked: list[int] = []

    def tick() -> None:
        ticked.extend(theirs.tick() for _ in range(100))

    thread = threading.Thread(target=tick)
    thread.start()
    mine = [world.tick() for _ in range(100)]
    thread.join()
    assert sorted(mine + ticked) == list(range(first + 1, first + 201))


@pytest.mark.parametrize("delta_s", [0.1, 0.01])
def test_elapsed_time_is_the_sum_of_the_steps(world: carla.World, delta_s: float) -> None:
    settings = world.get_settings()
    settings.fixed_delta_seconds = delta_s
    world.apply_settings(settings)
    before = world.get_snapshot().timestamp
    for _ in range(50):
        world.tick()
    after = world.get_snapshot().timestamp
    assert after.elapsed_seconds - before.elapsed_seconds == pytest.approx(50 * delta_s, abs=1e-6)
    assert after.delta_seconds == pytest.approx(delta_s)
