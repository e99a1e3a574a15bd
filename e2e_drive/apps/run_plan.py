"""What run number n of a collection is like: its town, weather, traffic. It depends on (seed, n) and the plan alone, so
that a collection can be stopped, resumed and shared out at will."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from carla_bridge.weather import weather_of

_HELD_OUT = ("Thornby",)  # for tests: never learned from
_FIRST_HELD_OUT_RANDOM = 900  # Random900 and above likewise
_RANDOM_TOWN = re.compile(r"Random(\d+)")


@dataclass(frozen=True)
class Plan:
    """towns: each visited in turn, in a new order every round. weathers: name -> how often, relative to the others.
    cars, walkers, obstacles: (low, high). runs_per_visit: one after the other in the same world. for_tests: whether
    this is a test set; its towns must be held out, and those of any other collection must not be."""

    towns: tuple[str, ...] = ("Gridley",)
    runs_per_visit: int = 6
    weathers: Mapping[str, float] | None = None
    cars: tuple[int, int] = (10, 26)
    walkers: tuple[int, int] = (0, 0)
    obstacles: tuple[int, int] = (0, 0)
    route_length_m: tuple[float, float] = (300.0, 600.0)
    for_tests: bool = False

    def __post_init__(self) -> None:
        if not self.towns or len(set(self.towns)) != len(self.towns):
            raise ValueError(f"towns must be a list of distinct names, received {list(self.towns)}")
        for town in self.towns:
            _check_use(town, self.for_tests)
        if self.runs_per_visit < 1:
            raise ValueError(f"runs_per_visit must be at least 1, received {self.runs_per_visit}")
        for name in ("cars", "walkers", "obstacles", "route_length_m"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be a range [low, high], received {list(getattr(self, name))}")
        for weather, weight in (self.weathers or {}).items():
            weather_of(weather)
            if weight < 0:
                raise ValueError(f"weathers: {weather} must have a weight of at least 0, received {weight}")
        if self.weathers is not None and not sum(self.weathers.values()) > 0:
            raise ValueError(f"weathers: one at least must have a positive weight, received {dict(self.weathers)}")

    @classmethod
    def from_options(cls, **options: Any) -> Plan:
        """Lists, as configuration files have them, become tuples."""
        plan: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in options.items()
        }
        return cls(**plan)

    def visit_of(self, index: int) -> int:
        return index // self.runs_per_visit

    def runs_of(self, visit: int) -> range:
        return range(visit * self.runs_per_visit, (visit + 1) * self.runs_per_visit)

    def town_of(self, visit: int, seed: int) -> str:
        rounds, place = divmod(visit, len(self.towns))
        order = np.random.default_rng([seed, rounds, 1]).permutation(len(self.towns))
        return self.towns[int(order[place])]

    def scene(self, seed: int, index: int) -> Scene:
        rng = np.random.default_rng([seed, index, 2])
        weather = None
        if self.weathers is not None:
            shares = np.array(list(self.weathers.values()), np.float64)
            weather = list(self.weathers)[int(rng.choice(len(shares), p=shares / shares.sum()))]
        cars, walkers, obstacles = (
            int(rng.integers(low, high + 1)) for low, high in (self.cars, self.walkers, self.obstacles)
        )
        town = self.town_of(self.visit_of(index), seed)
        return Scene(town, weather, cars, walkers, obstacles, float(rng.uniform(*self.route_length_m)))


@dataclass(frozen=True)
class Scene:
    """Of one run. weather: None leaves the world's own."""

    town: str
    weather: str | None
    cars: int
    walkers: int
    obstacles: int
    route_length_m: float


def is_held_out(town: str) -> bool:
    """Whether a town is for tests alone: never collected to learn from, never trained on."""
    number = _RANDOM_TOWN.fullmatch(town)
    return town in _HELD_OUT or (number is not None and int(number.group(1)) >= _FIRST_HELD_OUT_RANDOM)


def _check_use(town: str, for_tests: bool) -> None:
    held_out = f"{', '.join(_HELD_OUT)} and Random{_FIRST_HELD_OUT_RANDOM} or above"
    if is_held_out(town) and not for_tests:
        raise ValueError(
            f"town {town} is held out for tests and must not be learned from; take others than {held_out}, "
            "or say plan.for_tests=true"
        )
    if for_tests and not is_held_out(town):
        raise ValueError(f"for_tests: town {town} is one to learn from; a test set takes {held_out}")
