"""What a carla.WeatherParameters means for light and air: plain numbers, worked out once a weather.

CARLA documents the ranges of the parameters and roughly what they do (Python API reference, carla.WeatherParameters);
how much of it is a choice, made so that CARLA's presets look like what they are called. `Weather()` is the light this
renderer was first made for, and stays so: everything here is neutral there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..types import Weather

F64 = npt.NDArray[np.float64]

LOWEST_SUN_DEG = 3.0  # lower, shadows would be endless: the sun fades out there instead of sinking
LAST_LIGHT_DEG = -10.0  # the sun's altitude at which the sky is as dark as it gets
MOON_ALTITUDE_DEG = 38.0
MOON_FROM_SUN_DEG = 150.0  # the moon's azimuth, from the sun's
THICKEST_FOG = 0.05  # [1/m] extinction at fog_density 100: contrast falls to 2 % at 78 m (Koschmieder 1924)
DUST_FOG = 0.035  # [1/m] extinction at dust_storm 100
RAIN_FOG = 0.003  # [1/m] extinction in the hardest rain


class Air(NamedTuple):
    """Fog, rain and dust between things and the camera; the clear day's slight haze is always there."""

    density: float  # [1/m] extinction at z = 0; 0: none
    thinning: float  # [1/m] how fast it thins out with height
    begins_m: float  # [m] from the camera
    level: float  # [1/m] extinction that is the same at any height
    colour: F64  # (3,) linear light scattered towards the eye
    glow: F64  # (3,) added to it looking at the sun


class Water(NamedTuple):
    """Each 0..1."""

    wet: float  # of the ground
    puddles: float
    rain: float


@dataclass(frozen=True)
class Daylight:
    """Sun or moon, sky and clouds. Colours are linear, (r, g, b)."""

    sun: F64  # (3,) unit vector towards the sun, or the moon
    sun_light: F64  # (3,) what a surface facing it receives
    disc: F64  # (3,) its brightness as a thing in the sky
    above: F64  # (3,) skylight on a surface facing up
    below: F64  # (3,) light from the ground on a surface facing down
    tones: F64  # (3, 3) zenith, horizon, what the sun adds to the horizon below it
    clouds: F64  # (3,) brightness of the clouds
    street: float  # brightness of what mirrors show below the horizon
    cover: float  # share of the sky under clouds, about
    night: float  # 0 by day .. 1: lamps are on, stars are out


def understood(weather: Weather) -> Weather:
    """carla.WeatherParameters.Default has -1 everywhere, which stands for the weather that the map has of its own."""
    if weather.cloudiness < 0.0 and weather.precipitation < 0.0:
        return Weather()
    return weather


def direction(azimuth_deg: float, altitude_deg: float) -> F64:
    """Unit vector towards the sun; the azimuth turns like yaw (from x towards y)."""
    azimuth, altitude = np.radians(azimuth_deg), np.radians(altitude_deg)
    return np.array([np.cos(altitude) * np.cos(azimuth), np.cos(altitude) * np.sin(azimuth), np.sin(altitude)])


def daylight(weather: Weather) -> Daylight:
    altitude = float(weather.sun_altitude_angle)
    shown = max(altitude, LOWEST_SUN_DEG)
    high = float(np.clip((shown - LOWEST_SUN_DEG) / 32.0, 0.0, 1.0)) ** 1.5
    mix = lambda low, top, share=high: np.asarray(low) + (np.asarray(top) - np.asarray(low)) * share  # noqa: E731
    day = float(np.clip((altitude - LAST_LIGHT_DEG) / (LOWEST_SUN_DEG - LAST_LIGHT_DEG), 0.0, 1.0)) ** 2.5
    up = _step((altitude + 2.0) / (LOWEST_SUN_DEG + 2.0))
    moon = _step((-2.0 - altitude) / 8.0)
    overcast, dust = _step((weather.cloudiness - 5.0) / 95.0), _share(weather.dust_storm)
    gloom = (1.0 - 0.30 * _share(weather.precipitation)) * (1.0 - 0.25 * dust)

    sun_light = mix((1.10, 0.52, 0.20), (1.85, 1.66, 1.36)) * (1.0 - 0.96 * overcast) * (1.0 - 0.8 * dust) * gloom * up
    cloudy = mix((0.21, 0.22, 0.26), (0.74, 0.77, 0.80))
    above = mix(mix((0.22, 0.26, 0.38), (0.57, 0.65, 0.77)), cloudy, overcast) * gloom * day
    below = mix(mix((0.10, 0.09, 0.08), (0.30, 0.27, 0.22)), 0.30 * cloudy, overcast) * gloom * day
    clear = [
        mix((0.10, 0.17, 0.36), (0.075, 0.205, 0.52)),
        mix((0.62, 0.47, 0.40), (0.60, 0.74, 0.90)),
        mix((0.60, 0.30, 0.08), (0.42, 0.34, 0.20)),
    ]
    dull = np.array([0.55, 0.85, 0.12])[:, None] * cloudy
    tones = mix(np.stack(clear), dull, overcast) * gloom * day
    clouds = (0.55 + 0.45 * mix((1.10, 0.52, 0.20), (1.85, 1.66, 1.36)) / 1.6) * (1.0 - 0.22 * overcast) * gloom * day
    disc = sun_light * (1.0 - overcast)
    night = 1.0 - _step((altitude + 4.0) / 8.0)
    veil = 1.0 - 0.8 * overcast
    return Daylight(
        sun=direction(weather.sun_azimuth_angle, shown)
        if altitude > -2.0
        else direction(weather.sun_azimuth_angle + MOON_FROM_SUN_DEG, MOON_ALTITUDE_DEG),
        sun_light=sun_light + moon * veil * np.array([0.030, 0.038, 0.055]),
        disc=disc + moon * veil * np.array([0.28, 0.29, 0.30]),
        above=above + moon * np.array([0.010, 0.013, 0.021]),
        below=below + moon * np.array([0.003, 0.003, 0.004]),
        tones=tones + moon * veil * np.array([[0.0016, 0.0026, 0.0062], [0.011, 0.013, 0.020], [0.004, 0.004, 0.004]]),
        clouds=clouds + moon * np.array([0.012, 0.013, 0.017]),
        street=0.11 * (gloom * day) + 0.004 * moon,
        cover=float(np.interp(weather.cloudiness, [0.0, 5.0, 60.0, 100.0], [0.42, 0.50, 0.72, 0.96])),
        night=night,
    )


def air(weather: Weather, light: Daylight) -> Air:
    """Exponential height fog. fog_falloff halves the fog every 10 / falloff metres, the scale of Unreal's fog."""
    fog = THICKEST_FOG * _share((weather.fog_density - 2.0) / 0.98) ** 1.6
    dust = _share(weather.dust_storm)
    level = RAIN_FOG * _share(weather.precipitation) ** 2 + DUST_FOG * dust**2
    brightness = float(light.above @ (0.2126, 0.7152, 0.0722))  # luminance (ITU-R BT.709)
    colour = 0.45 * light.tones[1] + 0.45 * light.above
    colour += dust * (brightness * np.array([1.05, 0.70, 0.34]) - colour)
    return Air(
        density=fog,
        thinning=float(np.log(2.0) / 10.0 * max(weather.fog_falloff, 0.0)),
        begins_m=max(weather.fog_distance, 0.0),
        level=level,
        colour=colour + light.night * np.array([0.007, 0.006, 0.005]),  # lamplight that the fog catches
        glow=0.6 * light.tones[2] * (1.0 - dust),
    )


def water(weather: Weather) -> Water:
    rain, deposits, wetness = (
        _share(v) for v in (weather.precipitation, weather.precipitation_deposits, weather.wetness)
    )
    return Water(wet=min(1.0, max(wetness, 1.2 * deposits, 0.8 * rain)), puddles=deposits, rain=rain)


def _share(percent: float) -> float:
    return float(np.clip(percent / 100.0, 0.0, 1.0))


def _step(t: float) -> float:
    """0 below 0, 1 above 1, smooth in between."""
    t = float(np.clip(t, 0.0, 1.0))
    return t * t * (3.0 - 2.0 * t)
