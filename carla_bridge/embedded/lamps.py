"""Street lights as clients see and switch them (carla.LightManager)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from carla_bridge.embedded.messages import StreetLight
from carla_bridge.embedded.types import StreetLamp

STREET = 2  # carla.LightGroup.Street
INTENSITY = 10_000.0  # [lm] of a usual street lamp
DUSK_DEG = 5.0  # [deg] altitude of the sun below which lamps are on


class StreetLights:
    """The lamps of a town, numbered from 1 on; they follow the sun until a client says otherwise."""

    def __init__(self, lamps: Sequence[StreetLamp], sun_altitude_deg: float) -> None:
        self._lights = [
            StreetLight(number, lamp.position, INTENSITY, STREET, _bytes(lamp.colour), False)
            for number, lamp in enumerate(lamps, start=1)
        ]
        self.day_night_cycle = True
        self.changed = False  # since clients were last told
        self.follow(sun_altitude_deg)

    def states(self) -> list[StreetLight]:
        return list(self._lights)

    def active(self) -> list[bool]:
        """Which lamps are on, in the town's order."""
        return [light.active for light in self._lights]

    def update(self, wanted: Sequence[StreetLight]) -> None:
        """Switch or colour lights; places are ours. KeyError for a light that does not exist."""
        for light in wanted:
            if not 1 <= light.id <= len(self._lights):
                raise KeyError(f"street light {light.id}")
        for light in wanted:
            self._lights[light.id - 1] = replace(light, location=self._lights[light.id - 1].location)
        self.changed = True

    def follow(self, sun_altitude_deg: float) -> None:
        """The sun moved: with the day-night cycle on, lamps switch."""
        on = sun_altitude_deg < DUSK_DEG
        if self.day_night_cycle and any(light.active is not on for light in self._lights):
            self._lights = [replace(light, active=on) for light in self._lights]
            self.changed = True


def _bytes(linear: tuple[float, float, float]) -> tuple[int, int, int]:
    """Linear light as 8-bit sRGB (IEC 61966-2-1)."""
    red, green, blue = (
        round(255 * (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055))
        for v in (min(1.0, max(0.0, channel)) for channel in linear)
    )
    return red, green, blue
