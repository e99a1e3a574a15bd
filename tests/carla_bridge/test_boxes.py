"""Boxes in the ego's frame, and what the cameras see of them, against places and walls worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bridge_helpers import car

from bev import Camera, CameraRig, FloatArray, Pose2D
from carla_bridge.boxes import LATTICE, BoxFinder, SeenBox, visible_shares
from carla_bridge.convert import Pose3D, compose, rigid
from carla_bridge.truth import Body

AHEAD = Camera("ahead", 256, 128, math.radians(90.0), 0.5, 0.0, 1.6)
BEHIND = Camera("behind", 256, 128, math.radians(90.0), -0.5, 0.0, 1.6, yaw=math.pi)
RIG = CameraRig((AHEAD, BEHIND))
FREE = {camera.name: np.full((64, 128), 655.0, np.float32) for camera in RIG.cameras}


def find(bodies: tuple[Body, ...], world_from_ego: FloatArray, shift: Pose2D) -> tuple[SeenBox, ...]:
    return BoxFinder(frozenset(), ()).find(bodies, world_from_ego, shift, RIG, FREE)


@pytest.mark.parametrize("shift", [Pose2D(0.0, 0.0, 0.0), Pose2D(0.0, -0.8, 0.2)])
@pytest.mark.parametrize("pitch", [0.0, -0.1])  # uphill: nose up
def test_boxes_are_given_in_the_frame_of_the_virtual_ego(shift: Pose2D, pitch: float) -> None:
    """The same place found back through the rigid transform, and a velocity that keeps its length."""
    ego = Pose3D(40.0, -20.0, 3.0, pitch=pitch, yaw=0.7)
    world_from_ego = rigid(ego, np.zeros(3))
    wanted = np.array([15.0, 4.0, 0.75])  # in the virtual frame
    flat = shift.transform_from_local(wanted[None, :2])[0]
    world = world_from_ego[:3, :3] @ (*flat, wanted[2]) + world_from_ego[:3, 3]
    body = car(world[0], world[1], compose(ego.flat, shift).yaw + 0.3, actor_id=5)
    body = Body(**{**vars(body), "z_m": world[2] - 0.75, "velocity_mps": (3.0, 4.0)})
    (box,) = find((body,), world_from_ego, shift)
    assert (box.x, box.y, box.z) == pytest.approx(tuple(wanted), abs=1e-9)
    assert box.yaw == pytest.approx(0.3, abs=1e-9)
    assert math.hypot(box.vx, box.vy) == pytest.approx(5.0)
    turned = math.atan2(box.vy, box.vx) + ego.yaw + shift.yaw
    assert turned == pytest.approx(math.atan2(4.0, 3.0))


def test_what_is_far_or_on_a_bridge_is_left_out() -> None:
    near, far, above = car(20.0), car(61.0, actor_id=2), car(20.0, 6.0, actor_id=3)
    above = Body(**{**vars(above), "z_m": 6.0})
    assert [box.body.actor_id for box in find((near, far, above), np.eye(4), Pose2D(0.0, 0.0, 0.0))] == [1]


def test_a_wall_hides_what_stands_behind_it_and_nothing_else() -> None:
    centres = np.array([[20.0, 0.0, 0.75], [8.0, 0.0, 0.75], [-20.0, 0.0, 0.75], [0.0, 15.0, 0.75]])
    halves = np.tile([2.4, 0.95, 0.75], (4, 1))
    wall = {**FREE, "ahead": np.full((64, 128), 12.0, np.float32)}
    shares = visible_shares(centres, np.zeros(4), halves, RIG, wall)
    assert shares[0] == 0.0  # behind the wall
    assert shares[1] == 1.0  # before it
    assert shares[2] == 1.0  # the camera that looks back sees no wall
    assert shares[3] < 0.5  # abreast: hardly in any picture


def test_a_car_does_not_hide_itself() -> None:
    """Depth that shows the front of a lorry leaves its far end seen: the slab test asks where a ray enters the box."""
    halves = np.array([[6.0, 1.2, 1.5]])
    depth = {**FREE, "ahead": np.full((64, 128), 14.0 - 0.5, np.float32)}
    centre = np.array([[20.0, 0.0, 1.5]])
    assert visible_shares(centre, np.zeros(1), halves, RIG, depth)[0] == 1.0
    assert len(LATTICE) == 27
