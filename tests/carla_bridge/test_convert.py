"""CARLA's axes and ours: there and back, and against the client's own geometry."""

import math

import carla
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev import Camera, Pose2D
from carla_bridge.convert import (
    Pose3D,
    compose,
    control_from_carla,
    control_to_carla,
    location_to_carla,
    mount_to_carla,
    pose_from_carla,
    pose_from_matrix,
    pose_from_numbers,
    pose_to_carla,
    vector_from_carla,
    wrap_angle,
)
from planner import Control

metres = st.floats(-500.0, 500.0)
angles = st.floats(-3.1, 3.1)
tilts = st.floats(-1.5, 1.5)


@given(metres, metres, metres, tilts, tilts, angles)
def test_pose_there_and_back(x: float, y: float, z: float, roll: float, pitch: float, yaw: float) -> None:
    back = pose_from_carla(pose_to_carla(Pose3D(x, y, z, roll, pitch, yaw)))
    assert (back.x, back.y, back.z) == pytest.approx((x, y, z), abs=1e-3)
    assert (back.roll, back.pitch, back.yaw) == pytest.approx((roll, pitch, yaw), abs=1e-5)


@given(metres, metres, metres, tilts, tilts, angles)
def test_pose_of_a_file_is_that_of_the_client(
    x: float, y: float, z: float, roll: float, pitch: float, yaw: float
) -> None:
    """Numbers and matrices as recordings hold them."""
    there = pose_to_carla(Pose3D(x, y, z, roll, pitch, yaw))
    place, turn = there.location, there.rotation
    of_numbers = pose_from_numbers((place.x, place.y, place.z), (turn.pitch, turn.roll, turn.yaw))
    for found in (of_numbers, pose_from_matrix(np.array(there.get_matrix()))):
        assert (found.x, found.y, found.z) == pytest.approx((x, y, z), abs=1e-3)
        assert (found.roll, found.pitch, found.yaw) == pytest.approx((roll, pitch, yaw), abs=1e-4)


@given(metres, metres, metres)
def test_vector_there_and_back(x: float, y: float, z: float) -> None:
    assert vector_from_carla(location_to_carla(x, y, z)) == pytest.approx((x, y, z), abs=1e-3)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1))
def test_control_there_and_back_and_left_is_left(throttle: float, brake: float, steer: float) -> None:
    sent = control_to_carla(Control(throttle, brake, steer))
    back = control_from_carla(sent)
    assert (back.throttle, back.brake, back.steer) == pytest.approx((throttle, brake, steer), abs=1e-6)
    assert sent.steer == pytest.approx(-steer, abs=1e-6)


@given(angles, tilts, tilts, st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(-9, 9)))
def test_camera_looks_where_the_rig_says(
    yaw: float, pitch: float, roll: float, point: tuple[float, float, float]
) -> None:
    """The client's transform of a point ahead of, beside and above the mount = the rig's rotation of it."""
    camera = Camera("c", 64, 32, 1.0, 0.7, 0.2, 1.6, yaw=yaw, pitch=pitch, roll=roll)
    forward, left, up = point
    ours = camera.ego_from_optical @ (-left, -up, forward, 1.0)
    theirs = vector_from_carla(mount_to_carla(camera, (0.0, 0.0, 0.0)).transform(location_to_carla(*point)))
    assert theirs == pytest.approx(ours[:3], abs=1e-3)


@given(metres, metres, angles, metres, metres, angles)
def test_compose_is_frame_in_frame(x: float, y: float, yaw: float, u: float, v: float, turn: float) -> None:
    outer, inner = Pose2D(x, y, yaw), Pose2D(u, v, turn)
    probe = np.array([[3.0, -2.0]])
    both = compose(outer, inner)
    assert both.transform_from_local(probe) == pytest.approx(
        outer.transform_from_local(inner.transform_from_local(probe)), abs=1e-6
    )
    assert wrap_angle(both.yaw - yaw - turn) == pytest.approx(0.0, abs=1e-9)


def test_left_turn_is_counter_clockwise() -> None:
    turned = carla.Transform(carla.Location(), carla.Rotation(yaw=-90.0))
    assert pose_from_carla(turned).yaw == pytest.approx(math.pi / 2)
