"""Pictures of a town as a client of the world takes them: one place in several weathers, and through every sensor."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import carla
import numpy as np
import numpy.typing as npt

from carla_bridge.probe import ANSWER_TIMEOUT_S, WorldProbe, probed_world

Picture = npt.NDArray[np.uint8]  # (H, W, 3) red green blue
TICK_S = 0.05
CARS = 24
ROLL_TICKS = 160  # until traffic has spread out
CANDIDATES = 16
SKY_LABEL = 11
ROLLING_M_S = 4.0
CHASE = carla.Transform(carla.Location(x=-7.5, z=3.0), carla.Rotation(pitch=-7.0))
ROOF = carla.Transform(carla.Location(z=2.2))
NIGHT_LIGHTS = carla.VehicleLightState(carla.VehicleLightState.Position | carla.VehicleLightState.LowBeam)
WEATHERS: tuple[tuple[str, carla.WeatherParameters], ...] = (
    ("clear noon", carla.WeatherParameters.ClearNoon),
    ("cloudy sunset", carla.WeatherParameters.CloudySunset),
    ("wet noon", carla.WeatherParameters.WetNoon),
    ("hard rain", carla.WeatherParameters.HardRainNoon),
    ("fog", carla.WeatherParameters(cloudiness=80.0, sun_altitude_angle=30.0, fog_density=60.0, fog_distance=5.0)),
    ("clear night", carla.WeatherParameters.ClearNight),
)


@dataclass(frozen=True)
class TownPictures:
    """What was seen in one town, by the name of the weather and of the sensor."""

    town: str
    weathers: Mapping[str, Picture]
    sensors: Mapping[str, Picture]


def photograph_town(town: str, seed: int, width: int, height: int) -> TownPictures:
    """Traffic rolls for some seconds, then the clock stands nearly still while the pictures are taken."""
    with probed_world(town, seed, TICK_S) as probe:
        probe.add_cars(CARS)
        for _ in range(ROLL_TICKS):
            probe.step()
        camera = _Camera(probe, width, height)
        camera.follow_most_varied()
        weathers = {}
        for name, weather in WEATHERS:
            probe.world.set_weather(weather)
            probe.set_lights(NIGHT_LIGHTS if weather.sun_altitude_angle < 0.0 else carla.VehicleLightState.NONE)
            probe.step()
            weathers[name] = _rgb(camera.take("sensor.camera.rgb"))
        probe.world.set_weather(carla.WeatherParameters.ClearNoon)
        probe.step()
        return TownPictures(town, weathers, dict(_sensors(camera)))


def _sensors(camera: _Camera) -> Iterator[tuple[str, Picture]]:
    depth = camera.take("sensor.camera.depth")
    depth.convert(carla.ColorConverter.LogarithmicDepth)
    yield "depth", _rgb(depth)
    labels = camera.take("sensor.camera.semantic_segmentation")
    labels.convert(carla.ColorConverter.CityScapesPalette)
    yield "semantic segmentation", _rgb(labels)
    yield "instance segmentation", _instances(camera.take("sensor.camera.instance_segmentation"))
    yield "normals", _rgb(camera.take("sensor.camera.normals"))
    yield "optical flow", _rgb(camera.take("sensor.camera.optical_flow").get_color_coded_flow())
    yield "lidar", _from_above(camera.sweep(), camera.width, camera.height)


class _Camera:
    """Puts sensors of any kind behind a car, for one picture each."""

    def __init__(self, probe: WorldProbe, width: int, height: int) -> None:
        self._probe, self.width, self.height = probe, width, height
        self._car = probe.cars[0]

    def take(self, kind: str) -> Any:
        return self._listen(kind, CHASE, {"image_size_x": self.width, "image_size_y": self.height, "fov": 90})

    def sweep(self) -> npt.NDArray[np.float32]:
        """(N, 4) x, y, z [m] in the sensor's frame, intensity: one turn of a 64-channel lidar on the roof."""
        points = round(64 * 2048 / TICK_S)
        attributes = {"channels": 64, "points_per_second": points, "rotation_frequency": 1.0 / TICK_S, "range": 90}
        found = self._listen("sensor.lidar.ray_cast", ROOF, attributes)
        return np.frombuffer(found.raw_data, np.float32).reshape(-1, 4)

    def follow_most_varied(self) -> None:
        """Of the cars that are rolling, the one whose picture holds most kinds of things."""
        rolling = [car for car in self._probe.cars if car.get_velocity().length() > ROLLING_M_S] or self._probe.cars
        varieties = []
        for car in rolling[:CANDIDATES]:
            self._car = car
            varieties.append(_variety(self.take("sensor.camera.semantic_segmentation")))
        self._car = rolling[int(np.argmax(varieties))]

    def _listen(self, kind: str, mount: carla.Transform, attributes: Mapping[str, float]) -> Any:
        world = self._probe.world
        blueprint = world.get_blueprint_library().find(kind)
        for name, value in attributes.items():
            blueprint.set_attribute(name, str(value))
        sensor = world.spawn_actor(blueprint, mount, attach_to=self._car)
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        sensor.listen(inbox.put)
        self._probe.step()
        self._probe.step()  # optical flow compares two frames
        try:
            inbox.get(timeout=ANSWER_TIMEOUT_S)
            return inbox.get(timeout=ANSWER_TIMEOUT_S)
        finally:
            sensor.stop()
            sensor.destroy()


def _variety(image: Any) -> float:
    """Entropy of the labels [nat], with a good share of sky and no wall before the lens."""
    labels = np.frombuffer(image.raw_data, np.uint8).reshape(-1, 4)[:, 2]
    shares = np.bincount(labels, minlength=SKY_LABEL + 1) / len(labels)
    known = shares[shares > 0.0]
    return float(-(known * np.log(known)).sum()) - 4.0 * abs(float(shares[SKY_LABEL]) - 0.3)


def _rgb(image: Any) -> Picture:
    bgra = np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)
    return np.ascontiguousarray(bgra[:, :, 2::-1])


def _instances(image: Any) -> Picture:
    """One colour for each actor; what is none in the grey of its label."""
    bgra = np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4).astype(np.uint32)
    label, number = bgra[:, :, 2], bgra[:, :, 1] + 256 * bgra[:, :, 0]
    mixed = number * np.uint32(2654435761)  # Knuth's multiplicative hash spreads neighbouring ids
    colours = np.stack([(mixed >> shift & 0x7F) + 0x60 for shift in (8, 15, 22)], axis=-1)
    grey = np.repeat((label * 7 + 30)[:, :, None], 3, axis=2)
    return np.where((number > 0)[:, :, None], colours, grey).astype(np.uint8)


def _from_above(points: npt.NDArray[np.float32], width: int, height: int) -> Picture:
    """The sweep seen from above, forward to the right; colour by height."""
    scale = height / 80.0  # [px/m]
    column = (width / 3.0 + points[:, 0] * scale).astype(np.int64)
    row = (height / 2.0 + points[:, 1] * scale).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    level = np.clip((points[:, 2] + 3.0) / 9.0, 0.0, 1.0)[:, None]
    colour = (np.array([40.0, 170.0, 255.0]) * (1.0 - level) + np.array([255.0, 190.0, 60.0]) * level).astype(np.uint8)
    picture = np.full((height, width, 3), (12, 14, 20), np.uint8)
    order = np.argsort(points[:, 2], kind="stable")
    order = order[inside[order]]
    picture[row[order], column[order]] = colour[order]
    return picture
