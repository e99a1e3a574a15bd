"""The policy service under the contract's own runtime, which needs no CARLA: real calls, real network."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("carla_driver_interface", reason="needs the extra `alpasim`")

from carla_driver_interface.geometry import Pose, Trajectory
from carla_driver_interface.server import serving
from carla_driver_interface.testing import FakeCamera, FakeLoop
from stack_cases import make_frame, make_stack, random_weights

from bev import Command, Pose2D
from carla_bridge.odometry import REAR_AXLE_M
from e2e_drive.faces.policy_service import StackPolicy, hint_from_waypoints, middle_of, plan_in_rig
from e2e_drive.faces.setup import composed, rig_of
from planner import WAYPOINTS
from planner import Trajectory as Planned


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> StackPolicy:
    weights = random_weights(tmp_path_factory.mktemp("weights"))
    return StackPolicy(composed([f"weights={weights}", "link=fixed"]))


@pytest.fixture(scope="module")
def target(policy: StackPolicy) -> Iterator[str]:
    with serving(policy, port=0, host="127.0.0.1", mode="carla") as port:
        yield f"127.0.0.1:{port}"


def cameras() -> list[FakeCamera]:
    return [
        FakeCamera(c.name, 2 * c.width, 2 * c.height, math.degrees(c.fov_rad), c.x + REAR_AXLE_M, c.y, c.z,
                   math.degrees(c.pitch), math.degrees(c.yaw))
        for c in rig_of(composed()).cameras
    ]  # fmt: skip


def test_the_runtime_drives_the_policy(policy: StackPolicy, target: str) -> None:
    with FakeLoop(target, cameras(), initial_speed_mps=5.0) as loop:
        result = loop.run(6)
    assert result.steps == 6
    assert all(debug is not None and debug.policy_name == "e2e-drive" for debug in result.debug)
    assert result.debug[-1].scalars["latency_s"] > 0.0
    assert np.isfinite(result.ego.positions).all()
    assert not policy._rollouts  # the session has been closed


def test_a_missing_camera_is_refused_with_a_reason(target: str) -> None:
    with FakeLoop(target, cameras()[:1]) as loop, pytest.raises(Exception, match="camera 'front_right' is missing"):
        loop.run(1)


@pytest.mark.parametrize(("sign", "command"), [(1.0, Command.LEFT), (-1.0, Command.RIGHT)])
def test_a_turn_ahead_becomes_a_command(sign: float, command: Command) -> None:
    angles = np.linspace(0.0, np.pi / 2, 12)
    bend = np.stack([32.0 + 8.0 * np.sin(angles), sign * 8.0 * (1.0 - np.cos(angles))], axis=1)
    hint = hint_from_waypoints(np.concatenate([[[0.0, 0.0]], bend, [[40.0, sign * 60.0]]]))
    assert hint.command is command
    assert hint.distance_m == pytest.approx(32.5, abs=3.0)
    straight = np.stack([np.arange(0.0, 100.0, 2.0), np.zeros(50)], axis=1)
    assert hint_from_waypoints(straight).command is Command.FOLLOW
    assert hint_from_waypoints(np.zeros((0, 2))).command is Command.FOLLOW


def test_a_plan_is_seen_from_the_rear_axle_of_now(tmp_path: Path) -> None:
    """A circle of the middle of the car's; half a second after the pictures, the first waypoint is behind us."""
    stack = make_stack(random_weights(tmp_path))
    radius, speed = 30.0, 6.0
    times = 0.5 * np.arange(1, WAYPOINTS + 1)
    turns = speed * times / radius
    waypoints = np.stack([radius * np.sin(turns), radius * (1.0 - np.cos(turns))], axis=1)
    planned = Planned(0, 0.0, Pose2D(0.0, 0.0, 0.0), np.zeros((10, 2)), np.full(8, 0.125), waypoints)
    frame = make_frame(stack, 10, speed)  # 0.5 s later, straight ahead by 3 m
    plan = plan_in_rig(planned, frame, 1_000_000)
    assert plan.timestamps_us == [1_000_000 + 500_000 * k for k in range(1, WAYPOINTS)]
    for pose, place in zip(plan.poses, waypoints[1:], strict=True):
        seen = middle_of(pose)  # from a rig whose own middle is REAR_AXLE_M ahead of it
        assert (seen.x - REAR_AXLE_M + 3.0, seen.y) == pytest.approx(tuple(place), abs=1e-9)
    assert plan_in_rig(None, frame, 0).poses == Trajectory.empty().poses
    assert middle_of(Pose.from_xyz_yaw(1.0, 2.0, 0.0, math.pi / 2)).y == pytest.approx(2.0 + REAR_AXLE_M)
