"""Everything that says "carla": session, rig, traffic, routes, roadside units, the expert, the embedded world.

Names are imported on first use, so that `carla_bridge.embedded` can be run alone without loading any of the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from carla_bridge.criteria import Criteria, Infraction, InfractionKind, RouteOutcome
    from carla_bridge.expert import Expert, ExpertDecision
    from carla_bridge.labels import BevLabels
    from carla_bridge.lanes import LaneGraph
    from carla_bridge.roadside import RoadsideUnits
    from carla_bridge.routes import Route, RouteTracker
    from carla_bridge.session import Session, SessionError, WorldConfig, WorldDied
    from carla_bridge.truth import Body, LightColour, StopLine, Truth

_HOME = {
    "Criteria": "criteria",
    "Infraction": "criteria",
    "InfractionKind": "criteria",
    "RouteOutcome": "criteria",
    "Expert": "expert",
    "ExpertDecision": "expert",
    "BevLabels": "labels",
    "RoadsideUnits": "roadside",
    "LaneGraph": "lanes",
    "Route": "routes",
    "RouteTracker": "routes",
    "Session": "session",
    "SessionError": "session",
    "WorldConfig": "session",
    "WorldDied": "session",
    "Body": "truth",
    "LightColour": "truth",
    "StopLine": "truth",
    "Truth": "truth",
}

__all__ = [
    "BevLabels",
    "Body",
    "Criteria",
    "Expert",
    "ExpertDecision",
    "Infraction",
    "InfractionKind",
    "LaneGraph",
    "LightColour",
    "RoadsideUnits",
    "Route",
    "RouteOutcome",
    "RouteTracker",
    "Session",
    "SessionError",
    "StopLine",
    "Truth",
    "WorldConfig",
    "WorldDied",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
