"""Weathers by name: CARLA's own presets, and fogs that it has none for."""

from __future__ import annotations

from collections.abc import Mapping

import carla

_PRESETS = (
    "ClearNoon", "CloudyNoon", "WetNoon", "WetCloudyNoon", "SoftRainNoon", "MidRainyNoon", "HardRainNoon",
    "ClearSunset", "CloudySunset", "WetSunset", "WetCloudySunset", "SoftRainSunset", "MidRainSunset", "HardRainSunset",
    "ClearNight", "CloudyNight", "WetNight", "WetCloudyNight", "SoftRainNight", "MidRainyNight", "HardRainNight",
)  # fmt: skip

WEATHERS: Mapping[str, carla.WeatherParameters] = {
    **{name: getattr(carla.WeatherParameters, name) for name in _PRESETS},
    "LightFogNoon": carla.WeatherParameters(
        cloudiness=60.0, sun_altitude_angle=40.0, fog_density=25.0, fog_distance=10.0
    ),
    "FogMorning": carla.WeatherParameters(
        cloudiness=80.0, sun_altitude_angle=20.0, fog_density=50.0, fog_distance=8.0, wetness=20.0
    ),
}
LAMPS_BELOW_DEG = 8.0  # of sun altitude: from here on cars have their lamps on
LAMPS_ABOVE = 40.0  # per cent of fog or rain


def weather_of(name: str) -> carla.WeatherParameters:
    """ValueError for a name that is none."""
    if name not in WEATHERS:
        raise ValueError(f"weather must be one of {', '.join(WEATHERS)}; received {name!r}")
    return WEATHERS[name]


def lamps_wanted(weather: carla.WeatherParameters) -> bool:
    return bool(
        weather.sun_altitude_angle < LAMPS_BELOW_DEG
        or weather.fog_density > LAMPS_ABOVE
        or weather.precipitation > LAMPS_ABOVE
    )
