"""Scenarios in the embedded world, with the expert at the wheel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bev import Camera, CameraRig
from carla_bridge.criteria import Criteria, InfractionKind, LaneCheck
from carla_bridge.expert import expert_of
from carla_bridge.routes import Route, load_routes
from carla_bridge.session import Session, WorldConfig
from e2e_drive import config_dir
from planner import Control

RIG = CameraRig((Camera("front", 16, 8, 1.5, 0.7, 0.0, 1.6),))
DEV = config_dir() / "routes/scenarios_dev.xml"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session(WorldConfig(seed=3), RIG, camera_period_s=1.0) as opened:
        yield opened


def route_with(session: Session, kind: str) -> Route:
    (route,) = [route for route in load_routes(session.graph, DEV) if route.scenarios[0].kind == kind]
    return route


def positions(session: Session, route: Route, ticks: int, seed: int) -> list[tuple[float, float]]:
    """Of everybody else, tick by tick, while the ego rolls on."""
    session.start(route, seed=seed, scenarios=route.scenarios)
    seen = []
    for _ in range(ticks):
        session.apply(Control(throttle=0.4, brake=0.0, steer=0.0))
        session.tick()
        seen += [(body.pose.x, body.pose.y) for body in session.truth.others]
    return seen


def test_the_same_seed_plays_the_same_scene_and_leaves_nothing_behind(session: Session) -> None:
    first = load_routes(session.graph, DEV)[0]
    one = positions(session, first, 80, seed=4)
    assert one
    assert positions(session, first, 80, seed=4) == one
    session.start(replace(first, scenarios=()))
    assert session.truth.others == ()


def test_the_expert_passes_a_scenario_and_its_actors_are_gone(session: Session) -> None:
    route = load_routes(session.graph, DEV)[0]
    session.start(route, seed=1, scenarios=route.scenarios)
    expert = expert_of(session)
    criteria = Criteria(route, session.stop_lines, LaneCheck(session.map))
    most = 0
    while criteria.ended is None and session.truth.time_s < 150.0:
        session.apply(expert.decide(session.truth).control)
        session.tick()
        criteria.update(session.truth)
        most = max(most, len(session.truth.others))
    assert criteria.completion == 1.0
    assert most > 0
    (play,) = session.scenarios.plays
    assert play.missing == []


def test_a_car_that_does_not_move_times_the_scenario_out(session: Session) -> None:
    route = load_routes(session.graph, DEV)[0]
    session.start(route, seed=1, scenarios=route.scenarios)
    (play,) = session.scenarios.plays
    play.script = replace(play.script, trigger_m=0.0, timeout_s=0.5)
    criteria = Criteria(route, session.stop_lines, LaneCheck(session.map))
    for _ in range(20):
        session.tick()
        criteria.update(session.truth)
    assert [found.kind for found in criteria.infractions] == [InfractionKind.SCENARIO_TIMEOUT]
    assert play.state == "over"
    session.tick()
    assert session.truth.others == ()


def test_a_scenario_that_cannot_be_stops_the_drive_before_it_begins(session: Session) -> None:
    route = load_routes(session.graph, DEV)[0]
    (spec,) = route.scenarios
    with pytest.raises(ValueError, match="unknown"):
        session.start(route, scenarios=(replace(spec, kind="Meteor"),))
