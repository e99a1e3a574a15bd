"""Weather, vehicle lights, and the cameras for normals and optical flow, through the unmodified client."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import carla
import numpy as np
import pytest

SMALL = {"image_size_x": "192", "image_size_y": "96", "fov": "90"}


@pytest.fixture
def spawn(world: carla.World) -> Iterator[Callable[..., tuple[carla.Sensor, queue.Queue[carla.SensorData]]]]:
    alive: list[carla.Sensor] = []

    def start(kind: str, place: carla.Transform, **attributes: str) -> tuple[carla.Sensor, queue.Queue]:
        blueprint = world.get_blueprint_library().find(f"sensor.camera.{kind}")
        for name, value in {**SMALL, **attributes}.items():
            blueprint.set_attribute(name, value)
        sensor = world.spawn_actor(blueprint, place)
        data: queue.Queue[carla.SensorData] = queue.Queue()
        sensor.listen(data.put)
        alive.append(sensor)
        return sensor, data

    yield start
    for sensor in alive:
        sensor.destroy()


def over_the_road(world: carla.World) -> carla.Transform:
    place = world.get_map().get_spawn_points()[0]
    place.location.z = 1.7
    return place


def colours(image: carla.Image) -> np.ndarray:
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)[..., :3].astype(float)


def test_weather_shows_in_the_very_next_picture(world: carla.World, spawn: Callable) -> None:
    _, data = spawn("rgb", over_the_road(world))

    def picture(weather: carla.WeatherParameters | None) -> np.ndarray:
        if weather is not None:
            world.set_weather(weather)
        world.tick()
        return colours(data.get(timeout=10.0))

    own = world.get_weather()
    before = picture(None)
    night, fog = picture(carla.WeatherParameters.ClearNight), picture(carla.WeatherParameters.HardRainNoon)
    again = picture(own)
    assert night.mean() < 0.5 * before.mean()
    assert np.abs(fog - before).mean() > 10.0
    np.testing.assert_array_equal(again, before)


def test_head_lamps_follow_the_light_state(world: carla.World, vehicle: carla.Vehicle, spawn: Callable) -> None:
    world.set_weather(carla.WeatherParameters.ClearNight)
    place = vehicle.get_transform()
    place.location += carla.Location(z=1.6) + 4.0 * place.get_forward_vector()
    _, data = spawn("rgb", place)
    pictures = []
    for state in (carla.VehicleLightState.NONE, carla.VehicleLightState.LowBeam, carla.VehicleLightState.NONE):
        vehicle.set_light_state(carla.VehicleLightState(state))
        world.tick()
        pictures.append(colours(data.get(timeout=10.0)))
    dark, lit, out = pictures
    assert lit[60:].mean() > dark[60:].mean() + 20.0
    assert np.abs(out - dark).mean() < 1.0


def test_level_ground_has_the_colour_of_up(world: carla.World, spawn: Callable) -> None:
    _, data = spawn("normals", over_the_road(world))
    world.tick()
    assert colours(data.get(timeout=10.0))[-1, 90:100].tolist() == [[255.0, 128.0, 128.0]] * 10


def test_optical_flow_of_a_camera_that_moves_ahead(world: carla.World, spawn: Callable) -> None:
    place = over_the_road(world)
    camera, data = spawn("optical_flow", place)
    _, depths = spawn("depth", place)
    world.tick()
    still = data.get(timeout=10.0)
    assert all(abs(flow.x) + abs(flow.y) < 1e-5 for flow in (still[0], still[10_000]))
    depths.get(timeout=10.0)
    step_m = 0.4
    ahead = carla.Transform(place.location - step_m * place.get_forward_vector(), place.rotation)
    camera.set_transform(ahead)
    world.tick()
    data.get(timeout=10.0), depths.get(timeout=10.0)
    camera.set_transform(place)
    world.tick()
    flow, raw = data.get(timeout=10.0), colours(depths.get(timeout=10.0))
    depth = (raw[..., 2] + 256.0 * raw[..., 1] + 65536.0 * raw[..., 0]) / (256**3 - 1) * 1000.0
    moved = np.frombuffer(flow.raw_data, np.float32).reshape(96, 192, 2)
    v, u = np.mgrid[:96, :192] + 0.5
    share = 1.0 - depth / (depth + step_m)  # a point at depth d was at d + step
    seen = depth < 100.0
    np.testing.assert_allclose(moved[..., 0][seen] * 96.0, ((u - 96.0) * share)[seen], atol=0.02)
    np.testing.assert_allclose(moved[..., 1][seen] * -48.0, ((v - 48.0) * share)[seen], atol=0.02)
    coded = flow.get_color_coded_flow()
    assert (coded.width, coded.height) == (192, 96)


def test_lens_attributes_are_known_and_exposure_darkens(world: carla.World, spawn: Callable) -> None:
    place = over_the_road(world)
    ignored = {"motion_blur_intensity": "0.0", "lens_flare_intensity": "0.3", "enable_postprocess_effects": "true"}
    _, plain = spawn("rgb", place, **ignored)
    _, dim = spawn("rgb", place, exposure_mode="manual", shutter_speed="800.0")
    world.tick()
    assert colours(dim.get(timeout=10.0)).mean() < 0.7 * colours(plain.get(timeout=10.0)).mean()


def test_event_camera_reports_what_changes_and_when(world: carla.World, spawn: Callable) -> None:
    place = over_the_road(world)
    camera, data = spawn("dvs", place)
    world.tick()
    assert len(data.get(timeout=10.0)) == 0
    world.tick()
    assert len(data.get(timeout=10.0)) == 0  # nothing has moved
    start_ns = round(world.get_snapshot().timestamp.elapsed_seconds * 1e9)
    camera.set_transform(carla.Transform(place.location + 0.5 * place.get_forward_vector(), place.rotation))
    world.tick()
    events = data.get(timeout=10.0)
    assert len(events) > 50
    times = [event.t for event in events]
    assert times == sorted(times)
    assert start_ns - 1 <= times[0]
    assert times[-1] <= start_ns + 50_000_001
    assert all(0 <= event.x < 192 and 0 <= event.y < 96 for event in events)
    assert {event.pol for event in events} == {False, True}
