"""A benchmark: short routes with one scenario each, every type a few times, spread over towns. Same seed, same
routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import Route, random_route, route_along
from carla_bridge.scenarios.catalogue import write_script
from carla_bridge.scenarios.sites import FINDERS, Site, Town
from carla_bridge.scenarios.spec import ScenarioSpec

RUN_UP_M, RUN_OUT_M = 60.0, 45.0  # of route before the trigger and behind the end of a scenario
DRAWN_M, DRAWS = 600.0, 160
PASSES, LONGER_M = 6, 20.0
SHORT_LANE_M = 12.0  # at both ends of a route


@dataclass(frozen=True)
class Split:
    """One benchmark. towns: in order of preference. each: routes of every type."""

    name: str
    towns: tuple[str, ...]
    each: int


SPLITS = (
    Split("dev", ("Gridley", "Larkhill", "Ringwood"), 1),
    Split("test", ("Thornby", "Larkhill", "Ringwood", "Gridley"), 4),
)


def make_benchmark(
    towns: Mapping[str, Town], splits: Sequence[Split] = SPLITS, seed: int = 0
) -> dict[str, tuple[Route, ...]]:
    """Routes by split. A place is used twice for one type only where there are too few. ValueError for a type that has
    none."""
    drawn = {name: _drawn(town.graph, seed) for name, town in towns.items()}
    chosen: dict[str, list[Route]] = {split.name: [] for split in splits}
    for kind in FINDERS:
        taken: set[tuple[object, ...]] = set()
        for split in splits:
            turn = len(chosen[split.name]) // split.each
            order = split.towns if split.name != "dev" else split.towns[turn % 3 :] + split.towns[: turn % 3]
            found = _choose(kind, [towns[name] for name in order], drawn, split.each, taken)
            if len(found) < split.each:
                raise ValueError(
                    f"scenario {kind}: {len(found)} places for {split.name}, {split.each} wanted, in {split.towns}"
                )
            chosen[split.name] += [_named(route, f"{kind}_{split.name}_{number}") for number, route in enumerate(found)]
    return {name: tuple(routes) for name, routes in chosen.items()}


def _drawn(graph: LaneGraph, seed: int) -> list[Route]:
    rng = np.random.default_rng([seed, len(graph.lanes)])
    routes = []
    for _ in range(DRAWS):
        try:
            route = random_route(graph, rng, DRAWN_M)
        except ValueError:
            continue
        if len(set(route.lanes)) == len(route.lanes):
            routes.append(route)
    return routes


def _choose(
    kind: str, towns: Sequence[Town], drawn: Mapping[str, list[Route]], count: int, taken: set[tuple[object, ...]]
) -> list[Route]:
    """From one town after the other, one at a time, as long as there are places; then the same places once more, with
    a longer way there."""
    found: list[Route] = []
    for turn in range(PASSES):
        places = taken if turn == 0 else set()
        run_up_m = RUN_UP_M + LONGER_M * turn
        sources = [_routes_with(kind, town, drawn[town.graph.town], places, run_up_m) for town in towns]
        while sources and len(found) < count:
            source = sources.pop(0)
            route = next(source, None)
            if route is not None:
                found.append(route)
                sources.append(source)
    return found


def _routes_with(
    kind: str, town: Town, routes: Sequence[Route], taken: set[tuple[object, ...]], run_up_m: float
) -> Iterator[Route]:
    """Routes with such a scenario, each at a new place."""
    for route in routes:
        for site in FINDERS[kind](town, route):
            if site.where in taken:
                continue
            made = _route_around(kind, town.graph, route, site, run_up_m)
            if made is not None:
                taken.add(site.where)
                yield made
                break


def _route_around(kind: str, graph: LaneGraph, route: Route, site: Site, run_up_m: float) -> Route | None:
    """The part of a route around a site, with the scenario; None where it cannot be."""
    spec = ScenarioSpec(kind, kind, route.pose_at(site.trigger_m))
    try:
        script = write_script(spec, route, graph, ())
        part = _part(graph, route, site.trigger_m - run_up_m, script.over_m + RUN_OUT_M)
        again = write_script(spec, part, graph, ())
    except ValueError:
        return None
    sound = again.over_m + 15.0 < part.length_m and again.trigger_m > 5.0
    return replace(part, scenarios=(spec,)) if sound else None


def _part(graph: LaneGraph, route: Route, start_m: float, end_m: float) -> Route:
    """Ends lie outside junctions, and far enough from them."""
    lengths = [graph.lanes[key].length_m for key in route.lanes]
    skipped = sum(lengths) - SHORT_LANE_M - route.length_m  # a random route ends so far before the end of a lane
    begins = np.concatenate([[0.0], np.cumsum(lengths)])[:-1] - skipped
    first = max(0, int(np.searchsorted(begins, max(start_m, 0.0), side="right")) - 1)
    while first > 0 and graph.lanes[route.lanes[first]].junction_id >= 0:
        first -= 1
    last = int(np.searchsorted(begins, end_m, side="right")) - 1
    while last < len(lengths) - 1 and graph.lanes[route.lanes[last]].junction_id >= 0:
        last += 1
    start = float(np.clip(start_m - begins[first], max(3.0, -begins[first]), lengths[first] - SHORT_LANE_M))
    high = lengths[last] - SHORT_LANE_M
    end = float(np.clip(end_m - begins[last], min(SHORT_LANE_M + 6.0, high), high))
    return route_along(graph, route.lanes[first : last + 1], start, end, route.name)


def _named(route: Route, name: str) -> Route:
    return replace(route, name=name, scenarios=tuple(replace(spec, name=name) for spec in route.scenarios))
