"""Weather and lamps: what CARLA's presets look like, what fog hides, what is lit at night."""

from __future__ import annotations

import itertools
from dataclasses import fields

import carla
import numpy as np
import pytest
from render_helpers import NOBODY, box, ground, mesh_of

from carla_bridge.embedded.render import Lens, Renderer
from carla_bridge.embedded.types import Instances, Label, Material, Mesh, Pose, StreetLamp, View, Weather

AHEAD = View(160, 96, 90.0, Pose(z=1.6).matrix())
NIGHT = Weather(sun_altitude_angle=-90.0)
LOW_BEAM, BRAKE, LEFT_BLINKER = 2, 8, 32


def joined(*parts: Mesh) -> Mesh:
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts])[:-1]
    return Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.triangles + o for p, o in zip(parts, offsets, strict=True)]).astype(np.int32),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("colours", "labels", "materials")),
    )


def street() -> Mesh:
    """Asphalt, with a wall on the left and posts at 8 m and 120 m."""
    return joined(
        mesh_of(ground(300.0), Label.ROADS, Material.ASPHALT),
        mesh_of(box((60.0, -12.0, 5.0), (50.0, 1.0, 5.0)), Label.BUILDINGS, Material.FACADE),
        mesh_of(box((8.0, 3.0, 1.5), (0.3, 0.3, 1.5)), Label.POLES),
        mesh_of(box((120.0, 3.0, 10.0), (2.0, 12.0, 10.0)), Label.WALLS),
    )


def presets() -> dict[str, Weather]:
    named = vars(carla.WeatherParameters).items()
    found = {name: value for name, value in named if isinstance(value, carla.WeatherParameters)}
    return {n: Weather(*(float(getattr(w, f.name)) for f in fields(Weather))) for n, w in found.items()}


def seen(renderer: Renderer, weather: Weather, instances: Instances = NOBODY, view: View = AHEAD) -> np.ndarray:
    return (
        renderer.render(renderer.begin_frame(instances, renderer.light_of(weather)), view).bgra[..., :3].astype(float)
    )


def test_every_preset_looks_different_and_nights_are_dark() -> None:
    renderer = Renderer(street(), [], lamps=[StreetLamp((12.0, 0.0, 7.0)), StreetLamp((40.0, 3.0, 7.0))])
    pictures = {name: seen(renderer, weather) for name, weather in presets().items()}
    assert len(pictures) == 23
    for (a, one), (b, other) in itertools.combinations(pictures.items(), 2):
        assert np.abs(one - other).mean() > (2.0 if a[-5:] != b[-5:] else 0.05), (a, b)
    brightness = {name: picture.mean() for name, picture in pictures.items()}
    for name, value in brightness.items():
        if name.endswith("Night"):
            assert value < 0.6 * brightness[name.replace("Night", "Sunset").replace("Rainy", "Rain")], name
    np.testing.assert_array_equal(pictures["Default"], seen(renderer, Weather()))


def test_setting_the_weather_changes_later_frames_only_and_back_again_to_the_byte() -> None:
    renderer = Renderer(street(), [])
    before = renderer.begin_frame(NOBODY)
    first = renderer.render(before, AHEAD).bgra
    renderer.set_weather(presets()["HardRainSunset"])
    rainy = renderer.begin_frame(NOBODY)
    np.testing.assert_array_equal(renderer.render(before, AHEAD).bgra, first)
    one, same, next_frame = (renderer.render(rainy, AHEAD, frame_number=n).bgra for n in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != next_frame).any()
    renderer.set_weather(Weather())
    np.testing.assert_array_equal(renderer.render(renderer.begin_frame(NOBODY), AHEAD).bgra, first)


def test_fog_hides_what_is_far_and_not_what_is_near() -> None:
    renderer = Renderer(street(), [])
    labels = renderer.render(renderer.begin_frame(NOBODY), AHEAD, bgra=False, labels=True).labels
    clear, foggy = seen(renderer, Weather()), seen(renderer, Weather(fog_density=70.0))
    sky = foggy[:8].mean(axis=(0, 1))

    def contrast(picture: np.ndarray, label: Label) -> float:
        return float(np.abs(picture[labels == label].mean(axis=0) - picture[:8].mean(axis=(0, 1))).mean())

    assert contrast(foggy, Label.WALLS) < 0.35 * contrast(clear, Label.WALLS)
    assert contrast(foggy, Label.POLES) > 0.6 * contrast(clear, Label.POLES)
    assert np.ptp(sky) < 40.0
    begins_later = seen(renderer, Weather(fog_density=70.0, fog_distance=60.0))
    near = labels == Label.POLES
    np.testing.assert_array_equal(begins_later[near], clear[near])


@pytest.mark.parametrize("falloff", [0.0, 0.2, 5.0])
def test_fog_along_a_ray_is_the_integral_of_its_density(falloff: float) -> None:
    from carla_bridge.embedded.render.fog import optical_depth
    from carla_bridge.embedded.render.weather import Air

    thinning = np.log(2.0) / 10.0 * falloff
    air = Air(0.02, thinning, 3.0, 0.001, np.zeros(3), np.zeros(3))
    for climb, height in ((0.0, 2.0), (0.3, 1.0), (-0.2, 30.0)):
        path = np.linspace(3.0, 90.0, 200_001)
        density = 0.02 * np.exp(-thinning * (height + climb * path)) + 0.001
        expected = np.trapezoid(density, path)
        assert optical_depth(air, height, climb, 90.0) == pytest.approx(min(expected, 60.0), rel=1e-4)


def car(flags: int, x: float = 0.0) -> Instances:
    return Instances(
        np.zeros(1, np.int32),
        Pose(x=x).matrix()[None].astype(np.float32),
        np.array([7], np.uint32),
        np.ones((1, 3), np.float32),
        light_flags=np.array([flags], np.uint32),
    )


def car_mesh() -> Mesh:
    lamps = [
        mesh_of(box((x, side * y, 0.7), (0.05, 0.1, 0.1)), Label.CAR, material)
        for side in (-1.0, 1.0)
        for x, y, material in (
            (2.0, 0.7, Material.HEADLAMP),
            (-2.0, 0.7, Material.TAILLAMP),
            (-2.0, 0.4, Material.INDICATOR),
        )
    ]
    return joined(mesh_of(box((0.0, 0.0, 0.75), (2.0, 0.95, 0.6)), Label.CAR, Material.BODY), *lamps)


def test_head_lamps_light_the_road_ahead_at_night_and_only_when_they_are_on() -> None:
    renderer = Renderer(street(), [car_mesh()])
    above = View(200, 200, 60.0, Pose(x=8.0, z=40.0, pitch=-90.0).matrix())  # picture up is +x
    dark, lit = (seen(renderer, NIGHT, car(flags), above) for flags in (0, LOW_BEAM))
    gain = (lit - dark).mean(axis=2)
    per_m = 100.0 / np.tan(np.radians(30.0)) / 40.0
    at = lambda x, y: gain[int(100 - (x - 8.0) * per_m), int(100 + y * per_m)]  # noqa: E731
    assert dark.mean() < 35.0
    assert at(10.0, 0.0) > 25.0
    assert at(20.0, 0.0) > 8.0
    assert at(10.0, 0.0) > at(20.0, 0.0) > at(10.0, 12.0)
    assert abs(at(-6.0, 0.0)) < 1.0
    high = (seen(renderer, NIGHT, car(4), above) - dark).mean(axis=2)
    assert high[2, 100] > gain[2, 100]  # reaches farther


def test_lamps_of_a_vehicle_glow_as_its_flags_say() -> None:
    renderer = Renderer(mesh_of(ground(50.0), Label.ROADS), [car_mesh()])
    behind = View(160, 96, 60.0, Pose(x=-7.0, z=1.0).matrix())
    off, brake, left = (seen(renderer, Weather(), car(flags), behind) for flags in (0, BRAKE, LEFT_BLINKER))
    reddened = (brake - off)[..., 2] - (brake - off)[..., 0] > 40.0
    assert reddened[:, :80].any()
    assert reddened[:, 80:].any()
    amber = (left - off)[..., 2] > 40.0
    assert amber[:, :80].any()
    assert not amber[:, 80:].any()


def test_street_lamps_shine_at_night() -> None:
    lamp = StreetLamp((12.0, 0.0, 7.0))
    renderer = Renderer(street(), [], lamps=[lamp])
    gain = seen(renderer, NIGHT) - seen(Renderer(street(), []), NIGHT)
    day = np.abs(seen(renderer, Weather()) - seen(Renderer(street(), []), Weather()))
    assert gain[70:, 60:100].mean() > 15.0
    assert day.max() == 0.0
    switched_off = renderer.begin_frame(NOBODY, renderer.light_of(NIGHT, [False]))
    np.testing.assert_array_equal(
        renderer.render(switched_off, AHEAD).bgra[..., :3], seen(Renderer(street(), []), NIGHT)
    )


def test_a_wet_road_is_darker_below_and_mirrors_the_sky_far_off() -> None:
    renderer = Renderer(mesh_of(ground(300.0), Label.ROADS, Material.ASPHALT), [])
    dry, wet = seen(renderer, Weather()), seen(renderer, Weather(wetness=100.0))
    assert wet[-8:].mean() < 0.85 * dry[-8:].mean()
    assert wet[51:54].mean() / wet[-8:].mean() > 1.15 * dry[51:54].mean() / dry[-8:].mean()


def test_exposure_and_gamma_and_vignette() -> None:
    renderer = Renderer(street(), [])
    frame = renderer.begin_frame(NOBODY)
    plain, dim, gentle, round_ = (
        renderer.render(frame, AHEAD, lens=lens).bgra[..., :3].astype(float)
        for lens in (Lens(), Lens(exposure_compensation=-2.0), Lens(gamma=3.0), Lens(circle_multiplier=2.5))
    )
    assert dim.mean() < 0.65 * plain.mean()
    assert gentle.mean() > 1.1 * plain.mean()
    assert round_[48, 80].mean() == pytest.approx(plain[48, 80].mean(), abs=1.0)
    assert round_[0, 0].mean() < 0.8 * plain[0, 0].mean()
