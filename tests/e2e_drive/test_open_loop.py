"""The pieces that open-loop figures are made of, on cases whose answer is plain."""

import math

import numpy as np
import pytest
import torch

from bev import BevGrid, Camera, CameraRig
from bev.heads import Agent
from e2e_drive.learn.evaluation import _at_arc, _touches
from e2e_drive.learn.sight import line_of_sight
from e2e_drive.scores.detection import AveragePrecision


def box(score: float, x: float, y: float, kind: int = 0) -> np.ndarray:
    return np.array([score, kind, x, y, 0.8, 4.5, 2.0, 1.5, 0.0, 0.0, 0.0])


def test_average_precision() -> None:
    perfect = AveragePrecision(0)
    perfect.add(np.stack([box(0.9, 10, 0), box(0.8, 20, 5)]), np.stack([box(1, 10.5, 0), box(1, 20, 4)]))
    assert perfect.value == 1.0
    half = AveragePrecision(0)  # one found, one missed, a false one ranked last
    half.add(np.stack([box(0.9, 10, 0), box(0.1, 30, 5)]), np.stack([box(1, 10.5, 0), box(1, 20, 4)]))
    assert half.value == pytest.approx(0.5)
    twice = AveragePrecision(0)  # the same car found twice counts once
    twice.add(np.stack([box(0.9, 10, 0), box(0.8, 10.2, 0)]), np.stack([box(1, 10, 0), box(1, 20, 0)]))
    assert twice.value == pytest.approx(0.5)
    hidden = AveragePrecision(0)  # who finds a hidden car is neither right nor wrong
    hidden.add(np.stack([box(0.95, 30, 0), box(0.9, 10, 0)]), np.stack([box(1, 10, 0), box(0, 30, 0)]))
    assert hidden.value == 1.0
    assert math.isnan(AveragePrecision(1).value)


def test_a_wall_ends_the_line_of_sight() -> None:
    rig = CameraRig((Camera("front", 256, 128, math.radians(90), 0.0, 0.0, 1.6),))
    grid = BevGrid()
    v = (np.arange(64) + 0.5) * 2
    ground = np.where(v > 64, 1.6 * 128 / np.maximum(v - 64, 1e-6), 655.35)  # focal length 128
    free = line_of_sight({"front": np.repeat(ground[:, None], 128, axis=1)}, rig, grid)
    walled = line_of_sight({"front": np.minimum(np.repeat(ground[:, None], 128, axis=1), 20.0)}, rig, grid)
    ahead = grid.cell_centres()[:, 32, 0]
    assert free[ahead > 1, 32].all()
    assert not free[ahead < -1].any()  # nobody looks back
    assert walled[(ahead > 1) & (ahead < 20), 32].all()
    assert not walled[ahead > 21, 32].any()
    aside = grid.cell_centres()[(ahead > 9.7) & (ahead < 10.4), :, 1][0]
    assert free[(ahead > 9.7) & (ahead < 10.4)][0, np.abs(aside) < 9].all()
    assert not free[(ahead > 9.7) & (ahead < 10.4)][0, np.abs(aside) > 11].any()  # the field of view ends at 45 degrees


def test_errors_along_a_path_are_interpolated() -> None:
    error = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    for arc_m, expected in ((0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (5.0, 2.5), (8.0, 4.0), (99.0, 4.0)):
        assert float(_at_arc(error, torch.tensor([arc_m]))) == pytest.approx(expected, abs=1e-2)


def test_collisions_are_those_of_the_next_two_seconds() -> None:
    def labels(x: float, y: float, vx: float = 0.0) -> dict[str, torch.Tensor]:
        boxes = torch.zeros(1, 2, len(Agent))
        boxes[0, 0] = torch.from_numpy(box(1, x, y))
        futures = torch.zeros(1, 2, 4, 3)
        for step in range(4):
            futures[0, 0, step] = torch.tensor([x + vx * 0.5 * (step + 1), y, 1.0])
        return {"label_boxes": boxes, "label_futures": futures}

    straight = torch.stack([torch.arange(1, 9) * 3.0, torch.zeros(8)], dim=-1)[None]  # 6 m/s
    assert _touches(straight, labels(12.0, 0.0)).all()  # stands in the way
    assert not _touches(straight, labels(12.0, 3.0)).any()  # stands beside
    assert not _touches(straight, labels(25.0, 0.0)).any()  # too far for two seconds
    assert not _touches(straight, labels(12.0, 0.0, vx=6.0)).any()  # drives ahead as fast
    assert not _touches(straight, labels(2.0, 0.0)).any()  # is touched already
    assert not _touches(torch.zeros(1, 8, 2), labels(12.0, 0.0)).any()  # who stands hits nobody
