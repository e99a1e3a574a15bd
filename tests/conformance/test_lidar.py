"""Lidars, radar, obstacle sensor, IMU and GNSS: bytes, CARLA's counting and noise rules, what they see of the world."""

from __future__ import annotations

import math
import queue
import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import carla
import msgpack
import numpy as np
import pytest

from carla_bridge.embedded.actors import Actor, ActorKind, compose
from carla_bridge.embedded.messages import SENSOR_HEADER, SensorType
from carla_bridge.embedded.rays import RayScene
from carla_bridge.embedded.rpc import CarlaError
from carla_bridge.embedded.sensors.lidar import LIDAR, SEMANTIC_LIDAR, Lidar
from carla_bridge.embedded.sensors.radar import RADAR, Radar, Targets
from carla_bridge.embedded.sensors.readings import GeoReference, Gnss, Imu
from carla_bridge.embedded.types import Instances, Label, Material, Mesh, Pose

Listen = Callable[..., "queue.Queue[carla.SensorData]"]
SEMANTIC_POINT = np.dtype([("xyz", "f4", 3), ("cos", "f4"), ("id", "u4"), ("tag", "u4")])
NOBODY = Instances(np.zeros(0, np.int32), np.zeros((0, 4, 4), np.float32), np.zeros(0, np.uint32), np.zeros((0, 3)))


def wall(x: float, label: Label = Label.WALLS) -> Mesh:
    """A large wall across the x axis that looks back along it."""
    corners = np.array([(x, -500, -500), (x, -500, 500), (x, 500, 500), (x, 500, -500)], np.float32)
    triangles = np.array([(0, 2, 1), (0, 3, 2)], np.int32)
    labels, materials = np.full(2, label, np.uint8), np.full(2, Material.PLAIN, np.uint8)
    return Mesh(corners, triangles, np.ones((2, 3), np.float32), labels, materials)


def device(type_id: str, **attributes: object) -> Actor:
    known = {name: (0, str(value)) for name, value in attributes.items()}
    return Actor(7, type_id, ActorKind.SENSOR, Pose(), attributes=known)


def payload(message: tuple[bytes | memoryview, ...]) -> bytes:
    return b"".join(bytes(part) for part in message)


STREAM = SimpleNamespace()
PLAIN = {"dropoff_general_rate": 0.0, "dropoff_intensity_limit": 0.0, "range": 100.0}


# ------------------------------------------------------------------------------------------------------------- bytes


def test_lidar_bytes() -> None:
    """A wrong payload would crash the client, so every byte is looked at here first."""
    rays = RayScene(wall(10.0), [])
    actor = device(LIDAR, channels=3, points_per_second=240, horizontal_fov=80.0, upper_fov=10, lower_fov=-10, **PLAIN)
    pose = Pose(2.0, 0.0, 1.0)
    message = payload(Lidar(actor).sweep(STREAM, pose, 5, 0.25, 0.05).take(rays, rays.frame(NOBODY)))
    kind, frame, time_s, *transform = SENSOR_HEADER.unpack_from(message)
    assert (kind, frame, time_s, transform) == (SensorType.LIDAR, 5, 0.25, [2.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    angle, channels, *counts = struct.unpack_from("<fI3I", message, 48)
    assert angle == pytest.approx(math.radians(40.0))  # half a turn of 80 degrees at 10 Hz in 0.05 s
    assert (channels, counts) == (3, [4, 4, 4])
    points = np.frombuffer(message, "<f4", offset=48 + 8 + 12).reshape(-1, 4)
    assert len(points) == 12
    assert points[:, 0] == pytest.approx(8.0, abs=1e-5)
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))).reshape(3, 4)
    assert elevation == pytest.approx(np.repeat([[10.0], [0.0], [-10.0]], 4, axis=1), abs=1e-4)
    azimuth = np.degrees(np.arctan2(points[:, 1], points[:, 0])).reshape(3, 4)
    assert azimuth == pytest.approx(np.tile([-40.0, -30.0, -20.0, -10.0], (3, 1)), abs=1e-4)
    assert points[:, 3] == pytest.approx(np.exp(-0.004 * np.linalg.norm(points[:, :3], axis=1)), rel=1e-5)


def test_semantic_lidar_bytes() -> None:
    rays = RayScene(wall(10.0, Label.BUILDINGS), [])
    actor = device(SEMANTIC_LIDAR, channels=1, points_per_second=80, horizontal_fov=80.0, upper_fov=0.0, range=50.0)
    message = payload(Lidar(actor).sweep(STREAM, Pose(), 1, 0.05, 0.05).take(rays, rays.frame(NOBODY)))
    assert SENSOR_HEADER.unpack_from(message)[0] == SensorType.SEMANTIC_LIDAR
    assert struct.unpack_from("<II", message, 52) == (1, 4)
    points = np.frombuffer(message, SEMANTIC_POINT, offset=60)
    assert len(message) == 60 + 4 * 24
    assert points["cos"] == pytest.approx(np.cos(np.radians([40, 30, 20, 10])), abs=1e-6)
    assert points["tag"].tolist() == [Label.BUILDINGS] * 4
    assert points["id"].tolist() == [0] * 4


def test_radar_bytes_and_velocity() -> None:
    """A wall that comes closer at 20 m/s, seen from a radar that turns its head by 10 degrees."""
    rays = RayScene(wall(30.0), [])
    actor = device(RADAR, points_per_second=2000, horizontal_fov=40.0, vertical_fov=20.0, range=60.0)
    nobody = Targets(np.zeros(0, np.int64), np.zeros((0, 3)))
    scan = Radar(actor).scan(STREAM, Pose(yaw=10.0), (20.0, 0.0, 0.0), nobody, 1, 0.05, 0.05)
    message = payload(scan.take(rays, rays.frame(NOBODY)))
    assert SENSOR_HEADER.unpack_from(message)[0] == SensorType.RADAR
    velocity, azimuth, altitude, depth = np.frombuffer(message, "<f4", offset=48).reshape(-1, 4).T.astype(float)
    assert len(depth) == 100
    along_x = np.cos(altitude) * np.cos(azimuth + math.radians(10.0))
    assert depth * along_x == pytest.approx(30.0, abs=1e-4)
    assert velocity == pytest.approx(-20.0 * along_x, abs=1e-5)
    assert 15.0 < np.degrees(np.abs(azimuth).max()) <= 20.0
    assert 7.0 < np.degrees(np.abs(altitude).max()) <= 10.0


def test_drop_off_follows_its_three_numbers() -> None:
    rays = RayScene(wall(50.0), [])
    frame = rays.frame(NOBODY)

    def share(**attributes: float) -> float:
        actor = device(
            LIDAR, channels=1, points_per_second=400_000, horizontal_fov=1.0, upper_fov=0.0, range=100.0, **attributes
        )
        points = Lidar(actor).sweep(STREAM, Pose(), 1, 0.05, 0.05).take(rays, frame)[1]
        return len(points) / 16 / 20_000

    assert share(dropoff_general_rate=0.0, dropoff_intensity_limit=0.0) == 1.0
    assert share(dropoff_general_rate=0.3, dropoff_intensity_limit=0.0) == pytest.approx(0.7, abs=0.015)
    weak = {"dropoff_general_rate": 0.0, "dropoff_zero_intensity": 0.6}
    intensity = math.exp(-0.02 * 50.0)
    kept = share(atmosphere_attenuation_rate=0.02, dropoff_intensity_limit=0.8, **weak)
    assert kept == pytest.approx(0.4 + 0.6 * intensity / 0.8, abs=0.015)
    assert share(atmosphere_attenuation_rate=0.02, dropoff_intensity_limit=0.3, **weak) == 1.0


def test_noise_lies_along_the_ray_and_comes_from_the_seed() -> None:
    rays = RayScene(wall(50.0), [])
    frame = rays.frame(NOBODY)

    def points(**attributes: object) -> np.ndarray:
        actor = device(LIDAR, channels=4, points_per_second=40_000, horizontal_fov=60.0, **PLAIN, **attributes)
        lidar = Lidar(actor)
        sweeps = [lidar.sweep(STREAM, Pose(), k, 0.05 * k, 0.05) for k in (1, 2)]
        taken = [sweep.take(rays, frame)[1] for sweep in sweeps[::-1]]  # the order of taking does not matter
        return np.concatenate([np.frombuffer(part, "<f4").reshape(-1, 4) for part in taken[::-1]])

    exact, noisy = points(), points(noise_stddev=0.2, noise_seed=3)
    lengths, noisy_lengths = (np.linalg.norm(p[:, :3], axis=1) for p in (exact, noisy))
    assert noisy[:, :3] / noisy_lengths[:, None] == pytest.approx(exact[:, :3] / lengths[:, None], abs=1e-6)
    assert (noisy_lengths - lengths).std() == pytest.approx(0.2, rel=0.05)
    assert (points(noise_stddev=0.2, noise_seed=3) == noisy).all()
    assert (points(noise_stddev=0.2, noise_seed=4) != noisy).any()
    assert len(set((noisy_lengths - lengths).tolist())) > 3000  # two sweeps do not share their numbers


def test_impossible_devices_are_refused() -> None:
    for attributes in ({"channels": 0}, {"points_per_second": 10**9}, {"horizontal_fov": 0.0}, {"range": "nan"}):
        with pytest.raises(CarlaError, match="must lie between"):
            Lidar(device(LIDAR, **attributes))


def test_imu_feels_its_lever_arm() -> None:
    """A car that turns on the spot at a steady rate pulls a sensor 2 m ahead of its middle inwards."""
    car = Actor(1, "vehicle.tesla.model3", ActorKind.VEHICLE, Pose(), angular_velocity=(0.0, 0.0, 90.0))
    imu, sensor = Imu(device("sensor.other.imu")), device("sensor.other.imu")
    readings = []
    for k in range(3):
        car.pose = Pose(yaw=90.0 * 0.01 * k)
        sensor.pose = compose(car.pose, Pose(x=2.0))
        readings.append(msgpack.unpackb(imu.read(sensor, car, 9.81, 0.01 * k, 0.01)))
    force, rate, _ = readings[-1]
    assert force == pytest.approx([-2.0 * (math.pi / 2.0) ** 2, 0.0, 9.81], abs=0.05)
    assert rate == pytest.approx([0.0, 0.0, math.pi / 2.0])


def test_noise_of_imu_and_gnss() -> None:
    """Bias and deviation of each axis are as asked for, and come from the seed."""
    attributes = {"noise_gyro_bias_y": 0.5, "noise_gyro_stddev_z": 0.2, "noise_accel_stddev_x": 0.3, "noise_seed": 9}
    body = device("sensor.other.imu", **attributes)

    def imu_readings() -> np.ndarray:
        imu = Imu(body)
        return np.array([np.ravel(msgpack.unpackb(imu.read(body, body, 9.81, k, 1.0))[:2]) for k in range(4000)])

    read = imu_readings()
    assert read.mean(axis=0) == pytest.approx([0.0, 0.0, 9.81, 0.0, 0.5, 0.0], abs=0.02)
    assert read.std(axis=0) == pytest.approx([0.3, 0.0, 0.0, 0.0, 0.0, 0.2], abs=0.01)
    assert (imu_readings() == read).all()
    place = device("sensor.other.gnss", noise_lat_bias=1e-3, noise_lon_stddev=2e-5, noise_alt_stddev=0.5, noise_seed=-4)
    gnss = Gnss(place, GeoReference(0.0, 0.0))
    fixes = np.array([msgpack.unpackb(gnss.read(place)) for _ in range(4000)])
    assert fixes.mean(axis=0) == pytest.approx([1e-3, 0.0, 0.0], abs=0.03)
    assert fixes[:, 0].mean() == pytest.approx(1e-3, abs=1e-9)
    assert fixes.std(axis=0)[1:] == pytest.approx([2e-5, 0.5], rel=0.05)


# --------------------------------------------------------------------------------------------------- the real client


@pytest.fixture
def listen(world: carla.World) -> Iterator[Listen]:
    """Spawns a sensor and hands over the queue of its data."""
    alive: list[carla.Actor] = []

    def start(
        type_id: str, parent: carla.Actor | None = None, pose: carla.Transform | None = None, **attributes: object
    ) -> queue.Queue[carla.SensorData]:
        blueprint = world.get_blueprint_library().find(type_id)
        for name, value in attributes.items():
            blueprint.set_attribute(name, str(value))
        alive.append(world.spawn_actor(blueprint, pose or carla.Transform(), attach_to=parent))
        data: queue.Queue[carla.SensorData] = queue.Queue()
        alive[-1].listen(data.put)
        return data

    yield start
    for sensor in alive:
        sensor.destroy()


ROOF = carla.Transform(carla.Location(z=2.4))


def test_lidar_in_the_client(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    data = listen("sensor.lidar.ray_cast", vehicle, ROOF, channels=16, points_per_second=160_000, **PLAIN)
    angles = []
    for _ in range(3):
        frame = world.tick()
        measurement = data.get(timeout=10.0)
        assert measurement.frame == frame
        points = np.frombuffer(measurement.raw_data, "f4").reshape(-1, 4)
        assert measurement.channels == 16
        assert sum(measurement.get_point_count(k) for k in range(16)) == len(points) == len(list(measurement))
        assert measurement.get_point_count(15) == 500  # the lowest ring lies on the ground all around
        angles.append(measurement.horizontal_angle)
    assert np.allclose(np.remainder(angles, 2 * math.pi), np.remainder([math.pi, 0.0, math.pi], 2 * math.pi), atol=1e-4)
    first = measurement[0]
    assert (first.point.x, first.point.y, first.point.z, first.intensity) == tuple(points[0].tolist())
    ring = points[-500:]
    assert np.median(ring[:, 2]) == pytest.approx(-vehicle.get_location().z - 2.4, abs=0.2)


def test_semantic_lidar_knows_actors(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    ahead = vehicle.get_transform()
    ahead.location += 12.0 * ahead.get_forward_vector() + carla.Location(z=0.3)
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.nissan.micra"), ahead)
    attributes = {"channels": 64, "points_per_second": 640_000, "range": 60.0, "rotation_frequency": 20.0}
    data = listen("sensor.lidar.ray_cast_semantic", vehicle, ROOF, **attributes)
    world.tick()
    points = np.frombuffer(data.get(timeout=10.0).raw_data, SEMANTIC_POINT)
    assert {int(Label.ROADS), int(Label.BUILDINGS), int(Label.CAR)} <= set(points["tag"].tolist())
    assert set(points["id"][points["tag"] == Label.CAR].tolist()) <= {vehicle.id, other.id}
    car = points["xyz"][points["id"] == other.id]
    box = other.bounding_box
    assert len(car) > 50
    assert car[:, 0].min() == pytest.approx(12.0 - box.extent.x, abs=0.4)  # its rear, in front of us
    assert np.abs(car[:, 1]).max() < box.extent.y + 0.3
    assert points["cos"].min() >= 0.0
    assert points["cos"].max() <= 1.0
    road = points[points["tag"] == Label.ROADS]
    lengths = np.linalg.norm(road["xyz"], axis=1)
    assert road["cos"] == pytest.approx(-road["xyz"][:, 2] / lengths, abs=0.02)


def test_sensor_tick_gathers_the_points_of_its_period(world: carla.World, listen: Listen) -> None:
    pose = world.get_map().get_spawn_points()[0]
    pose.location.z += 1.5
    attributes = {"channels": 4, "points_per_second": 4000, "upper_fov": -20.0, **PLAIN}
    data = listen("sensor.lidar.ray_cast", None, pose, sensor_tick=0.1, **attributes)
    for _ in range(6):
        world.tick()
    counts = [data.get(timeout=5.0).get_point_count(3) for _ in range(3)]
    assert counts == [50, 100, 100]
    assert data.empty()


def test_radar_in_the_client(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    ahead = vehicle.get_transform()
    ahead.location += 20.0 * ahead.get_forward_vector() + carla.Location(z=0.3)
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.tesla.model3"), ahead)
    front = carla.Transform(carla.Location(x=2.8, z=1.0))
    data = listen("sensor.other.radar", vehicle, front, points_per_second=20_000, horizontal_fov=10, vertical_fov=6)
    speed = 8.0
    forward = ahead.get_forward_vector()
    other.set_target_velocity(speed * forward)
    world.tick()
    measurement = data.get(timeout=5.0)
    assert measurement.get_detection_count() == len(list(measurement))
    hits = [d for d in measurement if d.depth < 30.0 and abs(d.azimuth) < 0.02 and abs(d.altitude) < 0.02]
    rear = 20.0 + speed * 0.05 - 2.8 - other.bounding_box.extent.x
    assert min(hit.depth for hit in hits) == pytest.approx(rear, abs=0.4)
    for hit in hits:
        assert hit.velocity == pytest.approx(other.get_velocity().length(), abs=0.1)


def test_obstacle_in_the_client(world: carla.World, vehicle: carla.Vehicle, listen: Listen) -> None:
    ahead = vehicle.get_transform()
    ahead.location += 15.0 * ahead.get_forward_vector() + carla.Location(z=0.3)
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.tesla.model3"), ahead)
    eye = carla.Transform(carla.Location(z=1.0))
    far = listen("sensor.other.obstacle", vehicle, eye, distance=30, hit_radius=0.5, only_dynamics=True)
    near = listen("sensor.other.obstacle", vehicle, eye, distance=5, hit_radius=0.5)
    aside = listen("sensor.other.obstacle", vehicle, carla.Transform(eye.location, carla.Rotation(yaw=90)), distance=80)
    world.tick()
    event = far.get(timeout=5.0)
    assert (event.actor.id, event.other_actor.id) == (vehicle.id, other.id)
    assert event.distance == pytest.approx(15.0 - other.bounding_box.extent.x - 0.5, abs=0.8)
    side = aside.get(timeout=5.0)
    assert side.other_actor.id == 0
    assert side.other_actor.type_id.startswith("static.")
    assert near.empty()
