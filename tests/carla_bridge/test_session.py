"""Whole sessions in an embedded world: the sensors, the way back, repeatability, and what is left behind."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from bev import Camera, CameraRig, Pose2D
from carla_bridge.criteria import Criteria, LaneCheck
from carla_bridge.expert import Expert
from carla_bridge.process import SessionError
from carla_bridge.roadside import RoadsideUnits
from carla_bridge.routes import find_first_drive_route
from carla_bridge.session import Session, WorldConfig, WorldDied
from planner import Control

RIG = CameraRig((Camera("front", 64, 32, 1.5, 0.7, 0.0, 1.6), Camera("left", 64, 32, 1.5, 0.7, 0.2, 1.6, yaw=0.7)))
DASH = Camera("dash", 96, 54, 1.57, -6.0, 0.0, 3.0, pitch=0.2)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session(WorldConfig(seed=3), RIG, extra_cameras=(DASH,)) as opened:
        yield opened


def is_running(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_drive_as_the_stack_sees_it(session: Session) -> None:
    route = find_first_drive_route(session.graph)
    frame = session.start(route, cars=3, seed=1)
    assert frame.images is not None
    assert {name: image.shape for name, image in frame.images.items()} == {"front": (32, 64, 3), "left": (32, 64, 3)}
    assert session.views["dash"].shape == (54, 96, 3)
    expert = Expert(route, session.stop_lines)
    criteria = Criteria(route, session.stop_lines, LaneCheck(session.map))
    begin = session.truth.ego.pose
    for i in range(80):
        session.apply(expert.decide(session.truth).control)
        before, frame = frame, session.tick()
        assert frame.frame_id == before.frame_id + 1
        assert frame.time_s == pytest.approx(before.time_s + 0.05)
        assert (frame.images is not None) == (i % 2 == 1)  # every 0.1 s
        assert session.position == pytest.approx((session.truth.ego.pose.x, session.truth.ego.pose.y), abs=0.1)
        assert criteria.update(session.truth) == ()
    assert frame.ego.speed_mps > 4.0
    gone = begin.transform_to_local(np.array([[session.truth.ego.pose.x, session.truth.ego.pose.y]]))[0]
    assert (frame.ego.odometry.x, frame.ego.odometry.y) == pytest.approx(tuple(gone), abs=0.25)
    assert len(session.truth.others) == 3


def test_every_light_has_its_stop_line_before_a_junction(session: Session) -> None:
    assert {line.light_id for line in session.stop_lines} == set(session.truth.lights)
    assert {(line.lane[0], line.lane[2]) for line in session.stop_lines} == {
        (key[0], key[2]) for key in session.graph.signalised
    }


def test_left_is_left(session: Session) -> None:
    session.start(find_first_drive_route(session.graph))
    for _ in range(40):
        session.apply(Control(throttle=0.4, brake=0.0, steer=0.15))
        frame = session.tick()
    assert frame.ego.yaw_rate_rps > 0.05
    assert frame.ego.odometry.y > 0.1
    turned = session.truth.ego.pose.yaw - session.route.start.yaw
    assert frame.ego.odometry.yaw == pytest.approx(turned, abs=0.05)


def test_shifted_cameras_see_something_else(session: Session) -> None:
    still = Control(throttle=0.0, brake=1.0, steer=0.0)
    pictures = []
    session.start(find_first_drive_route(session.graph))
    for shift in (Pose2D(0.0, 0.0, 0.0), Pose2D(0.0, 1.0, math.radians(12.0)), Pose2D(0.0, 0.0, 0.0)):
        session.shift_cameras(shift)
        for _ in range(2):
            session.apply(still)
            frame = session.tick()
        assert frame.images is not None
        pictures.append(frame.images["front"].astype(float))
    assert np.abs(pictures[0] - pictures[1]).mean() > 5.0
    assert np.abs(pictures[0] - pictures[2]).mean() < 2.0  # clouds and lights may have changed


def test_the_same_seed_gives_the_same_drive(session: Session) -> None:
    def drive() -> list[object]:
        route = find_first_drive_route(session.graph)
        session.start(route, cars=8, seed=5)
        expert, states = Expert(route, session.stop_lines), []
        for _ in range(60):
            session.apply(expert.decide(session.truth).control)
            frame = session.tick()
            truth = session.truth
            others = [body.pose for body in truth.others]
            states.append((truth.ego.pose, others, list(truth.lights.values()), frame.ego))
        return states

    assert drive() == drive()


def test_roadside_units_are_heard(session: Session) -> None:
    session.start(find_first_drive_route(session.graph))
    units = RoadsideUnits(session.world, session.map)
    assert len(units.units) >= 4
    gaps = [math.hypot(a.x - b.x, a.y - b.y) for a in units.units for b in units.units if a != b]
    assert min(gaps) >= 130.0
    ego = session.truth.ego
    heard = units.geometry(ego)
    unit = units.units[heard.rsu]
    assert heard.distance_m == pytest.approx(math.hypot(unit.x - ego.pose.x, unit.y - ego.pose.y), abs=1.0)
    assert units.geometry(ego) == heard


def test_a_blacked_out_rig_sees_nothing_and_no_process_is_left() -> None:
    with Session(WorldConfig(), RIG, blackout=True) as session:
        assert session._process is not None
        pid = session._process.pid
        frame = session.start(find_first_drive_route(session.graph))
        assert frame.images is not None
        assert all(not image.any() for image in frame.images.values())
    assert not is_running(pid)


def test_depth_night_and_pedestrians_for_labels() -> None:
    """Depth of the flat road before the car, h f / (v - c), whatever the shift; who is told to walk does."""
    with Session(WorldConfig(), RIG, depth=True) as session:
        session.start(find_first_drive_route(session.graph), walkers=3, weather="ClearNight", seed=2)
        for shift in (Pose2D(0.0, 0.0, 0.0), Pose2D(0.0, 0.5, 0.1)):
            session.shift_cameras(shift)
            for _ in range(2):
                frame = session.tick()
            assert frame.images is not None
            depth = session.depth_m["front"]
            assert depth.shape == (16, 32)
            focal = 16.0 / math.tan(0.75)
            for row in (11, 12):
                assert depth[row, 14:18] == pytest.approx(1.6 * focal / (row + 0.5 - 8.0), rel=0.03)
        assert frame.ego.standing_s == pytest.approx(frame.time_s, abs=0.1)  # it drops onto its wheels first
        assert sum(body.type_id.startswith("walker.") for body in session.truth.others) == 3
        assert session.world.get_weather().sun_altitude_angle < 0.0
        ego = session.truth.ego.pose
        assert session.world_from_ego[:2, 3] == pytest.approx((ego.x, ego.y), abs=1e-3)


def test_a_world_that_dies_is_noticed_and_cleared_away() -> None:
    with Session(WorldConfig(timeout_s=3.0), RIG) as session:
        assert session._process is not None
        pid = session._process.pid
        session.start(find_first_drive_route(session.graph), cars=2)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorldDied, match="killed by SIGKILL"):
            session.tick()
    assert not is_running(pid)


def test_no_world_is_told_in_one_line() -> None:
    with (
        pytest.raises(SessionError, match=r"no CARLA world at 127\.0\.0\.1:1:"),
        Session(WorldConfig(kind="carla", port=1, timeout_s=1.0), RIG),
    ):
        pass
    with (
        pytest.raises(SessionError, match=r"ended with exit code .* before it was ready"),
        Session(WorldConfig(town="Atlantis"), RIG),
    ):
        pass
