"""Hand-made routes and worlds for the tests of the bridge."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import carla
import numpy as np

from bev import Command, Pose2D
from carla_bridge.embedded.towns import load_town
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import JunctionSpan, Route
from carla_bridge.truth import Body, Contact, LightColour, StopLine, Truth

APPROACH = (1, 0, -1)


@lru_cache(maxsize=1)
def gridley() -> LaneGraph:
    return LaneGraph(carla.Map("Gridley", load_town("Gridley").opendrive))


def straight_route(length_m: float = 100.0, junction: tuple[float, float] = (50.0, 65.0)) -> Route:
    """Along the x axis, limit 10 m/s, with one signalised junction passed straight on."""
    arc = np.arange(length_m + 1.0)
    count = len(arc)
    return Route(
        "straight",
        "Nowhere",
        np.stack([arc, np.zeros(count)], axis=1),
        np.zeros(count),
        arc,
        np.full(count, 10.0),
        np.full(count, 3.5),
        (JunctionSpan(*junction, Command.STRAIGHT, 7, APPROACH, signalised=True),),
        (APPROACH,),
    )


STOP_LINE = StopLine(light_id=9, pose=Pose2D(50.0, 0.0, 0.0), width_m=3.5, lane=APPROACH)


def car(
    x: float, y: float = 0.0, yaw: float = 0.0, speed: float = 0.0, actor_id: int = 1, yaw_rate: float = 0.0
) -> Body:
    return Body(actor_id, "vehicle.test.car", Pose2D(x, y, yaw), speed, yaw_rate, 2.4, 0.95, 1.5)


def truth(
    time_s: float,
    ego: Body,
    others: tuple[Body, ...] = (),
    contacts: tuple[Contact, ...] = (),
    lights: Mapping[int, LightColour] | None = None,
) -> Truth:
    return Truth(round(time_s * 20), time_s, ego, others, lights or {9: LightColour.GREEN}, contacts)
