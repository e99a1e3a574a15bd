"""Sensor streams through the unmodified client."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable

import carla
import numpy as np
import pytest

Listen = Callable[..., "queue.Queue[carla.SensorData]"]


@pytest.fixture
def listen(world: carla.World) -> Listen:
    """Spawns a sensor, listens, and hands over the queue of its data; the sensors are destroyed by the reload."""

    def start(
        type_id: str, parent: carla.Actor | None = None, pose: carla.Transform | None = None, **attributes: object
    ) -> queue.Queue[carla.SensorData]:
        blueprint = world.get_blueprint_library().find(type_id)
        for name, value in attributes.items():
            blueprint.set_attribute(name, str(value))
        sensor = world.spawn_actor(blueprint, pose or carla.Transform(), attach_to=parent)
        data: queue.Queue[carla.SensorData] = queue.Queue()
        sensor.listen(data.put)
        start.alive.append(sensor)  # type: ignore[attr-defined]
        return data

    start.alive = []  # type: ignore[attr-defined]
    yield start
    for sensor in start.alive:  # type: ignore[attr-defined]
        sensor.destroy()


EYE = carla.Transform(carla.Location(x=0.7, z=1.6))
SMALL = {"image_size_x": 256, "image_size_y": 128, "fov": 90}


def pixels(image: carla.Image) -> np.ndarray:
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)


def test_images_belong_to_the_tick(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    kinds = ("rgb", "depth", "semantic_segmentation", "instance_segmentation")
    cameras = [listen(f"sensor.camera.{kind}", vehicle, EYE, **SMALL) for kind in kinds]
    for _ in range(5):
        frame = world.tick()
        for camera in cameras:
            image = camera.get(timeout=5.0)
            assert image.frame == frame
            assert (image.width, image.height, image.fov) == (256, 128, 90.0)
            assert pixels(image)[..., 3].min() == 255
            assert camera.empty()
    eye = vehicle.get_transform().transform(EYE.location)
    assert image.transform.location.distance(eye) < 1e-3


def test_depth_agrees_with_rays(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    side = carla.Transform(carla.Location(z=2.5), carla.Rotation(yaw=70.0))
    depth, labels = (
        listen(f"sensor.camera.{kind}", vehicle, side, **SMALL) for kind in ("depth", "semantic_segmentation")
    )
    world.tick()
    image = depth.get(timeout=5.0)
    blue, green, red = (pixels(image)[..., k].astype(float) for k in range(3))
    metres = (red + 256.0 * green + 65536.0 * blue) / (2**24 - 1) * 1000.0
    tags = pixels(labels.get(timeout=5.0))[..., 2]
    assert {int(carla.CityObjectLabel.Sky), int(carla.CityObjectLabel.Buildings)} <= set(np.unique(tags).tolist())
    focal = image.width / 2.0
    agree = compared = 0
    for v, u in np.argwhere(tags == int(carla.CityObjectLabel.Buildings))[::97]:
        right, up = (u + 0.5 - image.width / 2.0) / focal, -(v + 0.5 - image.height / 2.0) / focal
        hits = world.cast_ray(
            image.transform.location, image.transform.transform(carla.Location(200.0, 200.0 * right, 200.0 * up))
        )
        walls = [hit for hit in hits if hit.label == carla.CityObjectLabel.Buildings]
        if walls:
            compared += 1
            along = image.transform.location.distance(walls[0].location) / math.sqrt(1.0 + right**2 + up**2)
            agree += abs(along - metres[v, u]) < 0.5
    assert compared > 5
    assert agree > 0.7 * compared


def test_sensor_tick(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    fast = listen("sensor.other.imu", vehicle)
    slow = listen("sensor.camera.rgb", vehicle, EYE, **SMALL, sensor_tick=0.1)
    frames = [world.tick() for _ in range(10)]
    assert [fast.get(timeout=5.0).frame for _ in frames] == frames
    assert [slow.get(timeout=5.0).frame for _ in frames[::2]] == frames[::2]
    assert slow.empty()


def test_gnss_agrees_with_the_map(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    gnss = listen("sensor.other.gnss", vehicle)
    town = world.get_map()
    for index in (0, 10, 20):
        vehicle.set_transform(town.get_spawn_points()[index])
        world.tick()
        fix = gnss.get(timeout=5.0)
        expected = town.transform_to_geolocation(fix.transform.location)
        assert (fix.latitude, fix.longitude) == pytest.approx((expected.latitude, expected.longitude), abs=1e-11)
        assert fix.altitude == pytest.approx(expected.altitude, abs=1e-5)


def test_imu_at_rest_and_turning(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    imu = listen("sensor.other.imu", vehicle)
    world.tick()
    rest = imu.get(timeout=5.0)
    yaw = math.radians(vehicle.get_transform().rotation.yaw)
    force, rate = rest.accelerometer, rest.gyroscope
    assert (force.x, force.y, force.z) == pytest.approx((0.0, 0.0, 9.81), abs=0.05)
    assert rate.length() < 0.01
    north = math.sin(rest.compass), math.cos(rest.compass)  # east, north
    assert north == pytest.approx((math.cos(yaw), -math.sin(yaw)), abs=1e-4)
    vehicle.apply_control(carla.VehicleControl(throttle=0.5, steer=0.3))
    headings = []
    for _ in range(30):
        world.tick()
        headings.append((imu.get(timeout=5.0), vehicle.get_transform().rotation.yaw))
    (_, before), (last, after) = headings[-2:]
    assert last.gyroscope.z == pytest.approx(math.radians((after - before + 180.0) % 360.0 - 180.0) / 0.05, abs=0.02)
    assert last.gyroscope.z > 0.05
    assert last.accelerometer.y > 0.2


def test_collisions_are_told(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    collisions = listen("sensor.other.collision", vehicle)
    ahead = vehicle.get_transform()
    ahead.location += 9.0 * ahead.get_forward_vector()
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.nissan.micra"), ahead)
    vehicle.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(60):
        frame = world.tick()
        if not collisions.empty():
            break
    event = collisions.get(timeout=5.0)
    assert abs(event.frame - frame) <= 1
    assert (event.actor.id, event.other_actor.id) == (vehicle.id, other.id)
    forward = ahead.get_forward_vector()
    assert event.normal_impulse.x * forward.x + event.normal_impulse.y * forward.y < -100.0


def test_stop_and_listen_again(world: carla.World, vehicle: carla.Vehicle) -> None:
    sensor = world.spawn_actor(world.get_blueprint_library().find("sensor.other.imu"), carla.Transform(), vehicle)
    for _ in range(3):
        data: queue.Queue[carla.SensorData] = queue.Queue()
        sensor.listen(data.put)
        assert data_frames(world, data, 5)
        sensor.stop()
    sensor.destroy()


def data_frames(world: carla.World, data: queue.Queue[carla.SensorData], count: int) -> bool:
    frames = [world.tick() for _ in range(count)]
    return [data.get(timeout=5.0).frame for _ in frames] == frames


def test_impossible_optics_are_refused(world: carla.World) -> None:
    blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
    blueprint.set_attribute("fov", "180")
    with pytest.raises(RuntimeError, match="fov must lie between 0 and 180 degrees, received 180"):
        world.spawn_actor(blueprint, carla.Transform())
