"""Towns drawn from a number: the same every time, driveable for ever, with lights and stop lines a client finds."""

from __future__ import annotations

import carla
import networkx as nx
import numpy as np
import pytest

from bev import Camera, CameraRig
from carla_bridge.embedded.towns import is_town, load_town
from carla_bridge.embedded.towns.layouts import layout_of
from carla_bridge.embedded.towns.layouts.network import Network
from carla_bridge.embedded.types import Town
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import random_route
from carla_bridge.session import Session, WorldConfig

AVENUES = "Random3"  # two lanes a direction, every junction with lights
RIG = CameraRig((Camera("front", 64, 32, 1.5, 0.7, 0.0, 1.6),))


def network(number: int) -> Network:
    layout = layout_of(f"Random{number}")
    assert layout is not None
    return layout.network()


def check_driveable(town: Town) -> LaneGraph:
    """Every lane leads to every other, there is room for cars, walks of 400 m exist."""
    graph = LaneGraph(carla.Map(town.name, town.opendrive))
    assert nx.is_strongly_connected(graph.graph)
    lanes = {(w.road_id, w.section_id, w.lane_id) for w in graph.map.generate_waypoints(4.0)}
    assert lanes == set(graph.lanes)
    assert 60 <= len(town.spawn_points) <= 300
    rng = np.random.default_rng(0)
    assert all(random_route(graph, rng).length_m >= 400.0 for _ in range(3))
    return graph


def test_which_names_are_towns() -> None:
    assert all(map(is_town, ("Random0", "Random7", "Random99999", "Thornby")))
    assert not any(map(is_town, ("Random", "Random07", "Random100000", "Random-1", "random7", "Random7 ")))
    with pytest.raises(ValueError, match=r"unknown town 'Random07'; there is .*Random0\.\.Random99999"):
        load_town("Random07")


def test_the_same_number_gives_the_same_bytes() -> None:
    first, second = load_town("Random8"), load_town("Random8")
    assert first.opendrive == second.opendrive
    for field in ("vertices", "triangles", "colours", "labels", "materials"):
        assert getattr(first.mesh, field).tobytes() == getattr(second.mesh, field).tobytes()
    assert (first.spawn_points, first.lights, first.signs) == (second.spawn_points, second.lights, second.signs)
    check_driveable(first)  # it has two roundabouts


def test_the_towns_that_models_are_trained_in_stay_as_they_are() -> None:
    """A changed draw would quietly turn training towns into others: road lengths in metres, as they were."""
    for number, total in ((1, 1870.8), (2, 1781.5), (900, 1823.6)):
        assert sum(road.length for road in network(number).roads) == pytest.approx(total, abs=0.1)


def test_most_towns_have_several_junctions_with_lights() -> None:
    counts = [sum(bool(junction.phases) for junction in network(number).junctions) for number in range(1, 16)]
    assert sum(count >= 3 for count in counts) >= 10
    assert min(counts) < 3  # and some live by signs


def test_a_client_finds_one_stop_line_a_lane_before_lights() -> None:
    with Session(WorldConfig(town=AVENUES), RIG) as session:
        assert session.map.name.endswith(AVENUES)
        lanes = [line.lane for line in session.stop_lines]
        assert len(lanes) == len(set(lanes))
        assert set(lanes) == session.graph.signalised
        assert len(lanes) > 20


@pytest.mark.slow
@pytest.mark.parametrize("number", [*range(1, 27), *range(900, 904)])
def test_many_towns_can_be_built_and_driven(number: int) -> None:
    town = load_town(f"Random{number}")
    graph = check_driveable(town)
    assert sum(1 for mark in graph.map.get_all_landmarks_of_type("1000001")) == len(town.lights)
