"""Whether a drawn road network can be a town: its size, its turns, its slopes, and that its roads keep apart."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import shapely

from carla_bridge.embedded.towns.layouts.character import BAY_WIDTH_M
from carla_bridge.embedded.towns.layouts.network import Network
from carla_bridge.embedded.towns.layouts.plan import Plan
from carla_bridge.embedded.towns.layouts.profile import DRIVING

RING_PART = "_ring_"  # in the names of a roundabout's roads
SHORTEST_M = 42.0  # a road
SHORTEST_TOWN_M, LONGEST_TOWN_M = 1400.0, 2900.0
CLEAR_M = 1.0  # on either side of a road
FOREIGN_JUNCTION_M = 42.0  # from a road's middle to a junction that it does not meet
LEAST_RADIUS_M = 6.4  # of the middle of a lane that turns
STEEPEST = 0.055
SPAWN_SPACING_M, SPAWN_FREE_M = 14.0, 22.0  # places for cars on a lane, and none near its ends
LEAST_SPAWNS = 80


def is_sound(network: Network, plan: Plan) -> bool:
    """The town has a size, its roads are apart, its lanes can be driven."""
    streets = [road for road in network.roads if RING_PART not in road.name]
    total = sum(road.length for road in streets)
    if not SHORTEST_TOWN_M < total < LONGEST_TOWN_M or min(road.length for road in streets) < SHORTEST_M:
        return False
    spawns = sum(
        int(max(0.0, road.length - SPAWN_FREE_M) / SPAWN_SPACING_M) * len(road.profile.driving(sign))
        for road in streets
        for sign in (-1, 1)
    )
    return spawns >= LEAST_SPAWNS and _drivable(network) and _apart(network, plan)


def _drivable(network: Network) -> bool:
    """Every lane leads to every other; no turn is too tight, nothing too steep."""
    graph: nx.DiGraph[tuple[int, int]] = nx.DiGraph()
    for road in network.roads:
        graph.add_nodes_from((road.id, number) for sign in (-1, 1) for number in road.profile.driving(sign))
    for way in network.connectors:
        half = way.right[0].lane.width.at(0.0) / 2.0
        for part in way.curve.segments:
            if part.curvature and 1.0 / abs(part.curvature) + math.copysign(half, part.curvature) < LEAST_RADIUS_M:
                return False
        graph.add_edges_from(
            ((way.incoming.road.id, item.before), (way.outgoing.road.id, item.after))
            for item in way.right
            if item.before is not None and item.after is not None and item.lane.kind == DRIVING
        )
    profiles = [(road.height, road.length) for road in network.roads]
    profiles += [(way.height, way.curve.length) for way in network.connectors]
    steepest = max(abs(height.slope(s)) for height, length in profiles for s in np.arange(0.0, length, 5.0).tolist())
    return steepest < STEEPEST and nx.is_strongly_connected(graph)


def _apart(network: Network, plan: Plan) -> bool:
    """No road comes near another, or near a junction that it does not meet."""
    spots = {name: spot.point for name, spot in plan.spots.items()}
    areas, middles, met = [], [], []  # met: junctions that a road meets
    for road in network.roads:
        path = shapely.LineString(road.curve.offset(road.curve.stations(), 0.0))
        reach = max(road.profile.edge(sign, road.length / 2.0) for sign in (-1, 1)) + BAY_WIDTH_M
        ring = RING_PART in road.name
        areas.append(path.buffer(CLEAR_M if ring else reach + CLEAR_M, cap_style="flat"))
        middles.append(path)
        street = plan.streets[road.name]
        met.append({street.start.at.split(".")[0], street.end.at.split(".")[0]})
    for i, j in itertools.combinations(range(len(areas)), 2):
        in_ring = RING_PART in network.roads[i].name and met[i] & met[j]
        if areas[i].intersects(areas[j]) and not in_ring:
            return False
    return all(
        path.distance(shapely.Point(point)) > FOREIGN_JUNCTION_M
        for path, ends in zip(middles, met, strict=True)
        for name, point in spots.items()
        if name.split(".")[0] not in ends
    )
