"""The generated towns' road networks, judged by CARLA's own map parser and by the file's own rules."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import carla
import networkx as nx
import numpy as np
import pytest

from carla_bridge.embedded.towns.layouts import LAYOUTS
from carla_bridge.embedded.towns.layouts.network import Arm, Network

LIGHT, YIELD, STOP, LIMIT = "1000001", "205", "206", "274"


@dataclass(frozen=True)
class Place:
    network: Network
    text: str

    @cached_property
    def map(self) -> carla.Map:
        return carla.Map(self.network.name, self.text)

    @cached_property
    def waypoints(self) -> list[carla.Waypoint]:
        return self.map.generate_waypoints(2.0)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def place(request: pytest.FixtureRequest) -> Place:
    layout = LAYOUTS[request.param]
    return Place(layout.network(), layout.opendrive())


def lane(waypoint: carla.Waypoint) -> tuple[int, int]:
    return waypoint.road_id, waypoint.lane_id


def arm_end(arm: Arm, lane_id: int) -> tuple[float, float, float]:
    """Middle of a lane at the end of its road, by this repository's own geometry."""
    profile, s = arm.road.profile, arm.s
    aside = profile.inner_edge(lane_id, s) + profile.lane(lane_id).width.at(s) / 2.0
    x, y = arm.road.curve.offset([s], math.copysign(aside, lane_id))[0]
    return float(x), float(y), arm.road.height.at(s)


def test_the_same_text_every_time(place: Place) -> None:
    assert LAYOUTS[place.network.name].opendrive() == place.text


def test_lanes_of_connectors_join_exactly(place: Place) -> None:
    """Every lane: within 1 cm in place and height, half a degree in heading, 0.5 % in slope; and of the same width."""
    for way in place.network.connectors:
        sides = ((-1, way.right), (1, way.left))
        for arm, s, at_end in ((way.incoming, 0.0, False), (way.outgoing, way.curve.length, True)):
            heading = way.curve.at(s)[2]
            travel = arm.heading if at_end else arm.heading + math.pi
            assert abs(math.remainder(heading - travel, math.tau)) < math.radians(0.5)
            assert abs(way.height.at(s) - arm.road.height.at(arm.s)) < 0.01
            assert abs(way.height.slope(s) - arm.slope(outwards=at_end)) < 0.005
            for sign, lanes in sides:
                edge = 0.0
                for item in lanes:
                    width = item.lane.width.at(s)
                    target = item.after if at_end else item.before
                    if target is not None:
                        assert width == pytest.approx(arm.width(target), abs=1e-6)
                        x, y = way.curve.offset([s], sign * (edge + width / 2.0))[0]
                        assert math.dist((x, y), arm_end(arm, target)[:2]) < 0.01
                    edge += width


def test_the_parser_sees_the_same_lanes(place: Place) -> None:
    """Where CARLA's parser says a lane goes on, the next lane begins there, within 1 cm and half a degree."""
    network = place.network
    lengths = {road.id: road.length for road in network.roads} | {c.id: c.curve.length for c in network.connectors}
    short = 1e-3
    for before, after in place.map.get_topology():
        road_id, lane_id = lane(before)
        end = place.map.get_waypoint_xodr(road_id, lane_id, lengths[road_id] - short if lane_id < 0 else short)
        s = short if after.lane_id < 0 else lengths[after.road_id] - short
        start = place.map.get_waypoint_xodr(after.road_id, after.lane_id, s)
        a, b = end.transform, start.transform
        assert a.location.distance(b.location) < 0.01 + 2.0 * short
        assert abs(math.remainder(a.rotation.yaw - b.rotation.yaw, 360.0)) < 0.5
        assert end.lane_width == pytest.approx(start.lane_width, abs=1e-3)


def test_one_can_drive_for_ever(place: Place) -> None:
    """Every lane has a successor, and every lane that can be entered at all leads to every other."""
    graph = nx.DiGraph((lane(a), lane(b)) for a, b in place.map.get_topology())
    lanes = {lane(w) for w in place.waypoints}
    assert set(graph.nodes) == lanes
    assert all(graph.out_degree(node) for node in lanes)
    assert all(graph.in_degree(node) for node in lanes)
    assert nx.is_strongly_connected(graph)


def test_lanes_are_smooth(place: Place) -> None:
    """Following a lane never jumps aside, turns sharper than a 6 m circle or climbs more than 7 %."""
    step = 1.0
    for here in place.waypoints:
        following = here.next(step)
        assert following
        for there in following:
            offset = there.transform.location - here.transform.location
            bend = abs(math.remainder(there.transform.rotation.yaw - here.transform.rotation.yaw, 360.0))
            assert bend <= math.degrees(1.15 * step / 6.0)
            yaw = math.radians(here.transform.rotation.yaw)
            ahead = offset.x * math.cos(yaw) + offset.y * math.sin(yaw)
            aside = offset.y * math.cos(yaw) - offset.x * math.sin(yaw)
            assert 0.65 * step < ahead < 1.35 * step  # s runs along the reference line, not the lane's middle
            assert abs(aside) < 0.12 * step
            assert abs(offset.z) < 0.07 * step


def test_bends_suit_their_speed(place: Place) -> None:
    """v^2 / r stays under 4 m/s^2 between junctions (rings and turning loops are driven slower than posted)."""
    for road in place.network.roads:
        if "ring" not in road.name and "loop" not in road.name:
            assert (road.speed_kmh / 3.6) ** 2 / road.curve.tightest_radius < 4.0, road.name


def test_size_and_character(place: Place) -> None:
    roads = place.network.roads
    assert sum(road.length for road in roads) > 1500.0
    places = sum(max(0.0, road.length - 20.0) / 14.0 for road in roads if road.speed_kmh <= 50.0)
    assert places > 60
    assert any(item.kind == "sidewalk" for road in roads for item in (*road.profile.left, *road.profile.right))
    marks = Counter(mark.type for mark in place.map.get_all_landmarks())
    crosswalks = len(place.map.get_crosswalks()) / 5
    heights = [w.transform.location.z for w in place.waypoints]
    objects = Counter(item.type for road in roads for item in road.objects)
    assert crosswalks == objects["crosswalk"] >= 6
    if place.network.name == "Larkhill":
        assert marks[STOP] > 15
        assert marks[LIGHT] == 0
        assert 4.0 < max(heights) - min(heights) < 15.0
    if place.network.name == "Ringwood":
        assert marks[YIELD] >= 9
        assert marks[LIGHT] >= 9
        assert len([road for road in roads if "_ring_" in road.name]) == 9
        assert max(road.speed_kmh for road in roads) >= 80.0
    if place.network.name == "Thornby":
        assert marks[LIGHT] == 4
        assert objects["parkingSpace"] > 30
        bare = [road for road in roads if not any(item.kind == "sidewalk" for item in road.profile.right)]
        assert 5 < len(bare) < len(roads) - 2


def test_signals_govern_the_lanes_before_them(place: Place) -> None:
    """Each light and sign of a junction is found from its lanes, a little before the junction; ids are unique."""
    ids = [element.get("id") for element in ET.fromstring(place.text).iter("signal")]
    assert len(ids) == len(set(ids))
    assert {mark.id for mark in place.map.get_all_landmarks()} == set(ids)
    for road in place.network.roads:
        for signal in road.signals:
            if signal.type == LIMIT:
                assert signal.value == road.speed_kmh
                continue
            for lane_id in road.profile.driving(-1 if signal.orientation == "+" else 1):
                assert signal.lanes[0] <= lane_id <= signal.lanes[1]
                s = signal.s - 12.0 if lane_id < 0 else signal.s + 12.0
                start = place.map.get_waypoint_xodr(road.id, lane_id, s)
                found = start.get_landmarks_of_type(30.0, signal.type, True)
                assert str(signal.id) in [mark.id for mark in found]
                ahead = start.next(12.0 + 8.0)
                assert all(waypoint.is_junction for waypoint in ahead)


def test_crosswalks_reach_from_kerb_to_kerb(place: Place) -> None:
    corners = np.array([(p.x, p.y) for p in place.map.get_crosswalks()]).reshape(-1, 5, 2)
    assert np.allclose(corners[:, 0], corners[:, 4])
    for outline in corners:
        middle = outline[:4].mean(axis=0)
        across = np.linalg.norm(outline[3] - outline[0])
        along = np.linalg.norm(outline[1] - outline[0])
        waypoint = place.map.get_waypoint(carla.Location(float(middle[0]), float(middle[1]), 0.0))
        assert along == pytest.approx(3.0, abs=0.05)
        assert 1.9 * waypoint.lane_width < across < 2.1 * waypoint.lane_width + 2.2  # a bay may lie beside it
        assert not waypoint.is_junction


def test_the_bridge_clears_the_carriageways() -> None:
    network = LAYOUTS["Ringwood"].network()
    bridge = next(road for road in network.roads if road.bridges)
    start, end = bridge.bridges[0]
    for road in network.roads:
        if road.name.startswith(("eastbound", "westbound")) and road.name[-1].isdigit():
            for s in np.arange(0.0, road.length, 2.0):
                x, y, _ = road.curve.at(float(s))
                distances = [math.dist((x, y), bridge.curve.at(b)[:2]) for b in np.arange(0.0, bridge.length, 1.0)]
                if min(distances) < 8.0:
                    at = float(np.argmin(distances))
                    assert start + 8.0 < at < end - 8.0
                    assert bridge.height.at(at) - road.height.at(float(s)) > 5.5
