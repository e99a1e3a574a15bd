"""Plans over a recorded drive, judged where its future is known."""

from __future__ import annotations

import numpy as np
import pytest

from bev import Camera, CameraRig, Command, EgoMotion, Pose2D, RouteHint, SensorFrame
from e2e_drive.logs import EgoTruth, RoadUser
from e2e_drive.replay.exact import Step
from e2e_drive.replay.open_loop import judge, summary
from e2e_drive.replay.recording import NOWHERE, Tick
from e2e_drive.stack import StepRecord
from planner import Control, Trajectory
from scheduling import LinkState

RIG = CameraRig((Camera("tele", 64, 32, 0.6, 0.7, 0.0, 1.6),))
SPEED_MPS = 6.0
LANE = np.array([(-20.0, 40.0), (90.0, 40.0), (90.0, -40.0), (-20.0, -40.0)])


def steps(ahead_m: float | None) -> list[Step]:
    """6 s straight on along the diagonal, planned as driven; somebody stands ahead_m before where it begins."""
    found, yaw = [], 0.25
    along = np.array([np.cos(yaw), np.sin(yaw)])
    spot = None if ahead_m is None else RoadUser(3, "vehicle.a", Pose2D(*(along * ahead_m), yaw), 0.8, 4.5, 1.8, 1.6)
    for i in range(121):
        time_s = round(0.05 * i, 6)
        pose, odometry = Pose2D(*(along * SPEED_MPS * time_s), yaw), Pose2D(SPEED_MPS * time_s, 0.0, 0.0)
        frame = SensorFrame(i, time_s, None, RIG, EgoMotion(SPEED_MPS, 0.0, odometry), RouteHint(Command.FOLLOW, 60.0))
        waypoints = np.column_stack([0.5 * SPEED_MPS * np.arange(1, 9), np.zeros(8)])
        path = np.column_stack([2.0 * np.arange(1, 11), np.zeros(10)])
        answer = Trajectory(i, time_s, odometry, path, np.eye(8)[4], waypoints) if i % 2 == 0 else None
        users = None if i % 2 else () if spot is None else (spot,)
        tick = Tick(frame, Control(0.1, 0.0, 0.0), -1, truth=EgoTruth(i, pose, SPEED_MPS, 0.0), users=users)
        state = LinkState(0.0, 0.0, 0.0, 0.0, -1)
        record = StepRecord(
            frame, NOWHERE, state, None, None, None, None, False, Control(0.1, 0.0, 0.0), {}, answer
        )  # fmt: skip
        found.append(Step(tick, record))
    return found


def test_a_plan_that_is_driven_has_no_error_and_a_full_score() -> None:
    found = summary(judge(steps(None), [LANE]))
    assert found["frames"] == 61
    assert found["scored"] == 21  # those of the first 2 s of 6
    assert found["pdms"] == pytest.approx(1.0)
    for name in ("waypoint_error_2s", "waypoint_error_4s", "path_error_2s", "speed_error", "control_change"):
        assert found[name] == pytest.approx(0.0, abs=1e-6)


def test_somebody_in_the_way_is_hit() -> None:
    rows = judge(steps(40.0), [LANE])
    hits = [row.no_collision for row in rows if not np.isnan(row.no_collision)]
    assert hits == [0.0 if 6.0 * (4.0 + 0.1 * i) > 40.0 - 4.7 else 1.0 for i in range(len(hits))]
