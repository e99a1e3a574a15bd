"""What scripted road users do, one behaviour after the other, and when the next one begins. All of it follows from the
state of the world alone: the same drive, the same play."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from carla_bridge.truth import Truth

EGO_SLOWEST_MPS = 3.0  # a slower ego is taken to set off


@dataclass(frozen=True)
class Moment:
    """One tick as a script sees it. front_m: arc length of the ego's front bumper along the route."""

    truth: Truth
    tick_s: float
    front_m: float

    @property
    def time_s(self) -> float:
        return self.truth.time_s

    def eta_s(self, route_m: float) -> float:
        """Until the ego's bumper comes to an arc length of the route, as fast as it goes now."""
        return (route_m - self.front_m) / max(self.truth.ego.speed_mps, EGO_SLOWEST_MPS)


class Me(Protocol):
    """The state of one road user. began_s, began_m: time and arc length at which its behaviour began."""

    arc_m: float
    speed_mps: float
    began_s: float
    began_m: float


Condition = Callable[[Me, Moment], bool]


def never(me: Me, now: Moment) -> bool:
    return False


@dataclass(frozen=True)
class After:
    seconds: float

    def __call__(self, me: Me, now: Moment) -> bool:
        return now.time_s - me.began_s >= self.seconds


@dataclass(frozen=True)
class Gone:
    """So far along its line since the behaviour began."""

    metres: float

    def __call__(self, me: Me, now: Moment) -> bool:
        return me.arc_m - me.began_m >= self.metres


@dataclass(frozen=True)
class EgoAt:
    """The ego's front bumper has come to an arc length of the route."""

    route_m: float

    def __call__(self, me: Me, now: Moment) -> bool:
        return now.front_m >= self.route_m


@dataclass(frozen=True)
class EgoIn:
    """The ego is so few seconds from an arc length of the route, or metres: whatever comes first."""

    route_m: float
    seconds: float
    metres: float = 0.0

    def __call__(self, me: Me, now: Moment) -> bool:
        return now.eta_s(self.route_m) <= self.seconds or self.route_m - now.front_m <= self.metres


@dataclass(frozen=True)
class AnyOf:
    conditions: tuple[Condition, ...]

    def __call__(self, me: Me, now: Moment) -> bool:
        return any(one(me, now) for one in self.conditions)


class Behaviour(Protocol):
    """until: when it is over. acceleration_mps2: how hard it speeds up and brakes."""

    @property
    def until(self) -> Condition: ...

    @property
    def acceleration_mps2(self) -> float: ...

    def speed(self, me: Me, now: Moment) -> float:
        """To aim at [m/s]."""
        ...


@dataclass(frozen=True)
class Stand:
    until: Condition = never
    acceleration_mps2: float = 5.0

    def speed(self, me: Me, now: Moment) -> float:
        return 0.0


@dataclass(frozen=True)
class Go:
    """Along its line: drives, rides, walks."""

    speed_mps: float
    until: Condition = never
    acceleration_mps2: float = 3.0

    def speed(self, me: Me, now: Moment) -> float:
        return self.speed_mps


@dataclass(frozen=True)
class Brake:
    """To a standstill, and stands for a while."""

    deceleration_mps2: float
    stand_s: float

    @property
    def until(self) -> Condition:
        return After(self.stand_s)

    @property
    def acceleration_mps2(self) -> float:
        return self.deceleration_mps2

    def speed(self, me: Me, now: Moment) -> float:
        if me.speed_mps > 0.0:
            me.began_s = now.time_s  # its time counts from the standstill on
        return 0.0


@dataclass(frozen=True)
class Meet:
    """So fast that it comes to a place on its line when the ego comes to its own, within bounds."""

    my_m: float
    route_m: float
    slowest_mps: float
    fastest_mps: float
    until: Condition = never
    acceleration_mps2: float = 3.0

    def speed(self, me: Me, now: Moment) -> float:
        eta_s = max(now.eta_s(self.route_m), 0.1)
        return min(max((self.my_m - me.arc_m) / eta_s, self.slowest_mps), self.fastest_mps)
