"""Power and heat of a computer: what it draws at a clock, which clock a power cap allows, how heat throttles it.

Power (static plus dynamic, P = P0 + k f V^2; Chandrakasan et al., IEEE JSSC 27(4), 1992), with the clock f as a share
of the nominal one and the voltage falling linearly with it down to a floor V0 (as along a DVFS table):

    P(f) = P_idle + (P_busy - P_idle) * f * V(f)^2          V(f) = V0 + (1 - V0) f

Heat (one node, lumped):  C dT/dt = P - (T - Ta) / R.  With P constant during a step its solution is exact:

    T(t + dt) = T_end + (T(t) - T_end) exp(-dt / (R C))     T_end = Ta + R P
"""

from __future__ import annotations

import math
from dataclasses import dataclass

VOLTAGE_FLOOR = 0.6  # V0: share of the nominal voltage that a very low clock still needs. Assumption; typical of DVFS


def power_at_clock(idle_w: float, busy_w: float, clock: float, voltage_floor: float = VOLTAGE_FLOOR) -> float:
    """Watts while working at that share of the nominal clock."""
    voltage = voltage_floor + (1.0 - voltage_floor) * clock
    return idle_w + (busy_w - idle_w) * clock * voltage**2


def clock_at_power(idle_w: float, busy_w: float, cap_w: float, voltage_floor: float = VOLTAGE_FLOOR) -> float:
    """The highest clock, at most 1, at which the draw stays within `cap_w` (a power mode). 0 where none does."""
    if cap_w >= busy_w:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):  # the draw grows strictly with the clock: bisection to the last bit
        middle = 0.5 * (low + high)
        if power_at_clock(idle_w, busy_w, middle, voltage_floor) <= cap_w:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True)
class ThermalConfig:
    """throttle_c[i]: at and above this temperature the clock is at most clocks[i], until the temperature has fallen
    `hysteresis_k` below it. Thresholds rise, clocks fall."""

    resistance_k_per_w: float  # junction to ambient, R
    capacity_j_per_k: float  # C
    ambient_c: float = 25.0
    throttle_c: tuple[float, ...] = (85.0, 90.0, 95.0)
    clocks: tuple[float, ...] = (0.8, 0.6, 0.4)
    hysteresis_k: float = 5.0

    def __post_init__(self) -> None:
        for name in ("throttle_c", "clocks"):  # a YAML list becomes a tuple, so that the configuration can be hashed
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        if self.resistance_k_per_w <= 0 or self.capacity_j_per_k <= 0:
            raise ValueError(
                "thermal resistance and capacity must be positive, "
                f"received {self.resistance_k_per_w} K/W and {self.capacity_j_per_k} J/K"
            )
        if self.hysteresis_k < 0:
            raise ValueError(f"hysteresis_k must not be negative, received {self.hysteresis_k}")
        rising = all(a < b for a, b in zip(self.throttle_c, self.throttle_c[1:], strict=False))
        falling = all(a > b for a, b in zip((1.0, *self.clocks), self.clocks, strict=False))
        if len(self.throttle_c) != len(self.clocks) or not rising or not falling or min(self.clocks, default=1.0) <= 0:
            raise ValueError(
                "throttling needs rising thresholds and as many falling clocks between 1 and 0 (both excluded), "
                f"received {self.throttle_c} and {self.clocks}"
            )

    @property
    def time_constant_s(self) -> float:
        return self.resistance_k_per_w * self.capacity_j_per_k


class Thermal:
    """The temperature of one computer, and the clock that it leaves. Starts at ambient temperature."""

    def __init__(self, config: ThermalConfig) -> None:
        self.config = config
        self.temperature_c = config.ambient_c
        self._level = 0  # how many throttling steps are in force

    @property
    def clock(self) -> float:
        """Share of the nominal clock."""
        return 1.0 if self._level == 0 else self.config.clocks[self._level - 1]

    def advance(self, energy_j: float, dt_s: float) -> float:
        """`energy_j` was turned into heat, evenly, during the last `dt_s`; the clock from now on."""
        if dt_s < 0 or energy_j < 0:
            raise ValueError(f"energy and time must not be negative, received {energy_j} J in {dt_s} s")
        if dt_s == 0:
            if energy_j > 0:
                raise ValueError(f"{energy_j} J cannot become heat in no time: give dt_s > 0")
            return self.clock
        config = self.config
        end_c = config.ambient_c + config.resistance_k_per_w * energy_j / dt_s
        self.temperature_c = end_c + (self.temperature_c - end_c) * math.exp(-dt_s / config.time_constant_s)
        while self._level < len(config.throttle_c) and self.temperature_c >= config.throttle_c[self._level]:
            self._level += 1
        while self._level and self.temperature_c < config.throttle_c[self._level - 1] - config.hysteresis_k:
            self._level -= 1
        return self.clock
