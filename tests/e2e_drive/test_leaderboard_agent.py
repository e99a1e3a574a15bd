"""The Leaderboard agent without an evaluator: what it makes of a plan and of sensor data, and that it drives."""

import math
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import carla
import numpy as np
import pytest
from stack_cases import random_weights

from bev import Command, FloatArray
from carla_bridge.leaderboard import PlanTracker, fit_reference, route_from_plan
from e2e_drive.errors import UserError
from e2e_drive.faces import leaderboard_agent
from e2e_drive.faces.leaderboard_agent import AgentConfig


class RoadOption(IntEnum):
    LEFT, RIGHT, STRAIGHT, LANEFOLLOW = 1, 2, 3, 4


# 100 m north, a left turn, 100 m west; ISO 8855. As thinned out as the Leaderboard does it.
PLACES = np.array([[10.0, 20.0], [10.0, 120.0], [0.0, 130.0], [-100.0, 130.0]])
OPTIONS = [RoadOption.LANEFOLLOW, RoadOption.LEFT, RoadOption.LANEFOLLOW, RoadOption.LANEFOLLOW]
LATITUDE, LONGITUDE = 49.0, 8.0


def gps(x: float, y: float, mirrored: bool = False) -> tuple[float, float]:
    """Mercator with the reference's scale (the Leaderboard's `_location_to_gps`, its y pointing south)."""
    radius, scale = 6378137.0, math.cos(math.radians(LATITUDE))
    east = scale * math.radians(LONGITUDE) * radius + x
    north = scale * radius * math.log(math.tan(math.radians(90.0 + LATITUDE) / 2.0)) + (-y if mirrored else y)
    return 2 * math.degrees(math.atan(math.exp(north / (radius * scale)))) - 90.0, math.degrees(east / (radius * scale))


def plan(places: FloatArray = PLACES, options: Sequence[int] = OPTIONS) -> tuple[list[Any], list[Any]]:
    world = [carla.Transform(carla.Location(x, -y, 0.0)) for x, y in places]
    by_gps = [dict(zip(("lat", "lon"), gps(x, y), strict=True), z=0.0) for x, y in places]
    return list(zip(by_gps, options, strict=True)), list(zip(world, options, strict=True))


def test_a_junction_is_a_run_of_places_that_turn() -> None:
    route = route_from_plan(PLACES, OPTIONS)
    (span,) = route.junctions
    assert span.command is Command.LEFT
    assert span.entry_m == pytest.approx(100.0)
    assert span.exit_m == pytest.approx(100.0 + math.hypot(10, 10))
    assert route.length_m == pytest.approx(200.0 + math.hypot(10, 10))


def test_the_reference_is_read_off_the_plan() -> None:
    found = fit_reference(PLACES, np.array([gps(*place) for place in PLACES]))
    for place in PLACES:
        assert found.metres(*gps(*place), mirrored=False) == pytest.approx(tuple(place), abs=0.05)
        assert found.metres(*gps(*place, mirrored=True), mirrored=True) == pytest.approx(tuple(place), abs=0.05)


@pytest.mark.parametrize("mirrored", [False, True])
def test_progress_and_hint_whichever_way_latitudes_count(mirrored: bool) -> None:
    tracker = PlanTracker(*plan())
    for y in np.arange(20.0, 90.0, 0.5):
        tracker.update(*gps(10.0, float(y), mirrored))
    assert tracker.mirrored is mirrored
    hint = tracker.tracker.hint
    assert hint.command is Command.LEFT
    assert hint.distance_m == pytest.approx(30.0, abs=5.0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_corner_that_the_plan_cuts_does_not_say_which_way_latitudes_count(mirrored: bool) -> None:
    """The car comes along the axis of the mirror, where both ways are as good, and begins its turn later than the
    plan's straight line through the junction: there, with noise, the wrong place can be metres nearer."""
    places = np.array([[-50.0, -0.9], [0.0, -0.9], [16.0, 15.0], [16.0, 100.0]])
    arc = np.radians(np.arange(-90.0, 0.0, 2.0))
    drive = np.concatenate([
        np.stack([np.arange(-50.0, 5.0, 0.25), np.full(220, -0.9)], axis=1),
        np.stack([5.0 + 11.0 * np.cos(arc), 10.1 + 11.0 * np.sin(arc)], axis=1),
        np.stack([np.full(240, 16.0), np.arange(10.0, 70.0, 0.25)], axis=1),
    ])  # fmt: skip
    tracker = PlanTracker(*plan(places, OPTIONS))
    for place in drive + np.random.default_rng(0).normal(0.0, 0.6, drive.shape):
        tracker.update(*gps(*place, mirrored))
    assert tracker.mirrored is mirrored
    assert tracker.tracker.progress_m == pytest.approx(50.0 + math.hypot(16.0, 15.9) + 55.0, abs=2.0)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> leaderboard_agent.E2EDriveAgent:
    folder = tmp_path_factory.mktemp("agent")
    config = folder / "agent.yaml"
    config.write_text(f"overrides: [weights={random_weights(folder)}, link=fixed]\nradio: fixed\n", encoding="utf-8")
    made = getattr(leaderboard_agent, leaderboard_agent.get_entry_point())("127.0.0.1", 2000, False)
    made.set_global_plan(*plan())
    made.setup(str(config))
    return made


def reading(agent: leaderboard_agent.E2EDriveAgent, tick: int, y: float) -> dict[str, tuple[int, Any]]:
    rng = np.random.default_rng(tick)
    data: dict[str, tuple[int, Any]] = {}
    for spec in agent.sensors():
        if spec["type"] == "sensor.camera.rgb":
            data[spec["id"]] = (tick, rng.integers(0, 255, (spec["height"], spec["width"], 4), dtype=np.uint8))
    data["gnss"] = (tick, np.array([*gps(10.0, y), 0.0]))
    data["imu"] = (tick, np.array([0.0, 0.0, 9.8, 0.0, 0.0, -0.1, 0.0]))  # CARLA's z spin: clockwise is positive
    data["speedometer"] = (tick, {"speed": 5.0})
    return data


def test_it_is_an_agent_that_the_evaluator_accepts_and_it_drives(agent: leaderboard_agent.E2EDriveAgent) -> None:
    assert agent.track.value == "SENSORS"
    assert agent.get_ros_version() == -1
    specs = agent.sensors()
    assert all(math.hypot(s["x"], s["y"], s["z"]) <= 3.0 for s in specs if "x" in s)
    assert sum(s["type"] == "sensor.camera.rgb" for s in specs) <= 8
    for tick in range(8):
        data = reading(agent, tick, 20.0 + 0.25 * tick)
        control = agent.run_step(data, 0.05 * tick)
        record = agent.stack.last
        assert record is not None
        assert (record.frame.images is None) == (tick % 2 == 1)
        if record.frame.images is not None:
            assert np.array_equal(record.frame.images["tele"][0, 0], data["tele"][1][0, 0, 2::-1])
    assert isinstance(control, carla.VehicleControl)
    assert record.frame.ego.yaw_rate_rps == pytest.approx(0.1)  # left positive
    assert record.frame.ego.odometry.x == pytest.approx(5.0 * 0.05 * 7, rel=0.01)
    assert record.trajectory is not None
    assert control.steer == pytest.approx(-record.control.steer)
    agent.destroy()


@pytest.mark.parametrize(
    ("text", "told"),
    [("radio: cable", "radio must be one of"), ("track: FREE", "track must be one of"), ("speed: 3", "a list of")],
)
def test_a_bad_configuration_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "agent.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=told):
        AgentConfig.read(str(tmp_path / "agent.yaml"))
