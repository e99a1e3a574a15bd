"""What a scenario consists of, before any of it is in the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bev import Pose2D
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import Route
from carla_bridge.scenarios.behaviours import Behaviour
from carla_bridge.scenarios.line import Line
from carla_bridge.scenarios.spec import ScenarioSpec
from carla_bridge.truth import LaneKey, StopLine

CARS = ("vehicle.audi.a2", "vehicle.seat.leon", "vehicle.nissan.micra", "vehicle.toyota.prius", "vehicle.tesla.model3")
SPAWN_AHEAD_M = 75.0  # before the trigger: nothing appears before anybody's eyes


@dataclass(frozen=True, eq=False)
class Role:
    """A road user on a line. stops: (arc length, light id) of lights that it obeys. heeds: it brakes for all who are in
    its way, not only for those who go its way. lamps: names of carla.VehicleLightState. opens_door: its left front
    door, when it begins to move."""

    blueprint: str
    line: Line
    behaviours: tuple[Behaviour, ...]
    start_m: float = 0.0
    stops: tuple[tuple[float, int], ...] = ()
    heeds: bool = True
    lamps: tuple[str, ...] = ()
    opens_door: bool = False


@dataclass(frozen=True)
class Prop:
    """Something that only stands there: a prop, a parked car, or a slippery patch (friction, half_m: half its size)."""

    blueprint: str
    pose: Pose2D
    lamps: tuple[str, ...] = ()
    friction: float | None = None
    half_m: float = 2.0


@dataclass(frozen=True, eq=False)
class Flow:
    """Cars one after the other along a line. gaps_m: between two of them, drawn evenly. count: how many at most.
    They set out once the ego's front is at from_m of the route, and no more of them once it is at to_m."""

    line: Line
    speed_mps: float
    gaps_m: tuple[float, float]
    count: int
    from_m: float
    to_m: float
    start_m: float = 0.0
    stops: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True)
class LightHold:
    """While the ego's front is between two arc lengths of the route: these lights green, those red."""

    from_m: float
    to_m: float
    green: tuple[int, ...]
    red: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Script:
    """appear_m, over_m: arc lengths of the route between which the scenario is in the world. timeout_s: how long it may
    take from the trigger on. emergency: the role that nobody may hold up, by number."""

    spec: ScenarioSpec
    trigger_m: float
    over_m: float
    roles: tuple[Role, ...] = ()
    props: tuple[Prop, ...] = ()
    flows: tuple[Flow, ...] = ()
    lights: LightHold | None = None
    emergency: int | None = None
    timeout_s: float = 240.0

    @property
    def appear_m(self) -> float:
        return self.trigger_m - SPAWN_AHEAD_M


@dataclass(frozen=True, eq=False)
class Stage:
    """All that a script is written from. trigger_m: arc length of the trigger along the route; seed: of this scenario
    in this drive."""

    spec: ScenarioSpec
    route: Route
    graph: LaneGraph
    stop_lines: tuple[StopLine, ...]
    trigger_m: float
    seed: int

    def light_of(self, lane: LaneKey) -> int | None:
        return next((line.light_id for line in self.stop_lines if line.lane == lane), None)


Author = Callable[[Stage], Script]
