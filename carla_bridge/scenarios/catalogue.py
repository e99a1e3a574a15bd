"""Every scenario type that can be played, by its Leaderboard name."""

from __future__ import annotations

from carla_bridge.convert import wrap_angle
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import Route
from carla_bridge.scenarios import junctions, stretches
from carla_bridge.scenarios.script import Script, Stage
from carla_bridge.scenarios.spec import ScenarioSpec
from carla_bridge.truth import StopLine

AUTHORS = {**stretches.AUTHORS, **junctions.AUTHORS}
SCENARIO_TYPES = tuple(sorted(AUTHORS))
OFF_ROUTE_M = 6.0


def write_script(
    spec: ScenarioSpec, route: Route, graph: LaneGraph, stop_lines: tuple[StopLine, ...], seed: int = 0
) -> Script:
    """ValueError for a type that nobody knows, a trigger off the route, or a place that cannot have such a scenario."""
    if spec.kind not in AUTHORS:
        raise ValueError(f"scenario {spec.name}: type {spec.kind!r} is unknown; known are {', '.join(SCENARIO_TYPES)}")
    arc, side = route.project(spec.trigger.x, spec.trigger.y)
    turn = wrap_angle(route.pose_at(arc).yaw - spec.trigger.yaw)
    if abs(side) > OFF_ROUTE_M or abs(turn) > 1.0:
        raise ValueError(
            f"scenario {spec.name}: its trigger x={spec.trigger.x:.1f}, y={spec.trigger.y:.1f} m is not on route "
            f"{route.name} in its direction ({abs(side):.1f} m and {abs(turn):.2f} rad off)"
        )
    return AUTHORS[spec.kind](Stage(spec, route, graph, stop_lines, arc, seed))
