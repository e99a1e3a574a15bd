"""Normals and optical flow against their definitions, and how they are encoded."""

from __future__ import annotations

import numpy as np
import pytest
from render_helpers import NOBODY, box, ground, mesh_of, rays

from carla_bridge.embedded.render import Renderer
from carla_bridge.embedded.sensors.encodings import encode_flow, encode_normals
from carla_bridge.embedded.types import Instances, Label, Pose, View

SIZE = (192, 108)


def view_of(pose: Pose) -> View:
    return View(*SIZE, 80.0, pose.matrix())


def projected(points: np.ndarray, view: View) -> np.ndarray:
    """(N, 2) pixels of world points."""
    local = (points - view.world_from_camera[:3, 3]) @ view.world_from_camera[:3, :3]
    focal = 0.5 * view.width / np.tan(np.radians(0.5 * view.fov_deg))
    return np.stack(
        [0.5 * view.width + local[:, 1] / local[:, 0] * focal, 0.5 * view.height - local[:, 2] / local[:, 0] * focal],
        -1,
    )


def test_normals_are_those_of_the_faces_in_world_axes() -> None:
    prototype = mesh_of(box((0, 0, 0), (1, 1, 1)), Label.CAR)
    renderer = Renderer(mesh_of(ground(200.0), Label.ROADS), [prototype])
    instances = Instances(
        np.zeros(1, np.int32),
        Pose(x=8.0, z=1.5, yaw=30.0).matrix()[None].astype(np.float32),
        np.ones(1, np.uint32),
        np.ones((1, 3), np.float32),
    )
    view = view_of(Pose(z=1.6, pitch=-5.0, yaw=10.0, roll=20.0))
    picture = renderer.render(renderer.begin_frame(instances), view, bgra=False, labels=True, normals=True)
    np.testing.assert_allclose(
        picture.normals[picture.labels == Label.ROADS], [[0, 0, 1]] * (picture.labels == 1).sum()
    )
    assert (picture.normals[picture.labels == Label.SKY] == 0.0).all()
    on_car = picture.normals[picture.labels == Label.CAR]
    axes = Pose(yaw=30.0).matrix()[:3, :3]
    assert np.abs(np.abs(on_car @ axes).max(axis=1) - 1.0).max() < 1e-6
    encoded = encode_normals(picture.normals)
    assert encoded[picture.labels == Label.ROADS][0].tolist() == [255, 128, 128, 255]


@pytest.mark.parametrize("turned", [False, True])
def test_flow_of_a_still_scene_is_that_of_the_camera(turned: bool) -> None:
    renderer = Renderer(mesh_of(np.concatenate([ground(300.0), box((15, 3, 2), (2, 2, 2))]), Label.ROADS), [])
    now = view_of(Pose(1.0, 0.2, 1.6, -3.0, 4.0, 2.0))
    before = view_of(Pose(0.4, 0.0, 1.7, -2.0, 1.0, 0.0) if turned else Pose(0.4, 0.1, 1.7, -3.0, 4.0, 2.0))
    picture = renderer.render(
        renderer.begin_frame(NOBODY), now, bgra=False, depth=True, flow_from=before.world_from_camera
    )
    depth = picture.depth_m.ravel().astype(float)
    solid = depth < 200.0
    direction = rays(now)
    points = now.world_from_camera[:3, 3] + direction * depth[:, None]
    expected = projected(points, now) - projected(points, before)
    np.testing.assert_allclose(picture.flow.reshape(-1, 2)[solid], expected[solid], atol=2e-3)
    far = now.world_from_camera[:3, 3] + direction * 1e9
    expected = projected(far, now) - projected(far, before)
    np.testing.assert_allclose(picture.flow.reshape(-1, 2)[depth == 1000.0], expected[depth == 1000.0], atol=1e-3)


def test_flow_of_a_moving_thing_is_its_own_and_the_cameras() -> None:
    renderer = Renderer(mesh_of(ground(300.0), Label.ROADS), [mesh_of(box((0, 0, 1), (2, 1, 1)), Label.CAR)])
    then, here = Pose(12.0, -1.0, 0.1, yaw=20.0), Pose(12.5, 0.0, 0.2, yaw=28.0)
    instances = Instances(
        np.zeros(1, np.int32),
        here.matrix()[None].astype(np.float32),
        np.ones(1, np.uint32),
        np.ones((1, 3), np.float32),
        previous=then.matrix()[None].astype(np.float32),
    )
    now, before = view_of(Pose(1.0, z=1.6)), view_of(Pose(0.0, z=1.6))
    picture = renderer.render(
        renderer.begin_frame(instances), now, bgra=False, depth=True, labels=True, flow_from=before.world_from_camera
    )
    car = picture.labels.ravel() == Label.CAR
    points = now.world_from_camera[:3, 3] + rays(now) * picture.depth_m.reshape(-1, 1)
    local = (points - here.matrix()[:3, 3]) @ here.matrix()[:3, :3]
    moved = local @ then.matrix()[:3, :3].T + then.matrix()[:3, 3]
    expected = projected(points, now) - projected(moved, before)
    np.testing.assert_allclose(picture.flow.reshape(-1, 2)[car], expected[car], atol=5e-3)
    assert car.sum() > 100


def test_flow_is_sent_in_half_pictures_upwards() -> None:
    flow = np.zeros((2, 4, 2), np.float32)
    flow[1, 2] = 3.0, -0.5
    assert encode_flow(flow)[1, 2].tolist() == [1.5, 0.5]
    assert encode_flow(flow).tobytes()[-16:-8] == np.array([1.5, 0.5], "<f4").tobytes()
