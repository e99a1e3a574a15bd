"""The lift against a brute-force projection: one point, one camera, four pixels at a time, in plain trigonometry."""

import math

import numpy as np
import pytest
import torch

from bev import BevGrid, Camera, CameraRig
from bev.view_transform import ViewTransform, grid_points, lift_entries, project

GRID = BevGrid(x_min_m=-2.0, x_max_m=22.0, y_min_m=-12.0, y_max_m=12.0, cell_m=3.0)
HEIGHTS_M = (0.0, 2.0, 5.0)
STRIDE = 8
RIG = CameraRig(
    (
        Camera("left", 64, 32, math.radians(96), 0.7, 0.2, 1.6, yaw=math.radians(42)),
        Camera("tele", 64, 32, math.radians(35), 0.8, 0.0, 1.6, pitch=math.radians(-4), roll=math.radians(3)),
    )
)


def turn(first: float, second: float, angle: float) -> tuple[float, float]:
    cos, sin = math.cos(angle), math.sin(angle)
    return first * cos + second * sin, second * cos - first * sin


def brute_force_pixel(camera: Camera, point: np.ndarray) -> tuple[float, float] | None:
    """Turn the world against the camera axis by axis: yaw, then pitch (nose down), then roll (right side down)."""
    x, y, z = point - (camera.x, camera.y, camera.z)
    x, y = turn(x, y, camera.yaw)
    z, x = turn(z, x, camera.pitch)
    y, z = turn(y, z, camera.roll)
    if x <= 0.2:
        return None
    focal = camera.width / 2 / math.tan(camera.fov_rad / 2)
    u, v = camera.width / 2 - focal * y / x, camera.height / 2 - focal * z / x
    return (u, v) if 0 <= u < camera.width and 0 <= v < camera.height else None


def brute_force_lift(features: list[np.ndarray]) -> np.ndarray:
    """features: (C, h, w) a camera -> (points, C)."""
    lifted = []
    for point in grid_points(GRID, HEIGHTS_M):
        total, weight = np.zeros(features[0].shape[0]), 0.0
        for camera, feature in zip(RIG.cameras, features, strict=True):
            pixel = brute_force_pixel(camera, point)
            if pixel is None:
                continue
            resolution = (camera.width / 2 / math.tan(camera.fov_rad / 2)) ** 2
            u, v = pixel[0] / STRIDE - 0.5, pixel[1] / STRIDE - 0.5
            column, row = math.floor(u), math.floor(v)
            for j, share_v in ((row, 1 - (v - row)), (row + 1, v - row)):
                for i, share_u in ((column, 1 - (u - column)), (column + 1, u - column)):
                    inside = feature[:, min(max(j, 0), feature.shape[1] - 1), min(max(i, 0), feature.shape[2] - 1)]
                    total += resolution * share_u * share_v * inside
            weight += resolution
        lifted.append(total / weight if weight else total)
    return np.array(lifted)


def random_features(batch: int, channels: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, channels, 4, 8, generator=generator) for _ in RIG.cameras]


def test_project_agrees_with_trigonometry_on_every_point() -> None:
    points = grid_points(GRID, HEIGHTS_M)
    for camera in RIG.cameras:
        pixels, seen = project(camera, points)
        for point, pixel, visible in zip(points, pixels, seen, strict=True):
            expected = brute_force_pixel(camera, point)
            assert visible == (expected is not None)
            if expected is not None:
                assert pixel == pytest.approx(expected, abs=1e-6)
        assert 0 < seen.sum() < len(points)


def test_lift_agrees_with_brute_force() -> None:
    transform = ViewTransform(RIG, GRID, HEIGHTS_M, channels=3, stride=STRIDE)
    features = random_features(batch=2, channels=3)
    (out,) = transform(*features)
    assert out.shape == (2, 3, GRID.rows, GRID.columns)
    for sample in range(2):
        lifted = brute_force_lift([feature[sample].double().numpy() for feature in features])
        stacked = torch.from_numpy(lifted.reshape(GRID.rows * GRID.columns, -1)).float()
        expected = transform.squeeze(stacked).T.reshape(3, GRID.rows, GRID.columns)
        torch.testing.assert_close(out[sample], expected, atol=1e-5, rtol=1e-4)


def test_weights_of_a_seen_point_sum_to_one() -> None:
    point, _, weight = lift_entries(RIG, GRID, HEIGHTS_M, STRIDE)
    sums = np.bincount(point, weight)
    assert sums[np.unique(point)] == pytest.approx(1.0, abs=1e-5)


def test_hand_written_backward_is_the_gradient() -> None:
    transform = ViewTransform(RIG, GRID, HEIGHTS_M, channels=2, stride=STRIDE).double()
    features = [feature.double().requires_grad_() for feature in random_features(batch=1, channels=2)]
    assert torch.autograd.gradcheck(lambda *maps: transform(*maps)[0], features, fast_mode=True)


def test_a_light_at_five_metres_reaches_the_cell_below_it() -> None:
    transform = ViewTransform(RIG, GRID, HEIGHTS_M, channels=1, stride=STRIDE)
    with torch.no_grad():
        transform.squeeze.weight.copy_(torch.tensor([[0.0, 0.0, 1.0]]))  # look at the highest layer only
        transform.squeeze.bias.zero_()
    row, column = 0, GRID.columns // 2
    x, y = GRID.cell_centres()[row, column]
    pixel = brute_force_pixel(RIG.cameras[1], np.array([x, y, 5.0]))
    assert pixel is not None
    features = [torch.zeros(1, 1, 4, 8) for _ in RIG.cameras]
    features[1][0, 0, int(pixel[1] // STRIDE), int(pixel[0] // STRIDE)] = 1.0
    (out,) = transform(*features)
    assert out[0, 0, row, column] > 0.2
