"""Scenarios: in files, as scripts, and what their behaviours do; whole ones are played in test_scenario_drives.py."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from bridge_helpers import car, gridley, straight_route, truth

from bev import Command, Pose2D
from carla_bridge.convert import wrap_angle
from carla_bridge.routes import Route, find_first_drive_route, load_routes, random_route, save_route
from carla_bridge.scenarios.behaviours import After, Brake, EgoAt, EgoIn, Go, Gone, Meet, Moment, Stand
from carla_bridge.scenarios.catalogue import AUTHORS, write_script
from carla_bridge.scenarios.line import Line, across_route, along_route, ramp
from carla_bridge.scenarios.sites import FINDERS
from carla_bridge.scenarios.spec import ScenarioSpec
from carla_bridge.scenarios.streams import Side, streams


@dataclass
class Someone:
    arc_m: float = 0.0
    speed_mps: float = 0.0
    began_s: float = 0.0
    began_m: float = 0.0


def moment(time_s: float, ego_x: float, ego_mps: float = 8.0) -> Moment:
    return Moment(truth(time_s, car(ego_x, speed=ego_mps)), 0.05, ego_x + 2.4)


# -- files ----------------------------------------------------------------------------------------------------------


def test_scenarios_of_a_route_survive_the_file(tmp_path: Path) -> None:
    route = find_first_drive_route(gridley())
    flow = {"flow_speed": {"value": "9"}, "start_actor_flow": {"x": "1.5", "y": "-2.0", "z": "0.0"}}
    specs = (
        ScenarioSpec("one", "Accident", route.pose_at(40.0)),
        ScenarioSpec("two", "SignalizedJunctionLeftTurn", route.pose_at(90.0), 0.5, flow),
    )
    save_route(replace(route, scenarios=specs), tmp_path / "routes.xml")
    (loaded,) = load_routes(gridley(), tmp_path / "routes.xml")
    assert loaded.lanes == route.lanes
    for spec, again in zip(specs, loaded.scenarios, strict=True):
        assert (again.name, again.kind, again.parameters) == (spec.name, spec.kind, spec.parameters)
        assert math.dist((spec.trigger.x, spec.trigger.y), (again.trigger.x, again.trigger.y)) < 0.01
        assert abs(wrap_angle(spec.trigger.yaw - again.trigger.yaw)) < 0.01
    assert loaded.scenarios[1].number("flow_speed", 1.0) == 9.0
    assert loaded.scenarios[1].number("count", 3.0) == 3.0


def test_a_leaderboard_file_is_read_in_carlas_axes(tmp_path: Path) -> None:
    path = tmp_path / "routes.xml"
    save_route(find_first_drive_route(gridley()), path)
    node = '<scenario name="A_1" type="Accident"><trigger_point x="10" y="20" z="1" yaw="90" /></scenario>'
    path.write_text(path.read_text().replace("<scenarios />", f"<scenarios>{node}</scenarios>"))
    (spec,) = load_routes(gridley(), path)[0].scenarios
    assert (spec.trigger.x, spec.trigger.y, spec.z_m) == (10.0, -20.0, 1.0)
    assert spec.trigger.yaw == pytest.approx(-math.pi / 2.0)


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ('<scenario name="A_1" type="Accident" />', "A_1: needs a type and a <trigger_point>"),
        ('<scenario name="A_1"><trigger_point x="1" y="2" z="3" yaw="4" /></scenario>', "A_1: needs a type"),
        ('<scenario name="A_1" type="Accident"><trigger_point x="1" y="b" yaw="4" /></scenario>', "numbers x, y and"),
    ],
)
def test_what_a_scenario_lacks_is_told(tmp_path: Path, node: str, told: str) -> None:
    path = tmp_path / "routes.xml"
    save_route(find_first_drive_route(gridley()), path)
    path.write_text(path.read_text().replace("<scenarios />", f"<scenarios>{node}</scenarios>"))
    with pytest.raises(ValueError, match=told):
        load_routes(gridley(), path)


def test_one_route_of_many_towns(tmp_path: Path) -> None:
    path = tmp_path / "routes.xml"
    save_route(find_first_drive_route(gridley()), path)
    other = '<route id="far" town="Elsewhere"><waypoints /></route>'
    path.write_text(path.read_text().replace("</routes>", f"{other}</routes>"))
    assert [route.name for route in load_routes(gridley(), path)] == ["first_drive"]
    with pytest.raises(ValueError, match="far: needs town Gridley"):
        load_routes(gridley(), path, "far")
    with pytest.raises(ValueError, match=r"near is not in it; it has \['first_drive', 'far'\]"):
        load_routes(gridley(), path, "near")


# -- scripts --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_told() -> None:
    route = find_first_drive_route(gridley())
    there = route.pose_at(30.0)
    with pytest.raises(ValueError, match="type 'Meteor' is unknown; known are"):
        write_script(ScenarioSpec("m", "Meteor", there), route, gridley(), ())
    back = Pose2D(there.x, there.y, wrap_angle(there.yaw + math.pi))
    with pytest.raises(ValueError, match="not on route first_drive in its direction"):
        write_script(ScenarioSpec("m", "Accident", back), route, gridley(), ())
    end = route.pose_at(route.length_m - 5.0)
    with pytest.raises(ValueError, match="no junction behind its trigger"):
        write_script(ScenarioSpec("m", "BlockedIntersection", end), route, gridley(), ())


def test_the_same_seed_writes_the_same_script() -> None:
    route = find_first_drive_route(gridley())
    spec = ScenarioSpec("c", "ParkingCutIn", route.pose_at(20.0))
    one, two, other = (write_script(spec, route, gridley(), (), seed) for seed in (1, 1, 2))
    assert [role.blueprint for role in one.roles] == [role.blueprint for role in two.roles]
    assert np.array_equal(one.roles[0].line.points, two.roles[0].line.points)
    assert one.roles[0].blueprint != other.roles[0].blueprint


def test_sixteen_types_have_places_and_authors() -> None:
    assert set(FINDERS) <= set(AUTHORS)
    assert len(FINDERS) >= 16


def routes_of(seed: int) -> list[Route]:
    rng = np.random.default_rng(seed)
    return [random_route(gridley(), rng, 300.0) for _ in range(8)]


def test_streams_meet_the_route_where_they_say() -> None:
    sides = set()
    for route in routes_of(3):
        for span in route.junctions[:2]:
            for stream in streams(gridley(), route, span):
                sides.add(stream.side)
                there = stream.line.pose_at(stream.meet_m)
                (here,) = route.points_at(np.array([stream.route_meet_m]))
                assert math.dist((there.x, there.y), tuple(here)) < 1.5
                assert span.entry_m <= stream.route_meet_m <= span.exit_m + 4.0
                assert stream.stop_m <= stream.meet_m
                turn = wrap_angle(stream.line.pose_at(stream.stop_m).yaw - route.pose_at(span.entry_m).yaw)
                assert (stream.side is Side.AHEAD) == (abs(turn) > math.radians(135.0))
                # who comes from the left drives to our right, that is clockwise of us
                assert stream.side is not Side.LEFT or turn < 0.0
    assert {Side.AHEAD, Side.LEFT, Side.RIGHT} <= sides


def test_a_left_turn_meets_those_who_come_towards_us() -> None:
    for route in routes_of(5):
        for span in route.junctions[:2]:
            if span.command is Command.LEFT:
                found = [s for s in streams(gridley(), route, span) if s.side is Side.AHEAD and s.goes_straight]
                if found:
                    return
    pytest.fail("no left turn with oncoming traffic found")


# -- lines and behaviours -------------------------------------------------------------------------------------------


def test_lines_beside_and_across_a_route() -> None:
    route = straight_route()
    line = along_route(route, 10.0, 60.0, ramp(20.0, 10.0, -3.0, 0.0))
    assert (line.pose_at(0.0).x, line.pose_at(0.0).y) == pytest.approx((10.0, -3.0))
    assert line.pose_at(line.length_m).y == pytest.approx(0.0, abs=1e-6)
    assert line.length_m > 50.0
    over = across_route(route, 30.0, -5.0, 6.0)
    assert over.length_m == pytest.approx(11.0)
    assert over.pose_at(5.0).x == pytest.approx(30.0)
    assert over.pose_at(0.0).yaw == pytest.approx(math.pi / 2.0)  # to the left
    arc, side = over.project(29.0, 1.0)
    assert (arc, side) == pytest.approx((6.0, 1.0))
    with pytest.raises(ValueError, match="2 distinct points, received 1"):
        Line.through(np.zeros((3, 2)))


def test_bends_slow_down() -> None:
    angles = np.linspace(0.0, math.pi / 2.0, 30)
    bend = Line.through(10.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert bend.cap_mps(5.0, 3.0) == pytest.approx(math.sqrt(2.0 * 10.0), rel=0.05)  # v^2 / r = 2 m/s2
    assert along_route(straight_route(), 0.0, 50.0).cap_mps(10.0, 10.0) > 30.0


def test_conditions() -> None:
    me = Someone(arc_m=12.0, began_s=1.0, began_m=10.0)
    assert not After(2.0)(me, moment(2.9, 0.0))
    assert After(2.0)(me, moment(3.0, 0.0))
    assert Gone(2.0)(me, moment(0.0, 0.0))
    assert not Gone(2.1)(me, moment(0.0, 0.0))
    assert EgoAt(32.4)(me, moment(0.0, 30.0))
    assert not EgoAt(32.5)(me, moment(0.0, 30.0))
    assert EgoIn(48.4, 2.0)(me, moment(0.0, 30.0, 8.0))  # 16 m at 8 m/s
    assert not EgoIn(48.4, 2.0)(me, moment(0.0, 30.0, 7.9))
    assert EgoIn(48.4, 2.0, 16.0)(me, moment(0.0, 30.0, 1.0))


def test_two_who_are_to_meet_do() -> None:
    meet = Meet(40.0, 60.0, 3.0, 12.0)
    me, ego_x = Someone(), 0.0
    for i in range(400):
        now = moment(0.05 * i, ego_x, 7.0)
        if now.front_m >= 60.0:
            break
        me.arc_m += 0.05 * meet.speed(me, now)
        ego_x += 0.05 * 7.0
    assert me.arc_m == pytest.approx(40.0, abs=1.0)
    assert meet.speed(Someone(arc_m=-900.0), moment(0.0, 0.0)) == 12.0
    assert meet.speed(Someone(arc_m=39.9), moment(0.0, 0.0)) == 3.0


def test_a_brake_counts_its_wait_from_the_standstill() -> None:
    brake, me = Brake(7.0, 3.0), Someone(speed_mps=7.0)
    for i in range(200):
        now = moment(0.05 * i, 0.0)
        if brake.until(me, now):
            break
        me.speed_mps = max(brake.speed(me, now), me.speed_mps - brake.acceleration_mps2 * 0.05)
    assert now.time_s == pytest.approx(1.0 + 3.0, abs=0.11)
    assert Stand().speed(me, now) == 0.0
    assert Go(5.0).speed(me, now) == 5.0
