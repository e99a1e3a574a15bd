"""The lines on a route at which one waits: lights, stop signs, yield signs, crosswalks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon

from bev import FloatArray
from carla_bridge.expert.types import ExpertConfig, GoverningLight, GoverningStop
from carla_bridge.routes import JunctionSpan, Route, lines_on_route
from carla_bridge.surroundings import Surroundings
from carla_bridge.truth import LightColour, StopLine, Truth
from planner import Light

STANDING_MPS = 0.1


class Lights:
    """Lights on the route, and whether one has to stop for the next one."""

    def __init__(self, route: Route, stop_lines: Sequence[StopLine], config: ExpertConfig) -> None:
        self._config, self._lines = config, lines_on_route(route, stop_lines)
        self._seen: dict[float, Light] = {}  # arc of a line -> its light a tick ago
        self._committed: set[float] = set()  # arcs of lines to be passed although their light has left green

    def governing(self, truth: Truth, front_m: float) -> GoverningLight | None:
        ahead = next(((arc, line) for arc, line in self._lines if arc > front_m), None)
        if ahead is None or ahead[0] - front_m > self._config.light_reach_m:
            return None
        colour = truth.lights.get(ahead[1].light_id, LightColour.UNKNOWN)
        if colour in (LightColour.OFF, LightColour.UNKNOWN):
            return None
        light = Light.GREEN if colour == LightColour.GREEN else Light.RED_OR_YELLOW
        return GoverningLight(light, ahead[0] - front_m, ahead[0], ahead[1])

    def must_stop(self, governing: GoverningLight, speed_mps: float) -> bool:
        """For red and yellow, unless it was too late to brake when the light left green."""
        key = governing.line_arc_m
        before, self._seen[key] = self._seen.get(key), governing.light
        if governing.light != Light.RED_OR_YELLOW:
            self._committed.discard(key)
            return False
        needed = speed_mps**2 / (2.0 * max(governing.distance_m - 0.5, 0.1))
        if before == Light.GREEN and needed > self._config.yellow_brake_mps2:
            self._committed.add(key)
        return key not in self._committed


class StopSigns:
    """Stop signs on the route: each is served once the car has stood before it."""

    def __init__(self, route: Route, town: Surroundings | None, config: ExpertConfig) -> None:
        self._config = config
        self._lines = [] if town is None else lines_on_route(route, tuple(town.stops.values()))
        self._served: set[float] = set()
        self._standing_since_s: float | None = None

    def governing(self, truth: Truth, front_m: float) -> GoverningStop | None:
        if abs(truth.ego.speed_mps) > STANDING_MPS:
            self._standing_since_s = None
        elif self._standing_since_s is None:
            self._standing_since_s = truth.time_s
        for arc, line in self._lines:
            if arc <= front_m or arc in self._served:
                continue
            distance = arc - front_m
            stood = 0.0 if self._standing_since_s is None else truth.time_s - self._standing_since_s
            if distance < self._config.stop_sign_m and stood >= self._config.stop_sign_s - 1e-6:
                self._served.add(arc)
                return None
            return GoverningStop(distance, arc, line) if distance <= self._config.light_reach_m else None
        return None


@dataclass(frozen=True, eq=False)
class CrosswalkSpan:
    """A crosswalk across the route, from arc length entry_m to exit_m."""

    entry_m: float
    exit_m: float
    polygon: Polygon
    centre: FloatArray  # (2,)


def crosswalks_on(route: Route, town: Surroundings | None) -> tuple[CrosswalkSpan, ...]:
    if town is None:
        return ()
    spans = []
    line = LineString(route.points)
    for corners in town.crosswalks:
        polygon = Polygon(corners)
        if not polygon.intersects(line):
            continue
        inside = shapely.contains_xy(polygon.buffer(0.6), route.points)
        starts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]]))
        ends = np.flatnonzero(inside & ~np.concatenate([inside[1:], [False]]))
        for first, last in zip(starts, ends, strict=True):
            spans.append(
                CrosswalkSpan(float(route.arc_m[first]), float(route.arc_m[last]), polygon, corners.mean(axis=0))
            )
    return tuple(sorted(spans, key=lambda span: span.entry_m))


def gives_way(span: JunctionSpan, town: Surroundings | None) -> bool:
    """Is a junction entered without the right of way: from a stop or yield sign, or where nobody has any sign?"""
    if town is None or span.signalised:
        return False
    if span.approach in town.stops or span.approach in town.yields:
        return True
    entries = [key for key in town.graph.lanes if _enters(town, key, span.junction_id)]
    signed = [key for key in entries if key in town.stops or key in town.yields]
    return len(entries) > 1 and not signed


def _enters(town: Surroundings, key: tuple[int, int, int], junction_id: int) -> bool:
    lanes = town.graph.lanes
    return lanes[key].junction_id < 0 and any(
        lanes[after].junction_id == junction_id for after in town.graph.successors(key)
    )
