"""Routes along lane centres, without lane changes, and where on its route a car is. ISO 8855, world frame."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bev import Command, FloatArray, Pose2D, RouteHint
from carla_bridge.convert import wrap_angle
from carla_bridge.lanes import Lane, LaneGraph, turn_of
from carla_bridge.scenarios.spec import ScenarioSpec, add_scenario, read_scenario
from carla_bridge.truth import LaneKey, StopLine

TURN_RAD = math.radians(30.0)  # a junction that changes the heading by less is passed straight on
HINT_STEP_M = 5.0
START_BEFORE_JUNCTION_M = 50.0
END_AFTER_JUNCTION_M = 45.0


@dataclass(frozen=True)
class JunctionSpan:
    """A junction on a route: where it begins and ends along it, what to do there, from which lane it is entered."""

    entry_m: float
    exit_m: float
    command: Command
    junction_id: int
    approach: LaneKey
    signalised: bool


@dataclass(frozen=True, eq=False)
class Route:
    """A way to drive. points (N, 2) lane centres about 1 m apart, yaws (N,) unwrapped, arc_m (N,) from 0,
    speed_limits_mps (N,), lane_widths_m (N,). scenarios: what waits along it."""

    name: str
    town: str
    points: FloatArray
    yaws: FloatArray
    arc_m: FloatArray
    speed_limits_mps: FloatArray
    lane_widths_m: FloatArray
    junctions: tuple[JunctionSpan, ...]
    lanes: tuple[LaneKey, ...]
    scenarios: tuple[ScenarioSpec, ...] = ()

    @property
    def length_m(self) -> float:
        return float(self.arc_m[-1])

    @property
    def start(self) -> Pose2D:
        return self.pose_at(0.0)

    @property
    def goal(self) -> Pose2D:
        return self.pose_at(self.length_m)

    @property
    def commands(self) -> tuple[Command, ...]:
        """What to do at each point: the command of the junction it lies in, FOLLOW elsewhere."""
        inside = {
            int(i): span.command
            for span in self.junctions
            for i in np.flatnonzero((self.arc_m >= span.entry_m) & (self.arc_m < span.exit_m))
        }
        return tuple(inside.get(i, Command.FOLLOW) for i in range(len(self.points)))

    def pose_at(self, arc_m: float) -> Pose2D:
        x, y, yaw = (
            float(np.interp(arc_m, self.arc_m, values)) for values in (self.points[:, 0], self.points[:, 1], self.yaws)
        )
        return Pose2D(x, y, wrap_angle(yaw))

    def points_at(self, arcs_m: FloatArray) -> FloatArray:
        """(K, 2) points at given arc lengths; beyond the end the route goes straight on."""
        arcs = np.asarray(arcs_m, dtype=np.float64)
        over = np.maximum(arcs - self.length_m, 0.0)
        heading = float(self.yaws[-1])
        return np.stack(
            [
                np.interp(arcs, self.arc_m, self.points[:, 0]) + over * math.cos(heading),
                np.interp(arcs, self.arc_m, self.points[:, 1]) + over * math.sin(heading),
            ],
            axis=1,
        )

    def project(self, x: float, y: float, low_m: float = 0.0, high_m: float = math.inf) -> tuple[float, float]:
        """Arc length of the nearest route point between two arc lengths, and the offset from it (left positive)."""
        first = max(0, int(np.searchsorted(self.arc_m, low_m, side="right")) - 1)
        last = min(len(self.points) - 1, int(np.searchsorted(self.arc_m, high_m)) + 1)
        first = min(first, last - 1)
        start, end = self.points[first:last], self.points[first + 1 : last + 1]
        along = end - start
        lengths = np.hypot(along[:, 0], along[:, 1])
        offset = np.array([x, y]) - start
        share = np.clip(np.sum(offset * along, axis=1) / lengths**2, 0.0, 1.0)
        gap = offset - share[:, None] * along
        nearest = int(np.argmin(np.hypot(gap[:, 0], gap[:, 1])))
        cross = along[nearest, 0] * offset[nearest, 1] - along[nearest, 1] * offset[nearest, 0]
        arc = self.arc_m[first + nearest] + share[nearest] * lengths[nearest]
        return float(arc), float(math.copysign(math.hypot(*gap[nearest]), cross))


class RouteTracker:
    """How far along the route the car has come. Progress never goes back; it looks a short way ahead only, so that a
    route that crosses itself is not cut short."""

    WINDOW_M = 15.0
    GOAL_M = 10.0
    DONE = 0.99

    def __init__(self, route: Route) -> None:
        self.route = route
        self.progress_m = 0.0
        self.offset_m = 0.0  # from the route's line, left positive
        self._goal_m = math.inf

    def update(self, x: float, y: float) -> None:
        arc, self.offset_m = self.route.project(x, y, self.progress_m - 3.0, self.progress_m + self.WINDOW_M)
        self.progress_m = max(self.progress_m, arc)
        goal = self.route.points[-1]
        self._goal_m = math.hypot(x - goal[0], y - goal[1])

    @property
    def completion(self) -> float:
        """In [0, 1]; 1 once over 99 % done and under 10 m from the goal (Leaderboard's rule)."""
        share = self.progress_m / self.route.length_m
        return 1.0 if share > self.DONE and self._goal_m < self.GOAL_M else min(share, 1.0)

    @property
    def finished(self) -> bool:
        return self.completion >= 1.0

    @property
    def next_junction(self) -> JunctionSpan | None:
        return next((span for span in self.route.junctions if span.exit_m > self.progress_m), None)

    @property
    def hint(self) -> RouteHint:
        span = self.next_junction
        if span is None or span.entry_m - self.progress_m > RouteHint.MAX_DISTANCE_M:
            return RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M)
        steps = math.ceil(max(0.0, span.entry_m - self.progress_m) / HINT_STEP_M)
        return RouteHint(span.command, min(steps * HINT_STEP_M, RouteHint.MAX_DISTANCE_M))


def lines_on_route(route: Route, stop_lines: Sequence[StopLine]) -> list[tuple[float, StopLine]]:
    """The stop lines that a route comes to, in order, each with its arc length along the route."""
    return sorted(
        (
            (route.project(line.pose.x, line.pose.y, span.entry_m - 15.0, span.entry_m + 5.0)[0], line)
            for span in route.junctions
            for line in stop_lines
            if (line.lane[0], line.lane[2]) == (span.approach[0], span.approach[2])
        ),
        key=lambda found: found[0],
    )


def route_along(graph: LaneGraph, lanes: Sequence[LaneKey], start_m: float, end_m: float, name: str) -> Route:
    """The route along a chain of lanes, from `start_m` on the first one to `end_m` on the last one."""
    columns: list[FloatArray] = []  # x, y, yaw, limit, width, index of the lane
    for i, key in enumerate(lanes):
        lane = graph.lanes[key]
        low = start_m if i == 0 else 0.0
        high = end_m if i == len(lanes) - 1 else lane.length_m
        arcs = np.unique(np.concatenate([[low, high], lane.arc_m[(lane.arc_m > low) & (lane.arc_m < high)]]))
        count = len(arcs)
        rows = np.stack(
            [
                np.interp(arcs, lane.arc_m, lane.points[:, 0]),
                np.interp(arcs, lane.arc_m, lane.points[:, 1]),
                np.interp(arcs, lane.arc_m, lane.yaws),
                np.full(count, lane.speed_limit_mps),
                np.full(count, lane.width_m),
                np.full(count, i),
            ],
            axis=1,
        )
        columns.append(rows if i == len(lanes) - 1 else rows[:-1])  # a lane ends where the next one begins
    table = np.concatenate(columns)
    keep = np.concatenate([[True], np.hypot(*np.diff(table[:, :2], axis=0).T) > 1e-3])
    table = table[keep]
    points = table[:, :2]
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    starts = [float(arc[np.searchsorted(table[:, 5], i)]) for i in range(len(lanes))] + [float(arc[-1])]
    return Route(
        name,
        graph.town,
        points,
        np.unwrap(table[:, 2]),
        arc,
        table[:, 3],
        table[:, 4],
        tuple(_junction_spans(graph, lanes, starts)),
        tuple(lanes),
    )


def _junction_spans(graph: LaneGraph, lanes: Sequence[LaneKey], starts: Sequence[float]) -> Iterator[JunctionSpan]:
    i = 1
    while i < len(lanes):
        junction = graph.lanes[lanes[i]].junction_id
        last = i
        while junction >= 0 and last + 1 < len(lanes) and graph.lanes[lanes[last + 1]].junction_id == junction:
            last += 1
        if junction >= 0:
            command = command_of([graph.lanes[key] for key in lanes[i : last + 1]])
            yield JunctionSpan(
                starts[i], starts[last + 1], command, junction, lanes[i - 1], lanes[i - 1] in graph.signalised
            )
        i = last + 1


def command_of(lanes: Sequence[Lane]) -> Command:
    turn = turn_of([lanes[0].yaws[0], lanes[-1].yaws[-1]])
    return Command.LEFT if turn > TURN_RAD else Command.RIGHT if turn < -TURN_RAD else Command.STRAIGHT


def find_first_drive_route(graph: LaneGraph, low_m: float = 305.0, high_m: float = 345.0) -> Route:
    """The town's show route, the same for every seed: at least one left turn, one right turn and two traffic lights;
    among all such, straight crossings and more lights first, then the length nearest to the middle."""
    best: tuple[tuple[float, ...], Route] | None = None
    for first in sorted(graph.lanes):
        lane = graph.lanes[first]
        if lane.junction_id >= 0 or lane.length_m < 20.0:
            continue
        start_m = max(5.0, lane.length_m - START_BEFORE_JUNCTION_M)
        for chain, end_m in _chains(graph, [first], lane.length_m - start_m, low_m, high_m):
            route = route_along(graph, chain, start_m, end_m, "first_drive")
            commands = [span.command for span in route.junctions]
            lights = sum(span.signalised for span in route.junctions)
            if Command.LEFT not in commands or Command.RIGHT not in commands or lights < 2:
                continue
            score = (
                float(Command.STRAIGHT in commands),
                float(min(lights, 4)),
                -abs(route.length_m - (low_m + high_m) / 2.0),
            )
            if best is None or score > best[0]:
                best = (score, route)
    if best is None:
        raise ValueError(
            f"town {graph.town} has no route of {low_m:.0f}-{high_m:.0f} m with a left turn, a right turn "
            "and two traffic lights"
        )
    return best[1]


def _chains(
    graph: LaneGraph, chain: list[LaneKey], length_m: float, low_m: float, high_m: float
) -> Iterator[tuple[list[LaneKey], float]]:
    """Every chain of distinct lanes that can end, outside a junction, with a length within the bounds."""
    for key in graph.successors(chain[-1]):
        lane = graph.lanes[key]
        if key in chain or length_m > high_m:
            continue
        end_m = min(lane.length_m - 12.0, END_AFTER_JUNCTION_M)
        if lane.junction_id < 0 and end_m > 15.0 and low_m <= length_m + end_m <= high_m:
            yield [*chain, key], end_m
        yield from _chains(graph, [*chain, key], length_m + lane.length_m, low_m, high_m)


def random_route(
    graph: LaneGraph, rng: np.random.Generator, min_length_m: float = 400.0, name: str = "random"
) -> Route:
    """A random walk over lanes from a random lane, at every fork choosing evenly between left, right and straight."""
    starts = [
        key for key in sorted(graph.lanes) if graph.lanes[key].junction_id < 0 and graph.lanes[key].length_m > 20.0
    ]
    for _ in range(200):
        chain = [starts[int(rng.integers(len(starts)))]]
        start_m = float(rng.uniform(3.0, max(4.0, graph.lanes[chain[0]].length_m - 15.0)))
        length = graph.lanes[chain[0]].length_m - start_m
        while True:
            options = graph.successors(chain[-1])
            if not options:
                break
            chain.append(options[int(rng.integers(len(options)))])
            lane = graph.lanes[chain[-1]]
            end_m = lane.length_m - 12.0
            if lane.junction_id < 0 and end_m > 10.0 and length + end_m >= min_length_m:
                return route_along(graph, chain, start_m, end_m, name)
            length += lane.length_m
    raise ValueError(f"no random route of {min_length_m:.0f} m found in town {graph.town}: too many dead ends")


def covering_routes(
    graph: LaneGraph, count: int, low_m: float = 300.0, high_m: float = 400.0, seed: int = 0, draws: int = 600
) -> tuple[Route, ...]:
    """Routes of a length within the bounds that together drive over as many lanes of a town as they can: of many drawn
    at random the one that adds most, again and again; every lane is worth half as much each time. Same seed, same
    routes. ValueError where too few are found."""
    rng = np.random.default_rng(seed)
    drawn = [route for _ in range(draws) if (route := _bounded_route(graph, rng, low_m, high_m)) is not None]
    if len(drawn) < count:
        raise ValueError(f"only {len(drawn)} routes of {low_m:.0f}-{high_m:.0f} m found in town {graph.town}")
    times: dict[LaneKey, int] = {}
    chosen: list[Route] = []
    for number in range(count):
        gains = [sum(graph.lanes[key].length_m * 0.5 ** times.get(key, 0) for key in route.lanes) for route in drawn]
        best = drawn.pop(int(np.argmax(gains)))
        for key in best.lanes:
            times[key] = times.get(key, 0) + 1
        chosen.append(replace(best, name=f"{graph.town.lower()}_{number:02d}"))
    return tuple(chosen)


def _bounded_route(graph: LaneGraph, rng: np.random.Generator, low_m: float, high_m: float) -> Route | None:
    try:
        route = random_route(graph, rng, low_m)
    except ValueError:
        return None
    last = graph.lanes[route.lanes[-1]]
    over = max(0.0, route.length_m - float(rng.uniform(low_m, high_m)))
    end_m = last.length_m - 12.0 - over  # at least 12 m behind the last junction
    distinct = len(set(route.lanes)) == len(route.lanes)
    if not distinct or end_m < 12.0 or not low_m <= route.length_m - over <= high_m:
        return None
    start_m = float(graph.lanes[route.lanes[0]].arc_m[-1]) - _length_on_first(graph, route)
    return route_along(graph, route.lanes, start_m, end_m, route.name)


def _length_on_first(graph: LaneGraph, route: Route) -> float:
    """Metres of a route on its first lane."""
    rest = sum(graph.lanes[key].length_m for key in route.lanes[1:-1])
    return route.length_m - rest - (graph.lanes[route.lanes[-1]].length_m - 12.0)


def save_route(route: Route, path: str | Path) -> None:
    save_routes([route], path)


def save_routes(routes: Sequence[Route], path: str | Path) -> None:
    """Writes a Leaderboard 2.x routes file (CARLA's axes): of each route the start, places before, in and after each
    junction, and the goal."""
    root = ElementTree.Element("routes")
    for route in routes:
        _add_route(root, route)
    ElementTree.indent(root)
    Path(path).write_text(ElementTree.tostring(root, encoding="unicode") + "\n", encoding="utf-8")


def _add_route(root: ElementTree.Element, route: Route) -> None:
    node = ElementTree.SubElement(root, "route", id=route.name, town=route.town)
    ElementTree.SubElement(node, "weathers")
    waypoints = ElementTree.SubElement(node, "waypoints")
    # two places a junction: well before its entry and well after its exit, so that no lane is in doubt
    arcs = [0.0]
    for span in route.junctions:
        arcs += [max(span.entry_m - 5.0, arcs[-1]), (span.entry_m + span.exit_m) / 2.0, span.exit_m + 5.0]
    for arc in [*(arc for arc in arcs if arc < route.length_m), route.length_m]:
        pose = route.pose_at(arc)
        ElementTree.SubElement(waypoints, "position", x=f"{pose.x:.2f}", y=f"{-pose.y:.2f}", z="0.00")
    scenarios = ElementTree.SubElement(node, "scenarios")
    for spec in route.scenarios:
        add_scenario(scenarios, spec)


def load_routes(graph: LaneGraph, path: str | Path, name: str | None = None) -> tuple[Route, ...]:
    """The routes of a Leaderboard 2.x routes file that lie in this map's town, threaded through its lanes; with a name
    that one alone. ValueError if there is none, or one that cannot be driven."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ValueError(f"routes file {path}: {error}") from error
    nodes = [node for node in root.iter("route") if name is None or node.attrib.get("id") == name]
    if not nodes:
        there = [node.attrib.get("id") for node in root.iter("route")]
        raise ValueError(f"routes file {path}: route {name or ''} is not in it; it has {there}")
    here = [node for node in nodes if node.attrib.get("town") == graph.town] or nodes[:1]
    return tuple(_read_route(graph, node, path) for node in here)


def _read_route(graph: LaneGraph, node: ElementTree.Element, path: str | Path) -> Route:
    name, town = node.attrib.get("id", "route"), node.attrib.get("town")
    places = [(float(place.attrib["x"]), -float(place.attrib["y"])) for place in node.iterfind("waypoints/position")]
    if town != graph.town or len(places) < 2:
        raise ValueError(
            f"routes file {path}, route {name}: needs town {graph.town} and at least "
            f"2 positions, received town {town} and {len(places)} positions"
        )
    try:
        scenarios = tuple(read_scenario(child) for child in node.iterfind("scenarios/scenario"))
    except ValueError as error:
        raise ValueError(f"routes file {path}, route {name}: {error}") from error
    return replace(route_through(graph, places, name), scenarios=scenarios)


def route_through(graph: LaneGraph, places: Sequence[tuple[float, float]], name: str) -> Route:
    """The shortest route without lane changes that passes the lanes of the given places in order."""
    chain: list[LaneKey] = []
    start_m = end_m = 0.0
    for x, y in places:
        options = lanes_near(graph, x, y)
        if not chain:
            key, start_m = graph.locate(x, y)
            chain, end_m = [key], start_m
            continue
        best = min(
            (_onward(graph, chain[-1], end_m, key, arc) for key, arc in options), key=lambda found: (found[0], found[1])
        )
        if math.isinf(best[0]):
            raise ValueError(f"route {name}: x={x:.1f}, y={y:.1f} m cannot be reached without a lane change")
        chain += best[1][1:]
        end_m = best[2]
    return route_along(graph, chain, start_m, end_m, name)


def lanes_near(graph: LaneGraph, x: float, y: float, within_m: float = 0.6) -> list[tuple[LaneKey, float]]:
    """Lanes that pass a place (several overlap inside junctions), each with the arc length there."""
    near: list[tuple[LaneKey, float]] = []
    for key in sorted(graph.lanes):
        lane = graph.lanes[key]
        gaps = np.hypot(*(lane.points - (x, y)).T)
        nearest = int(np.argmin(gaps))
        if gaps[nearest] < within_m:
            near.append((key, float(lane.arc_m[nearest])))
    return near or [graph.locate(x, y)]


def _onward(
    graph: LaneGraph, start: LaneKey, start_m: float, goal: LaneKey, goal_m: float
) -> tuple[float, list[LaneKey], float]:
    if start == goal and goal_m >= start_m:
        return goal_m - start_m, [start], goal_m
    try:
        path = graph.shortest(start, goal)
    except ValueError:
        return math.inf, [], 0.0
    return sum(graph.lanes[key].length_m for key in path[:-1]) - start_m + goal_m, path, goal_m
