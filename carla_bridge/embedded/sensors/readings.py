"""GNSS, IMU and collision sensors: a few numbers a reading, packed with MessagePack behind the sensor header."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import msgpack
import numpy as np

from carla_bridge.embedded.actors import Actor, Vec3
from carla_bridge.embedded.messages import pack_vector
from carla_bridge.embedded.sensors.echoes import Attributes
from carla_bridge.embedded.types import Pose

GRAVITY_M_S2 = 9.81

# carla.Map of the 0.9.16 client: spherical transverse Mercator, whatever projection the file names.
EARTH_RADIUS_M = 6378137.0
SCALE_ON_MERIDIAN = 0.9996
DEFAULT_ORIGIN = (42.0, 2.0)  # what the client assumes without a usable geo-reference


@dataclass(frozen=True)
class GeoReference:
    """Latitude and longitude of the map's origin [deg].

    Agrees with carla.Map.transform_to_geolocation of the 0.9.16 client, including its sign: latitude grows with
    CARLA's y, which points south (carla issue 9389). Formulas: Snyder, Map Projections - A Working Manual (1987),
    equations 8-6 to 8-8, for the sphere.
    """

    latitude: float
    longitude: float

    @staticmethod
    def of(opendrive: str) -> GeoReference:
        text = re.search(r"<geoReference>(.*?)</geoReference>", opendrive, re.DOTALL)
        projection = text.group(1) if text else ""
        latitude, longitude = (re.search(rf"\+{key}=([-+.\deE]+)", projection) for key in ("lat_0", "lon_0"))
        if latitude is None or longitude is None:
            return GeoReference(*DEFAULT_ORIGIN)
        return GeoReference(float(latitude.group(1)), float(longitude.group(1)))

    def locate(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Latitude and longitude [deg] of a CARLA location."""
        radius = EARTH_RADIUS_M * SCALE_ON_MERIDIAN
        east, north = x_m / radius, y_m / radius + math.radians(self.latitude)
        latitude = math.asin(math.sin(north) / math.cosh(east))
        longitude = math.atan2(math.sinh(east), math.cos(north))
        return math.degrees(latitude), self.longitude + math.degrees(longitude)


class Gnss:
    """sensor.other.gnss with CARLA's bias and Gaussian noise attributes."""

    def __init__(self, actor: Actor, origin: GeoReference) -> None:
        self._origin = origin
        self._random = np.random.default_rng(Attributes(actor).seed())
        self._bias, self._deviation = (
            np.array([float(actor.attribute(f"noise_{axis}_{kind}", "0")) for axis in ("lat", "lon", "alt")])
            for kind in ("bias", "stddev")
        )

    def read(self, actor: Actor) -> bytes:
        latitude, longitude = self._origin.locate(actor.pose.x, actor.pose.y)
        noise = self._bias + self._deviation * self._random.standard_normal(3)
        values = np.array([latitude, longitude, actor.pose.z]) + noise
        return _packed([float(value) for value in values])


class Imu:
    """sensor.other.imu: specific force [m/s2], angular rate [rad/s] in sensor axes, compass [rad].

    Noise as in CARLA (InertialMeasurementUnit.cpp of the public carla repository): normal with the given deviations on
    both, and a bias on the angular rate. The acceleration is that of the sensor's own place, the lever arm included.
    """

    def __init__(self, actor: Actor) -> None:
        def triple(name: str) -> np.ndarray:
            return np.array([float(actor.attribute(f"{name}_{axis}", "0")) for axis in "xyz"])

        self._random = np.random.default_rng(Attributes(actor).seed())
        self._force_deviation = triple("noise_accel_stddev")
        self._rate_deviation, self._rate_bias = triple("noise_gyro_stddev"), triple("noise_gyro_bias")
        self._last: tuple[float, np.ndarray] | None = None  # [s], [m/s]: the sensor's velocity then

    def read(self, actor: Actor, carrier: Actor, gravity_m_s2: float, now_s: float, covers_s: float) -> bytes:
        """covers_s: time since the sensor was last due."""
        velocity = np.array(velocity_at(carrier, actor.pose))
        acceleration = np.array(carrier.acceleration)
        if self._last is not None and abs(now_s - self._last[0] - covers_s) < 1e-6:  # nothing in between was missed
            acceleration = (velocity - self._last[1]) / covers_s
        self._last = now_s, velocity
        sensor_from_world = actor.pose.matrix()[:3, :3].T
        force = sensor_from_world @ (acceleration + np.array([0.0, 0.0, gravity_m_s2]))
        rate = sensor_from_world @ np.radians(np.array(carrier.angular_velocity))
        force = force + self._force_deviation * self._random.standard_normal(3)
        rate = rate + self._rate_bias + self._rate_deviation * self._random.standard_normal(3)
        return _packed([pack_vector(force), pack_vector(rate), compass(actor.pose.yaw)])


def velocity_at(carrier: Actor, pose: Pose) -> Vec3:
    """Velocity [m/s] of a point that is fixed to an actor; of its turning, that about the vertical is counted."""
    rate = math.radians(carrier.angular_velocity[2])
    x, y = pose.x - carrier.pose.x, pose.y - carrier.pose.y
    return carrier.velocity[0] - rate * y, carrier.velocity[1] + rate * x, carrier.velocity[2]


def compass(yaw_deg: float) -> float:
    """Heading [rad], clockwise from north, which is -y in CARLA."""
    return math.radians(yaw_deg + 90.0) % (2.0 * math.pi)


def collision_reading(self_record: object, other_record: object, impulse: Vec3) -> bytes:
    return _packed([self_record, other_record, pack_vector(impulse)])


def _packed(value: object) -> bytes:
    packed = msgpack.packb(value)
    assert isinstance(packed, bytes)
    return packed
