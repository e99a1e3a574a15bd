"""Routes on the generated town: whole, without lane changes, and tracked without jumps."""

from pathlib import Path

import carla
import numpy as np
import pytest
from bridge_helpers import gridley, straight_route
from hypothesis import given, settings
from hypothesis import strategies as st

from bev import Command, RouteHint
from carla_bridge.convert import wrap_angle
from carla_bridge.embedded.towns import load_town
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import (
    Route,
    RouteTracker,
    covering_routes,
    find_first_drive_route,
    load_routes,
    random_route,
    save_route,
)


def assert_drivable(route: Route) -> None:
    graph = gridley()
    for lane, following in zip(route.lanes, route.lanes[1:], strict=False):
        assert graph.graph.has_edge(lane, following)  # runs into it: no lane change
    steps = np.diff(route.points, axis=0)
    assert np.hypot(*steps.T).max() < 1.5
    assert np.abs(np.diff(route.yaws)).max() < 0.2  # no kink
    headings = np.arctan2(steps[:, 1], steps[:, 0])
    off = [abs(wrap_angle(float(a - b))) for a, b in zip(headings, route.yaws[:-1], strict=True)]
    assert max(off) < 0.2  # the line runs where the lane points
    for span in route.junctions:
        turn = wrap_angle(route.pose_at(span.exit_m).yaw - route.pose_at(span.entry_m).yaw)
        expected = Command.LEFT if turn > 0.5 else Command.RIGHT if turn < -0.5 else Command.STRAIGHT
        assert span.command == expected


def test_every_lane_begins_where_its_predecessors_end() -> None:
    graph = gridley()
    for key, following in graph.graph.edges:
        assert graph.lanes[key].points[-1] == pytest.approx(graph.lanes[following].points[0], abs=1e-3)


def test_first_drive_route_has_what_the_show_needs() -> None:
    route = find_first_drive_route(gridley())
    commands = [span.command for span in route.junctions]
    assert 300.0 <= route.length_m <= 450.0
    assert {Command.LEFT, Command.RIGHT} <= set(commands)
    assert sum(span.signalised for span in route.junctions) >= 2
    assert_drivable(route)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_random_routes_are_drivable_and_repeatable(seed: int) -> None:
    route = random_route(gridley(), np.random.default_rng(seed), 300.0)
    assert route.length_m >= 300.0
    assert_drivable(route)
    again = random_route(gridley(), np.random.default_rng(seed), 300.0)
    assert again.lanes == route.lanes
    assert np.array_equal(again.points, route.points)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_a_saved_route_is_loaded_again(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("routes") / "route.xml"
    route = random_route(gridley(), np.random.default_rng(seed), 300.0)
    save_route(route, path)
    (loaded,) = load_routes(gridley(), path)
    assert loaded.lanes == route.lanes
    assert loaded.length_m == pytest.approx(route.length_m, abs=1.5)


def test_a_bad_routes_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "routes.xml"
    path.write_text('<routes><route id="0" town="Town99"><waypoints/></route></routes>')
    with pytest.raises(ValueError, match=r"needs town Gridley and at least 2 positions, received town Town99"):
        load_routes(gridley(), path)


@given(st.floats(-5.0, 105.0), st.floats(-20.0, 20.0))
def test_projection_on_a_straight_line(x: float, y: float) -> None:
    arc, side = straight_route().project(x, y)
    assert arc == pytest.approx(min(max(x, 0.0), 100.0), abs=1e-9)
    assert abs(side) == pytest.approx(np.hypot(y, x - arc), abs=1e-9)
    assert side * y >= 0.0  # left positive


def test_tracker_follows_the_whole_route_and_never_goes_back() -> None:
    route = find_first_drive_route(gridley())
    tracker = RouteTracker(route)
    before, rng = 0.0, np.random.default_rng(0)
    for arc in np.arange(0.0, route.length_m, 0.5):
        tracker.update(*(route.points_at(np.array([arc]))[0] + rng.normal(0.0, 0.4, 2)))
        assert tracker.progress_m >= before
        assert tracker.progress_m == pytest.approx(arc, abs=3.0)
        assert tracker.hint.distance_m % 5.0 == 0.0
        before = tracker.progress_m
    assert tracker.finished


def test_hint_is_as_coarse_as_a_voice_prompt() -> None:
    route = straight_route(200.0, junction=(100.0, 115.0))
    tracker = RouteTracker(route)
    heard = []
    for arc in (0.0, 30.0, 41.0, 62.0, 100.0, 110.0, 116.0):
        for x in np.arange(tracker.progress_m, arc + 0.1):
            tracker.update(float(x), 0.0)
        tracker.update(arc, 0.0)
        heard.append(tracker.hint)
    follow = RouteHint(Command.FOLLOW, 60.0)
    straight = [RouteHint(Command.STRAIGHT, metres) for metres in (60.0, 40.0, 0.0, 0.0)]
    assert heard == [follow, follow, *straight, follow]


def test_the_shipped_routes_file_is_the_first_drive() -> None:
    (shipped,) = load_routes(gridley(), Path(__file__).parents[2] / "configs" / "routes" / "first_drive.xml")
    assert shipped.lanes == find_first_drive_route(gridley()).lanes


def test_the_shipped_unseen_routes_cover_thornby() -> None:
    graph = LaneGraph(carla.Map("Thornby", load_town("Thornby").opendrive))
    shipped = load_routes(graph, Path(__file__).parents[2] / "configs" / "routes" / "thornby_unseen.xml")
    assert [route.lanes for route in shipped] == [route.lanes for route in covering_routes(graph, 20)]
    assert all(299.0 < route.length_m < 401.0 for route in shipped)
    driven = {key for route in shipped for key in route.lanes}
    assert sum(graph.lanes[key].length_m for key in driven) > 0.75 * sum(lane.length_m for lane in graph.lanes.values())
    spans = [span for route in shipped for span in route.junctions]
    assert 5 < sum(span.signalised for span in spans) < len(spans) - 20
